"""Properties of picture files: format, size, JPEG quality, camera or software.

None of it is part of what is shown, so a label that follows from it is a shortcut.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import final

import numpy as np

from foveal.data.exif import maker_of
from foveal.data.headers import JPEG_BARE, JPEG_MARKER, sniff

_MAX_BLOCKS = 1024
_EXIF_PREFIX = b"Exif\0\0"
_QUANTISATION, _EXIF, _SCAN = 0xDB, 0xE1, 0xDA
# Mean of the luminance table of the JPEG standard (Annex K), which the quality of libjpeg scales.
_MEAN_STEP = 57.625


@final
@dataclass(frozen=True, slots=True)
class FileFacts:
    """Properties of a picture file.

    Attributes:
        format: Such as `JPEG`; empty where it is unknown.
        size_bytes: Size of the file.
        quality: 1 to 100, the quality setting of libjpeg that has quantisation tables as coarse;
            0 for other formats.
        maker: Camera and software as EXIF states them; empty where it does not.
    """

    format: str
    size_bytes: int
    quality: float
    maker: str


def facts_of(data: bytes) -> FileFacts:
    """Return the properties of a picture file; damaged parts are ignored."""
    kind = sniff(data) or ""
    quality, maker = _of_jpeg(data) if kind == "JPEG" else (0.0, "")
    return FileFacts(kind, len(data), quality, maker)


def _of_jpeg(data: bytes) -> tuple[float, str]:
    at, quality, maker = 2, 0.0, ""
    for _ in range(_MAX_BLOCKS):
        found = JPEG_MARKER.search(data, at)
        if found is None:
            break
        at = found.end()
        marker = data[at - 1]
        if marker in JPEG_BARE:
            continue
        if marker == _SCAN or at + 2 > len(data):
            break
        (length,) = struct.unpack_from(">H", data, at)
        block = data[at + 2 : at + length]
        if marker == _QUANTISATION and not quality:
            quality = _quality(block)
        elif marker == _EXIF and not maker and block.startswith(_EXIF_PREFIX):
            maker = maker_of(block)
        at += max(2, length)
    return quality, maker


def _quality(block: bytes) -> float:
    """Return the quality from a block of quantisation tables, the first of which is luminance."""
    is_wide = len(block) > 0 and block[0] >> 4 > 0
    table = np.frombuffer(block[1 : 129 if is_wide else 65], ">u2" if is_wide else np.uint8)
    if len(table) != 64:
        return 0.0
    percent = 100 * float(table.mean()) / _MEAN_STEP
    # As libjpeg turns a quality into a scale of the tables, the other way round.
    return round(max(1.0, min(100.0, 5000 / percent if percent > 100 else 100 - percent / 2)), 1)
