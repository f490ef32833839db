"""Read the program and weights of a Core ML package from disk, without coremltools.

So that what is proven is what was saved: the message `Model` of Core ML's public format, of which
only what a program needs is read, and `weight.bin`. Field numbers are those of Model.proto and
MIL.proto at https://github.com/apple/coremltools/tree/main/mlmodel/format.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from foveal.errors import NetworkError
from foveal.export.protobuf import (
    Fields,
    as_bytes,
    as_numbers,
    as_text,
    encode_field,
    read_fields,
    with_added,
)

Constant: TypeAlias = NDArray[np.generic] | str

_MODEL = Path("Data") / "com.apple.CoreML" / "model.mlmodel"
_WEIGHTS = Path("Data") / "com.apple.CoreML" / "weights" / "weight.bin"
# From Model to its description, to that one's metadata; there, the map of what users define.
_METADATA, _USER_DEFINED = (2, 100), 100
# Of Model and Program: where the program, its functions, and in them the operations are.
_PROGRAM, _FUNCTIONS, _BLOCKS, _OUTPUTS, _OPERATIONS = 502, 2, 3, 2, 3
_FUNCTION = "main"
# MIL's types of elements, as they lie in memory; what is not here is not read.
_BOOL, _STRING = 1, 2
_TYPES: Mapping[int, DTypeLike] = {
    **{_BOOL: np.bool_, 10: np.float16, 11: np.float32, 12: np.float64},
    **{21: np.int8, 22: np.int16, 23: np.int32, 24: np.int64},
    **{31: np.uint8, 32: np.uint16, 33: np.uint32},
}
HALF = 10
# Every array of weight.bin begins with this: its magic number, type, size and place.
_ENTRY = struct.Struct("<IIQQ")
_MAGIC = 0xDEADBEEF


@final
@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a program.

    Attributes:
        kind: Its name in MIL.
        inputs: For each of its inputs, the values; names of variables, or constants.
        outputs: Names of what it gives.
        halves: For each output, whether its numbers have 16 bits.
        value: What a constant holds; None for other operations.
    """

    kind: str
    inputs: Mapping[str, tuple[str | NDArray[np.generic], ...]]
    outputs: tuple[str, ...]
    halves: tuple[bool, ...]
    value: Constant | None = None


@final
@dataclass(frozen=True, slots=True)
class SavedProgram:
    """The program of a package.

    Attributes:
        operations: In the order in which they run.
        outputs: Names of what it gives.
    """

    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


def read_program(package: Path) -> SavedProgram:
    """Read the program of a package.

    Raises:
        NetworkError: If the package holds no program, or is damaged.
    """
    weights = package / _WEIGHTS
    try:
        model = (package / _MODEL).read_bytes()
        blobs = weights.read_bytes() if weights.is_file() else b""
        return _Reader(memoryview(blobs)).program(memoryview(model))
    except (OSError, LookupError, ValueError, struct.error) as error:
        raise NetworkError(f"{package} is not a program for Core ML: {error}") from error


def add_metadata(package: Path, entries: Mapping[str, str]) -> None:
    """Add entries to what a package says about itself: `creatorDefinedKey` in Swift."""
    added = (
        encode_field(_USER_DEFINED, encode_field(1, key.encode()) + encode_field(2, value.encode()))
        for key, value in entries.items()
    )
    path = package / _MODEL
    path.write_bytes(with_added(path.read_bytes(), _METADATA, b"".join(added)))


def read_metadata(package: Path) -> dict[str, str]:
    """Return the entries that `add_metadata` wrote, and the converter's own."""
    fields = read_fields(memoryview((package / _MODEL).read_bytes()))
    for number in _METADATA:
        fields = read_fields(_only(fields, number))
    return {key: bytes(value).decode() for key, value in _entries(fields, _USER_DEFINED).items()}


