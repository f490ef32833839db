"""EXIF blocks: an orientation, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image as PILImage

from foveal.data.exif import orientation_of

MAX_BYTES = 2_000


def test_one(data: bytes) -> None:
    """Read the orientation."""
    if orientation_of(data) not in range(1, 9):
        raise AssertionError("no orientation")


def seeds() -> Iterator[bytes]:
    """Give blocks of either byte order, with and without other entries."""
    for endian in ("<", ">"):
        exif = PILImage.Exif()
        exif.endian = endian
        exif[0x0112] = 8
        yield exif.tobytes()
        exif[0x010F] = "maker"
        exif.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
        yield exif.tobytes()[6:]
