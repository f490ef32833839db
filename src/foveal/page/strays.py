"""Estimate stroke width and glyph height of a page, and remove stray lines."""

from __future__ import annotations

from typing import Final

import numpy as np

from foveal.page.boxes import LEAST_FILL, Boxes, sides
from foveal.page.clean import Mask
from foveal.page.opencv import opencv
from foveal.page.outlines import Ink, outline

# Of the width of the strokes: stray lines are thinner, the stems of most glyphs are not. Wider
# and wider openings free what one alone leaves tied or, as a wide one does with thin fonts, breaks.
_OPENINGS: Final = (0.5, 0.7, 0.9)
_GLYPH_FILL: Final = 0.2
# Height in widths: of a one in a light font it is 10.
_THINNEST: Final = 16
# In glyph heights: a glyph by itself is no higher, and none is wider and fills so little of its
# box as the strays that cross a page.
_LARGEST: Final = 1.5
_SPARSE_FILL: Final = 0.2
_BAR_HEIGHT: Final = 0.24
_WIDE_BAR: Final = 1.4


def stroke_width(mask: Mask) -> float:
    """Return the usual width of the strokes in pixels; 0 without ink. Wide ones weigh more."""
    cv2 = opencv()
    ink = int(cv2.countNonZero(mask))
    if ink == 0:
        return 0.0
    # Across a stroke the distance to its edge is 1, 2, … width / 2 and back again.
    depths = cv2.sumElems(cv2.distanceTransform(mask, cv2.DIST_L2, 3))[0]
    return 4 * float(depths) / ink - 2


def usual_height(mask: Mask, stroke: float) -> float:
    """Return the median height of pieces of ink; 0 where there are none.

    Each piece has as many votes as pixels times its height, so specks have few. Stray lines tie
    glyphs of different lines together; they are thinner than the strokes of the text, so only
    thick ink is looked at.
    """
    boxes, ink = outline(_opened(mask, _OPENINGS[0] * stroke)).measure()
    widths, heights = sides(boxes)
    fill = ink / (widths * heights)
    # Glyphs that are tied together by stray lines fill their box less than a glyph by itself; a
    # stray that is nearly upright fills it, but is thinner than any glyph.
    thick = _THINNEST * widths >= heights
    solid = thick & (fill >= (_GLYPH_FILL if (thick & (fill >= _GLYPH_FILL)).any() else LEAST_FILL))
    if not solid.any():
        return 0.0
    heights, ink = heights[solid], ink[solid]
    order = np.argsort(heights, kind="stable")
    votes = np.cumsum(ink[order] * heights[order])
    return float(heights[order][np.searchsorted(votes, votes[-1] / 2)])


def loosen(mask: Mask, stroke: float, height: float) -> tuple[Boxes, Ink, Boxes]:
    """Take ink apart that hangs together over more than a glyph: stray lines and bows tie it.

    Only such ink is opened, so a thin glyph stays whole where no stray touches it.

    Args:
        mask: (H, W) uint8, 255 where there is ink.
        stroke: Usual width of a stroke, in pixels.
        height: Height of a usual glyph, in pixels.

    Returns:
        Box and count of pixels of each piece; and the boxes of the thin scraps that the openings
        cut off, as far as they are no longer than a glyph.
    """
    kept: list[tuple[Boxes, Ink]] = []
    scraps = np.empty((0, 4), np.int64)
    tied = mask
    for share in (0.0, *_OPENINGS):
        core = _opened(tied, share * stroke) if share else mask
        if share == _OPENINGS[0]:
            scraps, _ = outline(opencv().subtract(tied, core)).measure()
        outlines = outline(core)
        boxes, ink = outlines.measure()
        widths, heights = sides(boxes)
        is_sparse = ink < _SPARSE_FILL * widths * heights
        is_tied = heights > _LARGEST * height
        is_tied |= (widths > _LARGEST * height) & is_sparse
        kept.append((boxes[~is_tied], ink[~is_tied]))
        if not is_tied.any():
            break
        tied = outlines.draw(is_tied, mask.shape)
    else:
        # As thick as text all over: a large heading, perhaps.
        kept.append((boxes[is_tied], ink[is_tied]))
    pieces, counts = zip(*kept, strict=True)
    is_short = np.maximum(*sides(scraps)) <= height
    return np.concatenate(pieces), np.concatenate(counts), scraps[is_short]


def long_bars(mask: Mask, height: float) -> Boxes:
    """Return the level strokes that are wider than a glyph, even where they touch one."""
    cv2 = opencv()
    kernel = np.ones((1, max(3, round(_WIDE_BAR * height))), np.uint8)
    bars, _ = outline(cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)).measure()
    flat: Boxes = bars[sides(bars)[1] <= _BAR_HEIGHT * height]
    return flat


def _opened(mask: Mask, size: float) -> Mask:
    """Return the ink that is at least `size` pixels wide both ways; a square is fast."""
    side = max(1, round(size))
    kernel = np.ones((side, side), np.uint8)
    opened: Mask = opencv().morphologyEx(mask, opencv().MORPH_OPEN, kernel)
    return opened
