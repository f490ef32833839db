"""Tensors as the protocol carries them: as JSON, or as bytes behind it.

Protocol: kserve/open-inference-protocol and Triton's extension_binary_data.md (Apache-2.0, BSD).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.server.request.json_body import shown_text
from foveal.server.request.limits import RequestError
from foveal.types import JsonObject

Datatype: TypeAlias = Literal["BOOL", "UINT8", "FP32", "BYTES"]
"""Those that foveal takes or gives."""

DATATYPES = frozenset(
    "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 BF16 FP32 FP64 BYTES".split()
)
"""Those that the protocol knows."""

# Pictures of a batch have four dimensions.
_MAX_RANK = 8
_LARGEST_DIM = 2**63 - 1


@final
@dataclass(frozen=True, slots=True)
class Given:
    """A received input tensor.

    Attributes:
        name: Its name.
        datatype: One of `DATATYPES`.
        shape: At least 0 in each dimension.
        data: Its elements one after another (bytes, or what JSON has), or their binary form.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[Any] | bytes

    @property
    def count(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@final
@dataclass(frozen=True, slots=True)
class Tensor:
    """An output tensor.

    Attributes:
        name: Its name.
        datatype: Its type.
        shape: Its shape.
        values: Its elements, one after another: (count,) bool or float32, or bytes each.
        is_text: Whether bytes are UTF-8; else JSON has them as base64.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    values: NDArray[np.bool_] | NDArray[np.float32] | list[bytes]
    is_text: bool = True

    def json_data(self) -> list[Any]:
        """Return the elements as JSON has them."""
        if not isinstance(self.values, list):
            return list(self.values.tolist())
        if self.is_text:
            return [value.decode() for value in self.values]
        return [base64.b64encode(value).decode() for value in self.values]

    def binary_data(self) -> bytes:
        """Return the elements as bytes: little-endian, one after another."""
        if not isinstance(self.values, list):
            little = self.values.dtype.newbyteorder("<")
            return self.values.astype(little, copy=False).tobytes()
        return b"".join(part for v in self.values for part in (struct.pack("<I", len(v)), v))

    def describe(self) -> JsonObject:
        """Return the tensor as JSON, without its elements."""
        described: JsonObject = {
            "name": self.name,
            "shape": list(self.shape),
            "datatype": self.datatype,
        }
        if not self.is_text:
            described["parameters"] = {"content_type": "base64"}
        return described


def checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    """Return the shape of an input.

    Raises:
        RequestError: 400 when it is not a list of sizes.
    """
    if not isinstance(shape, list | tuple):
        raise RequestError(400, f"Input {name!r}: expected 'shape' as a list of integers.")
    if len(shape) > _MAX_RANK:
        raise RequestError(400, f"Input {name!r} has {len(shape)} dimensions. Expected at most 8.")
    for size in shape:
        if not isinstance(size, int) or isinstance(size, bool) or size > _LARGEST_DIM:
            raise RequestError(400, f"Input {name!r}: expected 'shape' as a list of integers.")
        if size < 0:
            raise RequestError(400, f"Input {name!r} has a negative dimension: {size}.")
    return tuple(shape)


def checked_datatype(name: str, datatype: Any) -> str:
    """Return the type of an input.

    Raises:
        RequestError: 400 for one that the protocol does not know.
    """
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        shown = shown_text(str(datatype))
        raise RequestError(400, f"Input {name!r} has an unknown datatype {shown!r}.")
    return datatype


def flattened(name: str, data: Any, count: int) -> list[Any]:
    """Return the elements of JSON's `data`, which may be nested.

    Args:
        name: The input's name.
        data: A list, of elements or of lists.
        count: How many there have to be.

    Raises:
        RequestError: 400 when there are not so many.
    """
    if not isinstance(data, list):
        raise RequestError(400, f"Input {name!r}: expected 'data' as a list.")
    for _ in range(_MAX_RANK):
        if not any(isinstance(item, list) for item in data):
            break
        data = list(_one_level(data))
    if len(data) != count:
        raise RequestError(400, f"Input {name!r} has {len(data)} elements. Its shape says {count}.")
    return list(data)


def _one_level(data: Sequence[Any]) -> Iterator[Any]:
    for item in data:
        if isinstance(item, list):
            yield from item
        else:
            yield item


def split_bytes(name: str, data: bytes, count: int) -> list[bytes]:
    """Return the elements of a BYTES tensor in its binary form.

    Args:
        name: The input's name.
        data: For each element, its length as 4 bytes and the element.
        count: How many there have to be.

    Raises:
        RequestError: 400 when it does not hold exactly so many.
    """
    elements: list[bytes] = []
    position = 0
    while position < len(data) and len(elements) < count:
        if position + 4 > len(data):
            break
        (size,) = struct.unpack_from("<I", data, position)
        position += 4
        if position + size > len(data):
            break
        elements.append(data[position : position + size])
        position += size
    if len(elements) != count or position != len(data):
        raise RequestError(
            400,
            f"Input {name!r}: its {len(data)} bytes are not {count} elements, "
            "each with its length in 4 bytes before it.",
        )
    return elements
