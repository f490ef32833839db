"""Parse and validate the first directory of a TIFF: size, orientation and layout.

Both decoders of TIFF read the values of every entry, before they look at any. So what they add up
to is held against the size of the file first: in an honest file no byte belongs to two entries.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import final

from foveal.errors import ImageError

# Real directories hold some dozen entries, those of microscopes some hundred.
_MAX_ENTRIES = 4096
# Of a slide of 250,000 x 250,000 pixels in tiles of 256.
_MAX_PARTS = 1_000_000
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTES |= {16: 8, 17: 8, 18: 8}
# SHORT, LONG, LONG8
_INTEGERS = {3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274
_STRIPS, _TILE_WIDTH, _TILE_HEIGHT, _TILES = 273, 322, 323, 324
_BITS, _COMPRESSION, _SAMPLES, _SAMPLE_FORMAT = 258, 259, 277, 339
# What the standard says of a file that does not state it.
_DEFAULTS = {_ORIENTATION: 1, _BITS: 1, _COMPRESSION: 1, _SAMPLES: 1, _SAMPLE_FORMAT: 1}
_WANTED = frozenset((_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT, *_DEFAULTS))


@final
@dataclass(frozen=True, slots=True)
class Directory:
    """The first directory of a TIFF.

    Attributes:
        height: As stored, in pixels.
        width: As stored, in pixels.
        orientation: 1-8, as EXIF numbers them.
        tile: (height, width) of its tiles, which may be larger than the picture; None for strips.
        parts: Number of strips or tiles.
        samples: Values of a pixel.
        bits: Size of the first of them.
        sample_format: 1 unsigned, 2 signed, 3 floating point; others are rare.
        compression: As TIFF numbers the methods.
    """

    height: int
    width: int
    orientation: int
    tile: tuple[int, int] | None
    parts: int
    samples: int
    bits: int
    sample_format: int
    compression: int


def read_directory(data: bytes) -> Directory:
    """Parse the first directory of a TIFF or BigTIFF.

    Args:
        data: The whole file; a map of it will do.

    Raises:
        ImageError: If it claims more than the file holds, or more entries than any writer makes.
        struct.error: If it is cut off.
    """
    order = "<" if data[:2] == b"II" else ">"
    if 43 in data[2:4]:
        (start,) = struct.unpack_from(order + "Q", data, 8)
        (count,) = struct.unpack_from(order + "Q", data, start)
        at, entry, inline = start + 8, order + "HHQ", 8
    else:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        at, entry, inline = start + 2, order + "HHI", 4
    if count > _MAX_ENTRIES:
        raise ImageError(
            f"The TIFF picture has {count:,} entries in its directory. "
            f"Expected at most {_MAX_ENTRIES:,}."
        )
    found, parts, total = dict(_DEFAULTS), 0, 0
    head = struct.calcsize(entry)
    for _ in range(count):
        tag, kind, length = struct.unpack_from(entry, data, at)
        size = length * _BYTES.get(kind, 0)
        total += size if size > inline else 0
        if tag in _WANTED and kind in _INTEGERS and length:
            # Several values that do not fit into the entry are elsewhere: those of the channels.
            first = at + head
            if size > inline:
                (first,) = struct.unpack_from(order + ("I" if inline == 4 else "Q"), data, first)
            (found[tag],) = struct.unpack_from(order + _INTEGERS[kind], data, first)
        elif tag in (_STRIPS, _TILES):
            parts = max(parts, length)
        at += head + inline
    _check(total, parts, len(data))
    tile = found.get(_TILE_HEIGHT, 0), found.get(_TILE_WIDTH, 0)
    return Directory(
        found.get(_HEIGHT, 0),
        found.get(_WIDTH, 0),
        found[_ORIENTATION] if 1 <= found[_ORIENTATION] <= 8 else 1,
        tile if all(tile) else None,
        parts,
        found[_SAMPLES],
        found[_BITS],
        found[_SAMPLE_FORMAT],
        found[_COMPRESSION],
    )


def _check(total: int, parts: int, size: int) -> None:
    if total > size:
        raise ImageError(
            f"The TIFF picture is damaged: its entries declare {total:,} bytes, but the file has "
            f"{size:,}."
        )
    if parts > _MAX_PARTS:
        raise ImageError(
            f"The TIFF picture is stored in {parts:,} pieces. Expected at most {_MAX_PARTS:,}.",
            hint="store it in tiles: tiffcp -t -w 512 -l 512 IN.tif OUT.tif",
        )
