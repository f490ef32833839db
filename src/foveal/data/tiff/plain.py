"""Uncompressed strips, whose rows can be read at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from foveal.errors import ImageError

Decode: TypeAlias = Callable[[bytes, int], Any]
"""Bytes and number of a segment → its pixels (h, w, samples)."""

PIECE_BYTES = 1 << 20
"""What is read at once, about."""
_MAX_PIECES = 1_000_000
# Times the size of the file.
_CLAIM = 16
_NO_COMPRESSION = 1


def is_plain(page: Any) -> bool:
    """Return whether rows can be read from the middle of a strip."""
    return bool(
        not page.is_tiled
        and page.compression == _NO_COMPRESSION
        and page.predictor == 1
        and page.fillorder == 1
        and page.bitspersample in (8, 16, 32)
    )


def plain_decoder(page: Any, samples: int) -> Decode:
    """Return what decodes whole rows."""
    stored = page.dtype.newbyteorder(page.parent.byteorder)
    native, width = page.dtype, page.imagewidth

    def decode_rows(data: bytes, index: int) -> Any:
        return np.frombuffer(data, stored).reshape(-1, width, samples).astype(native, copy=False)

    return decode_rows


def check_claim(name: str, claimed: int, source: Path | bytes) -> None:
    """Refuse a file that claims far more pixels than it has: its pieces would be listed for ever.

    One that was merely cut off is read as far as it goes.

    Raises:
        ImageError: If it does.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if claimed > _CLAIM * size:
        raise ImageError(
            f"{name} is damaged: it declares {claimed:,} bytes of pixels, but the file has "
            f"{size:,}."
        )


def piece_rows(strip_rows: int, wanted: int, *, is_only: bool) -> int:
    """Return how many rows a piece has; pieces of several strips must divide them evenly."""
    if is_only:
        return wanted
    return next(rows for rows in range(wanted, 0, -1) if strip_rows % rows == 0)


def cut(
    name: str, offsets: Sequence[int], height: int, strip_rows: int, rows: int, row_bytes: int
) -> tuple[list[int], list[int]]:
    """Return offsets and counts of the pieces of all strips, plane after plane.

    Raises:
        ImageError: If there would be too many.
    """
    strips = -(-height // strip_rows)
    pieces = len(offsets) // strips * -(-height // rows)
    if pieces > _MAX_PIECES:
        raise ImageError(
            f"{name} is stored in {pieces:,} pieces. Expected at most {_MAX_PIECES:,}.",
            hint="store it in tiles: tiffcp -t -w 512 -l 512 IN.tif OUT.tif",
        )
    starts: list[int] = []
    counts: list[int] = []
    for plane in range(len(offsets) // strips):
        for top in range(0, height, rows):
            strip, inside = divmod(top, strip_rows)
            start = offsets[plane * strips + strip]
            starts.append(start + inside * row_bytes)
            counts.append(min(rows, height - top) * row_bytes)
    return starts, counts
