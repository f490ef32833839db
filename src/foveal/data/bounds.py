"""Bound the cost of decoding a picture by cheap scans of the file before it is decoded.

The size that a header states bounds neither time nor memory: a JPEG of 6 KB may ask for 500 passes
over 50 megapixels, a PNG may hold a million empty blocks. Of formats whose blocks Pillow walks in
Python, what it gets is the picture without comments, profiles and the like, which say nothing
about pixels here.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import final

from foveal.data.headers import ImageHeader
from foveal.data.limits import DecodeLimits
from foveal.errors import ImageError, ImageTooLargeError

# Blocks of one picture, 3 KB each of one of 200 MB; each costs Python some microseconds.
_MAX_BLOCKS = 65_536
# Comments of a GIF come in pieces of at most 255 bytes.
_MAX_GIF_BLOCKS = 262_144
# libjpeg-turbo's own limit for untrusted files, however small the picture.
_MAX_SCANS = 500
# Passes over a picture of `max_pixels`; cameras and encoders make 10, some 15 ms a megapixel each.
_PASSES = 32
# A run-length coded BMP is decoded in Python, 0.1 us a pixel.
_RLE_SHARE = 8
_RLE_COMPRESSIONS = (1, 2)
# Pixels of the smallest tile that TIFF allows.
_TILE_PIXELS = 256
_PNG_PIXEL_BLOCKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
# Markers that a length follows, and the end of the picture. After 0xff, data has 0 or 0xd0-0xd7.
_JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])", re.DOTALL)
_EOI, _SOS = 0xD9, 0xDA
_JPEG_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Of the application's own blocks, JFIF and Adobe say what the colours mean.
_JPEG_NOTES = frozenset((*range(0xE1, 0xEE), 0xEF, 0xFE))


def check_cost(data: bytes, header: ImageHeader, limits: DecodeLimits) -> None:
    """Refuse a picture that is too large, or far more expensive than its size suggests.

    Raises:
        ImageTooLargeError: If it is over the limits.
        ImageError: If it is over what no limit allows.
    """
    limits.check_size(header.height, header.width)
    if header.largest is not None:
        limits.check_size(*header.largest)
    pixels = header.height * header.width
    if header.format == "JPEG":
        most = min(_MAX_SCANS, _PASSES * limits.max_pixels // pixels)
        scans = count_scans(data, most)
        if scans > _MAX_SCANS:
            raise ImageError(f"The JPEG picture has over {_MAX_SCANS} scans.")
        if scans > most:
            raise ImageTooLargeError(
                f"The JPEG picture has {header.width} x {header.height} pixels in over {most} "
                f"scans. Expected at most {_PASSES * limits.max_pixels:,} pixels in all scans.",
                hint=limits.advice("pixels"),
            )
    elif header.format == "BMP" and _is_rle(data) and pixels > limits.max_pixels // _RLE_SHARE:
        raise ImageTooLargeError(
            f"The BMP picture has {header.width} x {header.height} run-length coded pixels. "
            f"Expected at most {limits.max_pixels // _RLE_SHARE:,}.",
            hint="save it as PNG",
        )
    elif header.parts > _MAX_BLOCKS + limits.max_pixels // _TILE_PIXELS:
        raise ImageTooLargeError(
            f"The {header.format} picture is stored in {header.parts:,} pieces. "
            f"Expected at most {_MAX_BLOCKS + limits.max_pixels // _TILE_PIXELS:,}.",
            hint="store it in larger pieces",
        )


def count_scans(data: bytes, most: int) -> int:
    """Return the number of scans in a JPEG, counting no further than `most` + 1."""
    scans, channels, is_sequential = 0, 0, False
    at = 2
    while scans <= most and (found := _JPEG_MARKER.search(data, at)):
        at, marker = found.end(), found[1][0]
        if marker == _EOI or at + 2 > len(data):
            break
        if marker in _JPEG_FRAMES and at + 8 <= len(data):
            channels, is_sequential = data[at + 7], marker in _JPEG_SEQUENTIAL
        elif marker == _SOS:
            scans += 1
            # All channels in one scan: what comes after it is not looked at.
            if is_sequential and data[at + 2 : at + 3] == bytes([channels]):
                break
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return scans


def essential(data: bytes, header: ImageHeader) -> bytes:
    """Return the picture without what its pixels do not need; see the head of this module.

    Raises:
        ImageError: If it has more blocks than any writer makes.
    """
    if header.format == "PNG":
        return _essential_png(data)
    if header.format == "GIF":
        return _essential_gif(data)
    if header.format == "JPEG":
        return _essential_jpeg(data)
    if header.format == "BMP" and _is_rle(data):
        # At worst 2 bytes a pixel and 2 a row. Pillow would read on through what sets no pixel.
        return data[: _BMP_HEAD + 4 * header.height * (header.width + 1)]
    return data


@final
@dataclass(slots=True)
class _Blocks:
    """Counts blocks."""

    format: str
    most: int
    count: int = 0

    def add(self) -> None:
        self.count += 1
        if self.count > self.most:
            raise ImageError(
                f"The {self.format} picture has over {self.most:,} blocks.",
                hint="save it again with another program",
            )


def _essential_png(data: bytes) -> bytes:
    kept, at, blocks = [data[:8]], 8, _Blocks("PNG", _MAX_BLOCKS)
    while at + 8 <= len(data):
        blocks.add()
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if kind in _PNG_PIXEL_BLOCKS:
            kept.append(data[at : at + 12 + length])
        at += 12 + length
        if kind == b"IEND":
            break
    return b"".join(kept)


def _essential_gif(data: bytes) -> bytes:
    """Return the canvas, the first frame, and what says which of its colours is transparent."""
    # The size alone is known to be there.
    flags = int.from_bytes(data[10:11])
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    head, control = data[:at], b""
    blocks = _Blocks("GIF", _MAX_GIF_BLOCKS)
    while at < len(data) and data[at] != 0x2C:
        blocks.add()
        if data[at] == 0x3B:
            break
        if data[at] != 0x21:
            at += 1
            continue
        begin, is_control = at, data[at + 1 : at + 2] == b"\xf9"
        at += 2
        while at < len(data) and (length := data[at]):
            blocks.add()
            at += 1 + length
        at += 1
        if is_control:
            control = data[begin:at]
    return head + control + data[at:]


def _essential_jpeg(data: bytes) -> bytes:
    kept, begin, at = [], 0, 2
    blocks = _Blocks("JPEG", _MAX_BLOCKS)
    while found := _JPEG_MARKER.search(data, at):
        blocks.add()
        at, marker = found.end(), found[1][0]
        if marker in (_SOS, _EOI):
            break
        length = max(2, int.from_bytes(data[at : at + 2], "big"))
        if marker in _JPEG_NOTES:
            kept.append(data[begin : at - 2])
            begin = at + length
        at += length
    return b"".join([*kept, data[begin:]])


# The file's head, the largest head of the picture, and a palette.
_BMP_HEAD = 14 + 124 + 1024


def _is_rle(data: bytes) -> bool:
    (head,) = struct.unpack_from("<I", data, 14)
    return head >= 40 and struct.unpack_from("<I", data, 30)[0] in _RLE_COMPRESSIONS
