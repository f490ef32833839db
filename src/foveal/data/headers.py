"""Read format, size and orientation from the first bytes of a picture, without decoding it.

Everything that allocates memory comes after the limits were checked against what is read here.
Written by hand because a decoder's own "open" may already allocate the canvas (WebP does).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from foveal.data.boundary import refusing
from foveal.data.exif import orientation_of, swaps_sides
from foveal.data.isobmff import read_boxes, sniff_boxes
from foveal.data.tiff.directory import read_directory
from foveal.errors import ImageError, ImageFormatError

Format: TypeAlias = Literal["JPEG", "PNG", "WEBP", "AVIF", "HEIC", "GIF", "BMP", "TIFF"]

SUPPORTED = "JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF"
# Walking on through more blocks than any writer makes would be work for an attacker.
_MAX_BLOCKS = 16_384
JPEG_MARKER = re.compile(rb"\xff+[^\xff]", re.DOTALL)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that no length follows; 0 is an escaped byte of data.
JPEG_BARE = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))
_EXIF_PREFIX = b"Exif\0\0"


@final
@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The header of a picture file.

    Attributes:
        format: Format by its content; the name of the file has no influence.
        height: Upright, in pixels.
        width: Upright, in pixels.
        orientation: EXIF orientation, 1-8, of the stored pixels.
        channels: Stored components where the header says so cheaply (JPEG), else 0.
        largest: (height, width) of the largest coded part where a picture consists of several
            (AVIF, HEIC, tiles of a TIFF), else None.
        parts: Number of strips or tiles of a TIFF; 0 for other formats.
    """

    format: Format
    height: int
    width: int
    orientation: int = 1
    channels: int = 0
    largest: tuple[int, int] | None = None
    parts: int = 0


def read_header(data: bytes) -> ImageHeader:
    """Parse the header of a picture file.

    Args:
        data: The file, or enough of its beginning.

    Raises:
        ImageFormatError: If it is no picture of a supported format.
        ImageError: If the header is cut off or contradicts itself.
    """
    kind = sniff(data)
    if kind is None:
        raise ImageFormatError(
            f"Not a picture of a supported format{_guess(data)}. Expected {SUPPORTED}.",
            hint="convert it to JPEG or PNG",
        )
    with refusing(f"The header of the {kind} picture cannot be read"):
        try:
            header = _READERS[kind](data)
        except (struct.error, IndexError) as error:
            raise ImageError(f"The {kind} picture is truncated within its header.") from error
    if header.height < 1 or header.width < 1:
        raise ImageError(
            f"The {kind} picture has an invalid size: {header.width} x {header.height} pixels."
        )
    return header


def sniff(data: bytes) -> Format | None:
    """Return the format by its magic bytes, or None if it is not supported."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if data[:2] == b"BM" and len(data) >= 18:
        return "BMP"
    return sniff_boxes(data)


def _guess(data: bytes) -> str:
    head = data[:512].lstrip()
    if not data:
        return ": the file is empty"
    if data[4:8] == b"ftyp":
        return ": it looks like a video"
    known = (
        (b"%PDF", "PDF"),
        (b"PK\x03\x04", "a zip archive"),
        (b"8BPS", "Photoshop"),
        (b"<svg", "SVG"),
        (b"<?xml", "SVG or XML"),
        (b"<!DOCTYPE", "a web page"),
        (b"<html", "a web page"),
        (b"{", "JSON"),
        (b"version https://git-lfs", "a Git LFS pointer"),
    )
    for start, name in known:
        if head[: len(start)].lower() == start.lower():
            return f": it looks like {name}"
    return ""


def _upright(
    kind: Format,
    height: int,
    width: int,
    orientation: int,
    channels: int = 0,
) -> ImageHeader:
    if swaps_sides(orientation):
        height, width = width, height
    return ImageHeader(kind, height, width, orientation, channels)


def _read_jpeg(data: bytes) -> ImageHeader:
    at, orientation = 2, 1
    has_exif = False
    for _ in range(_MAX_BLOCKS):
        # Stray bytes and fill bytes before a marker are skipped, as libjpeg does.
        found = JPEG_MARKER.search(data, at)
        if found is None:
            raise ImageError("The JPEG picture is truncated within its header.")
        at = found.end()
        marker = data[at - 1]
        if marker in JPEG_BARE:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if marker == 0xE1 and not has_exif and data[at + 2 : at + 8] == _EXIF_PREFIX:
            has_exif = True
            orientation = orientation_of(data[at + 8 : at + length])
        elif marker in _JPEG_FRAMES:
            _, height, width, channels = struct.unpack_from(">BHHB", data, at + 2)
            return _upright("JPEG", height, width, orientation, channels)
        elif marker == 0xDA:
            raise ImageError("The JPEG picture is damaged: its size is missing.")
        at += max(2, length)
    raise ImageError("The JPEG picture has too many blocks.")


def _read_png(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from(">II", data, 16)
    if data[12:16] != b"IHDR":
        raise ImageError("The PNG picture is damaged: its first block is not IHDR.")
    at = 8
    for _ in range(_MAX_BLOCKS):
        if at + 8 > len(data):
            break
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"eXIf":
            orientation = orientation_of(data[at + 8 : at + 8 + length])
            return _upright("PNG", height, width, orientation)
        at += 12 + length
    return ImageHeader("PNG", height, width)


def _read_webp(data: bytes) -> ImageHeader:
    chunk = data[12:16]
    if chunk == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        if len(data) < 30:
            raise ImageError("The WebP picture is truncated within its header.")
        orientation = _webp_orientation(data) if data[20] & 0x08 else 1
        return _upright("WEBP", height, width, orientation)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return ImageHeader("WEBP", height & 0x3FFF, width & 0x3FFF)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return ImageHeader("WEBP", 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF))
    raise ImageError("The WebP picture is damaged: its frame is missing.")


def _webp_orientation(data: bytes) -> int:
    at = 12
    for _ in range(_MAX_BLOCKS):
        if at + 8 > len(data):
            break
        (length,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"EXIF":
            return orientation_of(data[at + 8 : at + 8 + length])
        at += 8 + length + (length & 1)
    return 1


def _read_gif(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from("<HH", data, 6)
    return ImageHeader("GIF", height, width)


# The header that says how the pixels are compressed; all later ones begin with it.
_BMP_INFO_BYTES = 40


def _read_bmp(data: bytes) -> ImageHeader:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
        if header_size >= _BMP_INFO_BYTES and len(data) < 14 + _BMP_INFO_BYTES:
            raise ImageError("The BMP picture ends within its header.")
    return ImageHeader("BMP", abs(height), abs(width))


def _read_tiff(data: bytes) -> ImageHeader:
    found = read_directory(data)
    height, width = found.height, found.width
    if swaps_sides(found.orientation):
        height, width = width, height
    return ImageHeader(
        "TIFF", height, width, found.orientation, largest=found.tile, parts=found.parts
    )


def _read_boxed(data: bytes) -> ImageHeader:
    kind = sniff_boxes(data) or "HEIC"
    found = read_boxes(data)
    height, width = found.height, found.width
    if swaps_sides(found.orientation):
        height, width = width, height
    return ImageHeader(kind, height, width, found.orientation, largest=found.largest)


_READERS = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "WEBP": _read_webp,
    "AVIF": _read_boxed,
    "HEIC": _read_boxed,
    "GIF": _read_gif,
    "BMP": _read_bmp,
    "TIFF": _read_tiff,
}
