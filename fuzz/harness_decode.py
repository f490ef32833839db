"""Whole pictures and masks: pixels within the limits, or an ImageError."""

from __future__ import annotations

from collections.abc import Iterator

from foveal.data.decode import DecodeLimits, decode
from foveal.data.masks.file import decode_mask
from foveal.errors import ImageError
from small_pictures import small_pictures

MAX_BYTES = 6_000
_MAX_PIXELS = 100_000
_LIMITS = DecodeLimits(max_bytes=MAX_BYTES, max_pixels=_MAX_PIXELS)


def test_one(data: bytes) -> None:
    """Decode a picture at its own and at a reduced scale, and as a mask."""
    for min_size in (None, (2, 3)):
        try:
            picture = decode(data, _LIMITS, min_size=min_size)
        except ImageError:
            continue
        if picture.height * picture.width > _MAX_PIXELS:
            raise AssertionError((picture.height, picture.width))
    try:
        decode_mask(data, _LIMITS)
    except ImageError:
        pass


def seeds() -> Iterator[bytes]:
    """Give a picture of every kind."""
    return small_pictures()
