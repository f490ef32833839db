"""Pieces of ink as boxes, joined to lines of text by how they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Boxes: TypeAlias = NDArray[np.int64]
"""(n, 4) `x0, y0, x1, y1` in pixels, end open."""

Box: TypeAlias = tuple[int, int, int, int]

# A diagonal line fills less of its box, a glyph more.
LEAST_FILL: Final = 0.08
# Neighbours in a line overlap by this share of the lower one: a fraction's numerator reaches
# about half of its height into the signs beside the bar, the line above it touches at most.
_OVERLAP: Final = 0.3
# Over a wide gap more is asked for: the page may be a little askew.
FAR_OVERLAP: Final = 0.5
# All in glyph heights. A wider gap starts a new piece, which stands after it anyway.
_LARGEST_GAP: Final = 2.5
_FAR_GAP: Final = 8.0


def sides(boxes: Boxes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the widths and the heights."""
    return boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]


def overlap(boxes: Boxes, others: Boxes, axis: int) -> NDArray[np.int64]:
    """Return (n, m): pixels that each pair shares along x (0) or y (1); negative for a gap."""
    start = np.maximum(boxes[:, None, axis], others[None, :, axis])
    end = np.minimum(boxes[:, None, axis + 2], others[None, :, axis + 2])
    shared: NDArray[np.int64] = end - start
    return shared


def group(
    glyphs: Boxes,
    is_sure: NDArray[np.bool_],
    height: float,
    tied: Sequence[NDArray[np.intp]] = (),
    *,
    level: float = _OVERLAP,
) -> list[NDArray[np.intp]]:
    """Return the glyphs of each line, as indices.

    Args:
        glyphs: Boxes of whole glyphs.
        is_sure: Whether each is a glyph and no rest of a stray line: only such ones are joined
            over a wide gap.
        height: Height of a usual glyph, in pixels.
        tied: Glyphs that belong together wherever they are: those of each fraction.
        level: Share of the lower one's height that neighbours have in common.
    """
    heights = sides(glyphs)[1]
    lower = np.minimum(heights[:, None], heights[None, :])
    shared = overlap(glyphs, glyphs, 1)
    gaps = -overlap(glyphs, glyphs, 0)
    linked = (shared >= level * lower) & (gaps <= _LARGEST_GAP * height)
    far = (shared >= FAR_OVERLAP * lower) & (gaps <= _FAR_GAP * height)
    linked |= far & is_sure[:, None] & is_sure[None, :]
    for members in tied:
        linked[np.ix_(members, members)] = True
    return connected(linked)


def connected(linked: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the groups of indices that links hold together.

    Args:
        linked: (n, n), symmetric.
    """
    left = np.ones(len(linked), bool)
    groups = []
    for start in range(len(linked)):
        if not left[start]:
            continue
        reached = np.zeros(len(linked), bool)
        edge = np.zeros(len(linked), bool)
        edge[start] = True
        while edge.any():
            reached |= edge
            edge = linked[edge].any(axis=0) & ~reached
        left &= ~reached
        groups.append(np.flatnonzero(reached))
    return groups


def usual_gap(boxes: Boxes) -> float:
    """Return the median gap between neighbours in a line, in pixels; 0 where they overlap."""
    order = boxes[np.argsort(boxes[:, 0], kind="stable")]
    gaps = order[1:, 0] - np.maximum.accumulate(order[:, 2])[:-1]
    # Pieces of one glyph stand over one another.
    gaps = gaps[gaps > 0]
    return float(np.median(gaps)) if len(gaps) else 0.0


def bounds(boxes: Boxes) -> Box:
    """Return the smallest box round all of them."""
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def in_reading_order(boxes: Sequence[Box]) -> list[Box]:
    """Sort lines from top to bottom, and pieces of one row from left to right."""
    rows: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: (box[1] + box[3], box)):
        if rows and (box[1] + box[3]) / 2 < min(other[3] for other in rows[-1]):
            rows[-1].append(box)
        else:
            rows.append([box])
    return [box for row in rows for box in sorted(row)]