@final
@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads a program whose large constants are in a second file."""

    weights: memoryview

    def program(self, model: memoryview) -> SavedProgram:
        program = _only(read_fields(model), _PROGRAM)
        functions = _entries(read_fields(program), _FUNCTIONS)
        blocks = list(_entries(read_fields(functions[_FUNCTION]), _BLOCKS).values())
        if len(blocks) != 1:
            raise ValueError(f"{len(blocks)} variants of one function")
        block = read_fields(blocks[0])
        operations = tuple(self.operation(as_bytes(one)) for one in block[_OPERATIONS])
        return SavedProgram(operations, tuple(as_text(name) for name in block[_OUTPUTS]))

    def operation(self, view: memoryview) -> Operation:
        fields = read_fields(view)
        outputs = [read_fields(as_bytes(one)) for one in fields[3]]
        attributes = _entries(fields, 5)
        kind = as_text(fields[1][0])
        inputs = {name: self.argument(given) for name, given in _entries(fields, 2).items()}
        if kind.startswith("constexpr_"):
            # What becomes a constant when the program is loaded; a text is its name.
            stored = {name: self.value(given) for name, given in attributes.items()}
            inputs |= {n: (value,) for n, value in stored.items() if not isinstance(value, str)}
        return Operation(
            kind,
            inputs,
            tuple(as_text(output[1][0]) for output in outputs),
            tuple(_element(as_bytes(output[2][0]))[0] == HALF for output in outputs),
            self.value(attributes["val"]) if kind == "const" else None,
        )

    def argument(self, view: memoryview) -> tuple[str | NDArray[np.generic], ...]:
        found: list[str | NDArray[np.generic]] = []
        for binding in read_fields(view)[1]:
            fields = read_fields(as_bytes(binding))
            if 1 in fields:
                found.append(as_text(fields[1][0]))
            else:
                value = self.value(as_bytes(fields[2][0]))
                found.append(np.array(value) if isinstance(value, str) else value)
        return tuple(found)

    def value(self, view: memoryview) -> Constant:
        fields = read_fields(view)
        element, shape = _element(as_bytes(fields[2][0]))
        if 5 in fields:
            place = read_fields(as_bytes(fields[5][0]))[2][0]
            return self.blob(int(place) if isinstance(place, int) else 0, element, shape)
        tensor = read_fields(_only(read_fields(as_bytes(fields[3][0])), 1))
        if element == _STRING:
            return as_text(read_fields(_only(tensor, 4))[1][0])
        return _immediate(tensor, element).reshape(shape)

    def blob(self, place: int, element: int, shape: Sequence[int]) -> NDArray[np.generic]:
        """Return an array of weight.bin; `place` is where its entry begins."""
        magic, _, size, start = _ENTRY.unpack_from(self.weights, place)
        dtype = np.dtype(_TYPES[element])
        if magic != _MAGIC or size != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
            raise ValueError("weight.bin does not match the program")
        return np.frombuffer(self.weights[start : start + size], dtype).reshape(shape)


def _element(view: memoryview) -> tuple[int, tuple[int, ...]]:
    """Return the type of a value's elements and its shape; -1 for a size that is free."""
    fields = read_fields(_only(read_fields(view), 1))
    element = fields[1][0]
    shape = []
    for dimension in fields.get(3, ()):
        constant = read_fields(as_bytes(dimension)).get(1)
        sizes = read_fields(as_bytes(constant[0])).get(1, [0]) if constant else [-1]
        shape.append(sizes[0])
    if not isinstance(element, int):
        raise ValueError("a type that is none")
    return element, tuple(size for size in shape if isinstance(size, int))


def _immediate(tensor: Fields, element: int) -> NDArray[np.generic]:
    """Return the numbers that a program holds itself, (n,)."""
    dtype = np.dtype(_TYPES[element])
    ((kind, values),) = tensor.items()
    repeated = read_fields(as_bytes(values[0])).get(1, [])
    if kind in (1, 6):  # floats and doubles: packed
        stored = np.float32 if kind == 1 else np.float64
        parts = [np.frombuffer(as_bytes(part), stored) for part in repeated]
        return np.concatenate(parts).astype(dtype) if parts else np.empty(0, dtype)
    if kind == 7:  # bytes: of every other type, as it lies in memory
        return np.frombuffer(as_bytes(repeated[0]), dtype) if repeated else np.empty(0, dtype)
    # Negative numbers of 32 bits are written with 64.
    signed = [n - (1 << 64) if n >> 63 else n for n in as_numbers(repeated)]
    return np.array(signed, np.int64).astype(dtype)


def _entries(fields: Fields, number: int) -> dict[str, memoryview]:
    """Return a map of messages by name."""
    entries = {}
    for entry in fields.get(number, ()):
        pair = read_fields(as_bytes(entry))
        entries[as_text(pair[1][0])] = as_bytes(pair[2][0])
    return entries


def _only(fields: Fields, number: int) -> memoryview:
    return as_bytes(fields[number][0])
