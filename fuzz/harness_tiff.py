"""TIFF files read in parts: pixels of any window, or an ImageError."""

from __future__ import annotations

from collections.abc import Iterator

from foveal.data.decode import DecodeLimits
from foveal.data.tiff.raster import open_tiff, read_tiff_array
from foveal.errors import ImageError
from small_pictures import tiffs

MAX_BYTES = 6_000
_LIMITS = DecodeLimits(max_bytes=MAX_BYTES, max_pixels=1_000_000)
_SIDE = 256


def test_one(data: bytes) -> None:
    """Read the corners of a picture, and the whole of a small one as it is stored."""
    try:
        raster = open_tiff(data)
        height, width = min(raster.height, _SIDE), min(raster.width, _SIDE)
        for top in (0, raster.height - height):
            for left in (0, raster.width - width):
                pixels = raster.read(top, left, height, width)
                if pixels.shape != (height, width, 3):
                    raise AssertionError(pixels.shape)
    except ImageError:
        pass
    try:
        read_tiff_array(data, _LIMITS)
    except ImageError:
        pass


def seeds() -> Iterator[bytes]:
    """Give a file of every layout and compression."""
    return tiffs()
