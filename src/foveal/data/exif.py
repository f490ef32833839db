"""Read the EXIF orientation and rotate pixels accordingly. Invalid EXIF is ignored."""

from __future__ import annotations

import struct
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Buffer: TypeAlias = bytes | memoryview

_ORIENTATION_TAG = 0x0112
# Maker, model, software.
_MAKER_TAGS = (0x010F, 0x0110, 0x0131)
_ASCII, _SHORT = 2, 3
_MAX_WORDS = 64
# Real blocks hold some dozen entries; more is an attack or garbage.
_MAX_ENTRIES = 512


def orientation_of(block: Buffer) -> int:
    """Return the orientation of an EXIF block, 1-8; 1 if it is missing or invalid.

    Args:
        block: The TIFF structure, with or without the leading `Exif\\0\\0`.
    """
    data = bytes(block[:65_536])
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(min(count, _MAX_ENTRIES)):
            at = start + 2 + 12 * entry
            tag, kind, length, value = struct.unpack_from(order + "HHIH", data, at)
            if tag == _ORIENTATION_TAG:
                is_valid = kind == _SHORT and length == 1 and 1 <= value <= 8
                return int(value) if is_valid else 1
    except struct.error:
        return 1
    return 1


def maker_of(block: Buffer) -> str:
    """Return the camera's maker and model and the software that an EXIF block states, or "".

    Args:
        block: The TIFF structure, with or without the leading `Exif\\0\\0`.
    """
    data = bytes(block[:65_536]).removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return ""
    words: dict[int, str] = {}
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(min(count, _MAX_ENTRIES)):
            at = start + 2 + 12 * entry
            tag, kind, length, value = struct.unpack_from(order + "HHII", data, at)
            if tag in _MAKER_TAGS and kind == _ASCII:
                # Up to four bytes stand where the place of longer texts stands.
                text = data[at + 8 : at + 12] if length <= 4 else data[value : value + length]
                words[tag] = text[:_MAX_WORDS].split(b"\0")[0].decode("latin-1").strip()
    except struct.error:
        return ""
    return " ".join(words[tag] for tag in _MAKER_TAGS if words.get(tag))


def swaps_sides(orientation: int) -> bool:
    """Return whether the orientation exchanges height and width."""
    return orientation >= 5


def turn_upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return (H, W, 3) pixels in upright orientation.

    Args:
        pixels: As stored in the file.
        orientation: 1-8, as EXIF numbers them.
    """
    if swaps_sides(orientation):
        pixels = pixels.transpose(1, 0, 2)
    # After the transposition: which axes are mirrored.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
