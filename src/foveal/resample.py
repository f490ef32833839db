"""Resampling of pictures in integer arithmetic, with identical results in any language.

`docs/bundle-format.md` specifies it bit by bit, and exports implement it in TensorFlow, JavaScript
and Swift; `tests/vectors/resample.json` tests all of them. Pillow computes the same several times
as fast. It is used if it agrees on a few small pictures, which is checked once per process;
otherwise the code below is used.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.types import Image

logger = logging.getLogger(__name__)

_BITS = 22
# A picture is first averaged over whole cells, as long as the filter still has this much to do.
_GAP = 3
_FILTER = PILImage.Resampling.BILINEAR
# Sums of 32 bits of a band of rows; of the whole picture they would be four times its size.
_BAND_VALUES = 1 << 20
# Results that are computed together, by one product of matrices.
_BLOCK = 16
_ROWS, _COLUMNS = 0, 1
_lock = threading.Lock()


class Span(NamedTuple):
    """The pixels from `start` to `end` along a side, scaled to `length` pixels."""

    start: float
    end: float
    length: int


_Passes: TypeAlias = Sequence[tuple[int, Span]]


def resized(pixels: Image, height: int, width: int) -> Image:
    """Return a picture scaled to a size, bilinear with antialiasing.

    Args:
        pixels: (H, W, 3) uint8.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        (height, width, 3) uint8; must not be changed.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    cell = (
        max(1, pixels.shape[0] // (_GAP * height)),
        max(1, pixels.shape[1] // (_GAP * width)),
    )
    # The sides of the picture in cells, of which the last may be partial.
    sides = (pixels.shape[0] / cell[0], pixels.shape[1] / cell[1])
    passes = [(_COLUMNS, Span(0.0, sides[1], width)), (_ROWS, Span(0.0, sides[0], height))]
    rows, columns = (-(-pixels.shape[axis] // cell[axis]) for axis in (_ROWS, _COLUMNS))
    if rows > height and rows - height > 2 * (columns - width):
        passes.reverse()
    return _run(pixels, cell, passes)


def windowed(pixels: Image, rows: Span, columns: Span) -> Image:
    """Return part of a picture, scaled: columns first, then rows.

    Args:
        pixels: (H, W, 3) uint8.
        rows: What becomes rows of the result, within [0, H]; the places are rounded to float32.
        columns: What becomes columns of the result, within [0, W].

    Returns:
        (rows.length, columns.length, 3) uint8; must not be changed.
    """
    return _run(pixels, (1, 1), [(_COLUMNS, columns), (_ROWS, rows)])


def _run(pixels: Image, cell: tuple[int, int], passes: _Passes) -> Image:
    return (_with_pillow if _pillow_agrees() else _by_definition)(pixels, cell, passes)


def _with_pillow(pixels: Image, cell: tuple[int, int], passes: _Passes) -> Image:
    image = PILImage.fromarray(pixels)
    if cell != (1, 1):
        image = image.reduce(cell[::-1])
    # One side at a time: in which order Pillow takes them depends on its version.
    for axis, (start, end, length) in passes:
        width, height = image.size
        if axis == _ROWS:
            image = image.resize((width, length), _FILTER, box=(0, start, width, end))
        else:
            image = image.resize((length, height), _FILTER, box=(start, 0, end, height))
    return np.asarray(image)


def _by_definition(pixels: Image, cell: tuple[int, int], passes: _Passes) -> Image:
    if cell != (1, 1):
        pixels = _reduced(pixels, cell)
    for axis, span in passes:
        # Rows are what lies together in memory.
        upright = pixels if axis == _ROWS else pixels.transpose(1, 0, 2)
        done = _filtered(upright, span)
        pixels = done if axis == _ROWS else done.transpose(1, 0, 2)
    return np.ascontiguousarray(pixels)


def _reduced(pixels: Image, cell: tuple[int, int]) -> Image:
    """Return the mean of each cell; those at the right and at the bottom may be partial."""
    height, width = pixels.shape[:2]
    tops, lefts = np.arange(0, height, cell[0]), np.arange(0, width, cell[1])
    heights = np.minimum(cell[0], height - tops)
    widths = np.minimum(cell[1], width - lefts)
    reduced = np.empty((len(tops), len(lefts), 3), np.uint8)
    step = max(1, _BAND_VALUES // (3 * width * cell[0]))
    for first in range(0, len(tops), step):
        band = pixels[tops[first] : tops[first] + step * cell[0]]
        starts = tops[first : first + step] - tops[first]
        sums = np.add.reduceat(band, starts, axis=0, dtype=np.uint64)
        sums = np.add.reduceat(sums, lefts, axis=1)
        counts = np.multiply.outer(heights[first : first + step], widths)[..., None]
        counts = counts.astype(np.uint64)
        factors = np.uint64(1 << 24) // counts
        reduced[first : first + step] = (sums + counts // 2) * factors >> np.uint64(24)
    return reduced


def _filtered(pixels: Image, span: Span) -> Image:
    """Filter along the first axis."""
    filtered = np.empty((span.length, *pixels.shape[1:]), np.uint8)
    for at in range(0, span.length, _BLOCK):
        first, weights = _weights(len(pixels), span, range(span.length)[at : at + _BLOCK])
        step = max(1, _BAND_VALUES // (3 * len(weights[0])))
        for left in range(0, pixels.shape[1], step):
            band = pixels[first : first + len(weights[0]), left : left + step]
            # Products and sums are integers below 2^53, hence exact in any order.
            sums = np.tensordot(weights, band.astype(np.float64, order="C"), axes=1) + 2.0 ** (
                _BITS - 1
            )
            grey = np.minimum(np.floor(sums * 2.0**-_BITS), 255)
            filtered[at : at + _BLOCK, left : left + step] = grey
    return filtered


def _weights(size: int, span: Span, block: range) -> tuple[int, NDArray[np.float64]]:
    """Return the first pixel that a block of results sees, and the weights from there on.

    The weights are whole numbers, (results, pixels).
    """
    begin, end = np.float32(span.start), np.float32(span.end)
    scale = np.float64(end - begin) / span.length
    support = max(scale, np.float64(1))
    centres = np.float64(begin) + (np.arange(block.start, block.stop)[:, None] + 0.5) * scale
    first = np.maximum(0, np.trunc(centres - support + 0.5))
    last = np.minimum(size, np.trunc(centres + support + 0.5))
    pixels = np.arange(int(first[0, 0]), int(last[-1, 0]))
    distances = np.abs((pixels - centres + 0.5) * (1 / support))
    is_seen = (first <= pixels) & (pixels < last)
    shares = np.where(is_seen, np.maximum(1 - distances, 0), 0)
    # Summed from left to right: `sum` adds in another order, and so rounds otherwise.
    totals = np.cumsum(shares, axis=1)[:, -1:]
    return int(pixels[0]), np.floor(0.5 + shares / totals * (1 << _BITS))


def noise(seed: int, height: int, width: int) -> Image:
    """Return pixels that any language can make: the high bytes of a congruential generator.

    The state begins with `seed`; each byte, in order of rows, columns and channels, is the
    highest of `state = (1664525 * state + 1013904223) mod 2^32`.
    """
    count = 3 * height * width
    values, state = bytearray(count), seed
    for at in range(count):
        state = (1_664_525 * state + 1_013_904_223) & 0xFFFF_FFFF
        values[at] = state >> 24
    return np.frombuffer(bytes(values), np.uint8).reshape(height, width, 3)


def _pillow_agrees() -> bool:
    with _lock:
        return _looked_at()


@functools.cache
def _looked_at() -> bool:
    """Compare Pillow with the definition, and say so once if it differs."""
    picture = noise(7, 23, 17)
    for cell, passes in _LOOKED_AT:
        expected = _by_definition(picture, cell, passes)
        if not np.array_equal(_with_pillow(picture, cell, passes), expected):
            logger.warning(
                "Pillow %s resamples pictures differently from what models expect. foveal's own "
                "resampling is used instead: the same pixels, but several times slower.",
                PIL.__version__,
            )
            return False
    return True


# Of a picture of 23 x 17 pixels: making it smaller and larger, a part of it, and cells.
_LOOKED_AT: tuple[tuple[tuple[int, int], _Passes], ...] = (
    ((1, 1), [(_COLUMNS, Span(0.0, 17.0, 5)), (_ROWS, Span(0.0, 23.0, 9))]),
    ((1, 1), [(_ROWS, Span(0.0, 23.0, 31)), (_COLUMNS, Span(0.0, 17.0, 29))]),
    ((1, 1), [(_COLUMNS, Span(0.5, 16.25, 7)), (_ROWS, Span(1.25, 20.5, 6))]),
    ((3, 2), [(_COLUMNS, Span(0.0, 17 / 2, 3)), (_ROWS, Span(0.0, 23 / 3, 2))]),
    ((4, 4), [(_ROWS, Span(0.0, 23 / 4, 2))]),
)
