"""TIFF files of any size, read by the tiles or strips that a window touches.

Nothing here loads a picture as a whole, keeps a file open, or imports tifffile before it is needed.
"""

from __future__ import annotations

import io
import logging
import mmap
import struct
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.boundary import refusing
from foveal.data.decode import DecodeLimits
from foveal.data.exif import swaps_sides, turn_upright
from foveal.data.headers import read_header, sniff
from foveal.data.picture_file import reading
from foveal.data.tiff.colors import TiffColors, find_colors
from foveal.data.tiff.directory import read_directory
from foveal.data.tiff.segments import Segments, find_segments
from foveal.errors import ImageError, ImageFormatError
from foveal.extras import import_extra
from foveal.types import Image, Raster

__all__ = ["CACHE_BYTES", "is_tiff_name", "open_tiff", "read_tiff_array"]

CACHE_BYTES = 64 << 20
"""What a raster keeps of decoded tiles. A row of 512 px tiles of a picture that is 20,000 px wide
takes 31 MB in 8-bit RGB and 62 MB in 16-bit RGB."""

# What tifffile divides into tiles or strips as TIFF has them. A .svs file is a TIFF of JPEG or
# JPEG 2000 tiles whose first page is the largest level.
_SUFFIXES = frozenset((".tif", ".tiff", ".svs"))
_HEADER_BYTES = 512

_NO_HANDLER = logging.NullHandler()
_Seen = TypeVar("_Seen")


def is_tiff_name(name: str) -> bool:
    """Return whether a name ends like a TIFF; its content may differ."""
    return PurePosixPath(name).suffix.lower() in _SUFFIXES


def open_tiff(source: Path | bytes, *, cache_bytes: int = CACHE_BYTES) -> Raster:
    """Open the first page of a TIFF for reading in parts; of a pyramid that is its largest level.

    It comes out as `foveal.data.decode` would decode it: upright, RGB, 16-bit values scaled by
    1/257, transparent parts white. Only the header is read now.

    Args:
        source: A file, or its bytes.
        cache_bytes: Decoded tiles that are kept for the next window. The last one always is.

    Raises:
        MissingExtraError: If tifffile or imagecodecs is not installed.
        ImageFormatError: If it is no TIFF, or its pixels have no agreed colours.
        ImageError: If it is missing or damaged.
    """
    segments, colors, orientation = _parse(source, cache_bytes, find_colors)
    return _TiffRaster(segments, colors, orientation)


def read_tiff_array(source: Path | bytes, limits: DecodeLimits | None = None) -> NDArray[Any]:
    """Return the whole first page as its values are stored, upright: for masks.

    Args:
        source: A file, or its bytes.
        limits: Checked against the header before anything is decoded, if given.

    Returns:
        (H, W) palette positions or grey values, or (H, W, C) colours, of the stored type; pages of
        1 bit are 0 and 1 as uint8.

    Raises:
        MissingExtraError: If tifffile or imagecodecs is not installed.
        ImageTooLargeError: If the limits forbid it.
        ImageError: If it is no TIFF, missing or damaged.
    """
    segments, _, orientation = _parse(source, 0, lambda page, name: None)
    if limits is not None:
        limits.check_size(segments.height, segments.width)
    with refusing(f"{segments.name} cannot be decoded"):
        values = segments.read(0, 0, segments.height, segments.width)
        values = turn_upright(values, orientation)
        if values.dtype == np.bool_:
            values = values.astype(np.uint8)
        return values[:, :, 0] if values.shape[2] == 1 else values


@final
class _TiffRaster:
    """A window into the segments: turned upright and brought to RGB."""

    def __init__(self, segments: Segments, colors: TiffColors, orientation: int) -> None:
        self._segments = segments
        self._colors = colors
        self._orientation = orientation

    @property
    def height(self) -> int:
        """Return the upright height in pixels."""
        turned = swaps_sides(self._orientation)
        return self._segments.width if turned else self._segments.height

    @property
    def width(self) -> int:
        """Return the upright width in pixels."""
        turned = swaps_sides(self._orientation)
        return self._segments.height if turned else self._segments.width

    def read(self, top: int, left: int, height: int, width: int) -> Image:
        """Return a part; see `foveal.types.Raster`."""
        if top < 0 or left < 0 or top + height > self.height or left + width > self.width:
            raise ValueError(
                f"The window of {width} x {height} pixels at row {top}, column {left} extends "
                f"outside the picture of {self.width} x {self.height}."
            )
        # Where the window lies in the file: what `turn_upright` does, backwards.
        if self._orientation in (2, 3, 6, 7):
            left = self.width - left - width
        if self._orientation in (3, 4, 7, 8):
            top = self.height - top - height
        if swaps_sides(self._orientation):
            top, left, height, width = left, top, width, height
        with refusing(f"{self._segments.name} cannot be decoded"):
            stored = self._segments.read(top, left, height, width)
            return turn_upright(self._colors.to_rgb(stored), self._orientation)


def _parse(
    source: Path | bytes, cache_bytes: int, look: Callable[[Any, str], _Seen]
) -> tuple[Segments, _Seen, int]:
    """Return the segments of the first page, what `look` makes of it, and its orientation."""
    tifffile = _tifffile()
    name = "The TIFF picture" if isinstance(source, bytes) else str(source)
    with _opened(source) as file:
        _check_format(file.read(_HEADER_BYTES), name)
        with refusing(f"{name} cannot be opened"):
            _check_directory(source, file, name)
            file.seek(0)
            with tifffile.TiffFile(file) as tiff:
                page = tiff.pages[0]
                seen = look(page, name)
                return find_segments(page, source, name, cache_bytes), seen, _orientation(page)


def _tifffile() -> Any:
    # What it complains about is either no matter or becomes an ImageError. Without a handler,
    # Python writes the complaints to the terminal.
    logging.getLogger("tifffile").addHandler(_NO_HANDLER)
    import_extra("imagecodecs", "segment", "Reading TIFF files in parts needs imagecodecs")
    return import_extra("tifffile", "segment", "Reading TIFF files in parts needs tifffile")


def _opened(source: Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    with reading(source):
        return source.open("rb")


def _check_format(head: bytes, name: str) -> None:
    kind = sniff(head)
    if kind is None:
        read_header(head)  # Raises, and says what it looks like.
    if kind != "TIFF":
        raise ImageFormatError(
            f"{name} contains {kind}. Expected TIFF.",
            hint="rename the file with the right extension",
        )


def _check_directory(source: Path | bytes, file: BinaryIO, name: str) -> None:
    """Refuse a directory that claims more than there is: tifffile reads all that it claims."""
    try:
        if isinstance(source, bytes):
            read_directory(source)
        else:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
                read_directory(cast(bytes, pages))
    except struct.error as error:
        raise ImageError(f"{name} cannot be opened: it is truncated within its header.") from error


def _orientation(page: Any) -> int:
    value = page.tags.valueof("Orientation", 1)
    return int(value) if value in range(1, 9) else 1
