"""How high the glyphs of a page are, and its ink without stray lines."""

from __future__ import annotations

from typing import Final

import numpy as np

from foveal.page.boxes import LEAST_FILL, measure_ink, sides
from foveal.page.clean import Mask, morph
from foveal.page.opencv import opencv

# Of the width of the strokes: stray lines are thinner, the stems of most glyphs are not.
_THIN: Final = 0.5
# Stray lines are longer than so many glyph heights and not so level (rise by run) as a bar.
_LONG: Final = 1.6
_LEVEL: Final = 0.03
# A line may be found along the diagonal of a bar this high.
_BAR_HEIGHT: Final = 0.12
_LONGEST_BAR: Final = 7.0
# The rests of a line that crossed another are found when that one is gone.
_PASSES: Final = 2
# They are looked for where glyphs are so high, in places that hold so much ink (of 255).
_GLYPH_PX: Final = 32
_INK: Final = 40


def usual_height(mask: Mask) -> float:
    """Return the median height of pieces of ink; 0 where there are none.

    Each piece has as many votes as pixels times its height, so specks have few. Stray lines tie
    glyphs of different lines together; they are thinner than the strokes of the text, so only
    thick ink is looked at.
    """
    cv2 = opencv()
    depth = cv2.distanceTransform(mask, cv2.DIST_L1, 3)[mask > 0]
    if not len(depth):
        return 0.0
    # Across a stroke the distance to its edge is 1, 2, … width / 2 and back again.
    stroke = 4 * float(np.median(depth)) - 2
    size = int(_THIN * stroke) | 1
    boxes, ink = measure_ink(morph(mask, "open", size) if size >= 3 else mask)
    widths, heights = sides(boxes)
    solid = ink >= LEAST_FILL * widths * heights
    if not solid.any():
        return 0.0
    heights, ink = heights[solid], ink[solid]
    order = np.argsort(heights, kind="stable")
    votes = np.cumsum(ink[order] * heights[order])
    return float(heights[order][np.searchsorted(votes, votes[-1] / 2)])


def without_strays(mask: Mask, height: float) -> Mask:
    """Return the ink without straight lines that are longer than any stroke of a glyph.

    Level lines of the length of a fraction's bar stay.

    Args:
        mask: (H, W) uint8, 255 where there is ink.
        height: Height of a usual glyph, in pixels.
    """
    clean = mask
    for _ in range(_PASSES):
        segments = _long_segments(clean, height)
        if not segments:
            break
        clean = clean if clean is not mask else mask.copy()
        thickness = max(3, round(2 * height / _GLYPH_PX))
        for start, end in segments:
            opencv().line(clean, start, end, 0, thickness=thickness)
    return clean


def _long_segments(mask: Mask, height: float) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the ends of stray lines; looks only where ink hangs together over a glyph's size."""
    cv2 = opencv()
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    is_large = np.max(stats[:, 2:4], axis=1) > _LONG * height
    is_large[0] = False
    if not is_large.any():
        return []
    scale = min(1.0, _GLYPH_PX / height)
    suspect = np.where(is_large, np.uint8(255), np.uint8(0))[labels]
    small = cv2.resize(suspect, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    least = round(_LONG * height * scale)
    found = cv2.HoughLinesP(
        np.where(small > _INK, np.uint8(255), np.uint8(0)),
        rho=1,
        theta=np.pi / 180,
        threshold=least // 2,
        minLineLength=least,
        maxLineGap=2,
    )
    segments = []
    for x0, y0, x1, y1 in () if found is None else found.reshape(-1, 4) / scale:
        run, rise = abs(x1 - x0), abs(y1 - y0)
        is_level = rise <= _LEVEL * run + _BAR_HEIGHT * height
        if not is_level or run > _LONGEST_BAR * height:
            segments.append(((round(x0), round(y0)), (round(x1), round(y1))))
    return segments
