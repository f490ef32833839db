"""Read and write messages of protobuf field by field, without its package or a schema.

The format: https://protobuf.dev/programming-guides/encoding/. For files that foveal or a
converter wrote; bundles from strangers are read by `foveal.bundle.onnx_check`, which is stricter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

FieldValue: TypeAlias = int | memoryview
"""A number, or the bytes of a text, a message, packed numbers, or a number of 4 or 8 bytes."""

Fields: TypeAlias = Mapping[int, Sequence[FieldValue]]
"""Field number → its values, in their order."""

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


def read_fields(view: memoryview) -> Fields:
    """Return the fields of a message.

    Raises:
        ValueError: If it is none.
    """
    found: dict[int, list[FieldValue]] = defaultdict(list)
    for number, value, _ in _walk(view):
        found[number].append(value)
    return dict(found)


def as_bytes(value: FieldValue) -> memoryview:
    """Return the bytes of a field.

    Raises:
        ValueError: If it is a number.
    """
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def as_text(value: FieldValue) -> str:
    """Return the text of a field.

    Raises:
        ValueError: If it is none.
    """
    return bytes(as_bytes(value)).decode()


def as_numbers(values: Sequence[FieldValue]) -> list[int]:
    """Return repeated whole numbers, which are written one by one or packed."""
    numbers: list[int] = []
    for value in values:
        if isinstance(value, int):
            numbers.append(value)
            continue
        position = 0
        while position < len(value):
            number, position = _varint(value, position)
            numbers.append(number)
    return numbers


def encode_field(number: int, content: bytes) -> bytes:
    """Return a field that holds a text or a message."""
    return _encode_varint(number << 3 | _LENGTH) + _encode_varint(len(content)) + content


def with_added(message: bytes, path: Sequence[int], added: bytes) -> bytes:
    """Return a message with fields added to a message inside of it.

    Args:
        message: A message.
        path: Numbers of the fields that lead to the inner one, which is made where it is missing.
        added: Encoded fields.
    """
    if not path:
        return message + added
    parts, is_done = [], False
    for number, value, raw in _walk(memoryview(message)):
        if number == path[0] and not is_done:
            is_done = True
            inner = with_added(bytes(as_bytes(value)), path[1:], added)
            parts.append(encode_field(number, inner))
        else:
            parts.append(bytes(raw))
    if not is_done:
        parts.append(encode_field(path[0], with_added(b"", path[1:], added)))
    return b"".join(parts)


def _walk(view: memoryview) -> Iterator[tuple[int, FieldValue, memoryview]]:
    """Yield the number and the value of each field, and the bytes of both."""
    position = 0
    while position < len(view):
        start = position
        key, position = _varint(view, position)
        kind = key & 7
        value: FieldValue
        if kind == _VARINT:
            value, position = _varint(view, position)
        else:
            if kind == _LENGTH:
                size, position = _varint(view, position)
            elif kind in (_EIGHT, _FOUR):
                size = 8 if kind == _EIGHT else 4
            else:
                raise ValueError("no message of protobuf")
            value, position = view[position : position + size], position + size
            if position > len(view):
                raise ValueError("it ends too early")
        yield key >> 3, value, view[start:position]


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(view):
            raise ValueError("it ends too early")
        byte = view[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def _encode_varint(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(0x80 | number & 0x7F)
        number >>= 7
    return bytes((*written, number))
