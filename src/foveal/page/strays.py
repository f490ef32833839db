"""How high the glyphs of a page are, and its ink without stray lines."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

from foveal.page.boxes import LEAST_FILL, Boxes, measure_ink, sides
from foveal.page.clean import Mask, morph
from foveal.page.opencv import opencv

Point: TypeAlias = tuple[int, int]
"""`x, y` in pixels."""

# Of the width of the strokes: stray lines are thinner, the stems of most glyphs are not.
_THIN: Final = 0.5
_GLYPH_FILL: Final = 0.2
# Stray lines are longer than so many glyph heights and not so level (rise by run) as a bar.
_LONG: Final = 1.6
_LEVEL: Final = 0.03
# A line may be found along the diagonal of a bar this high.
_BAR_HEIGHT: Final = 0.12
_LONGEST_BAR: Final = 7.0
_WIDE_BAR: Final = 1.2
# So close above and below a bar this share of the places has ink: more than specks have.
_BAR_REACH: Final = 0.9
_BAR_INK: Final = 0.03
# The rests of a line that crossed another are found when that one is gone.
_PASSES: Final = 2
_WIDTH: Final = 0.09
# They are looked for where glyphs are so high, in places that hold so much ink (of 255).
_GLYPH_PX: Final = 32
_INK: Final = 40
# Half a degree: over the width of a page one degree misses the line.
_ANGLE: Final = np.pi / 360


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
    fill = ink / (widths * heights)
    # Glyphs that are tied together by stray lines fill their box less than a glyph by itself.
    solid = fill >= (_GLYPH_FILL if (fill >= _GLYPH_FILL).any() else LEAST_FILL)
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
        thickness = max(3, round(_WIDTH * height))
        for start, end in segments:
            opencv().line(clean, start, end, 0, thickness=thickness)
    return clean


def _long_segments(mask: Mask, height: float) -> list[tuple[Point, Point]]:
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
        theta=_ANGLE,
        threshold=least // 2,
        minLineLength=least,
        maxLineGap=2,
    )
    segments = []
    for x0, y0, x1, y1 in () if found is None else found.reshape(-1, 4) / scale:
        start, end = (round(x0), round(y0)), (round(x1), round(y1))
        if not _is_bar(mask, start, end, height):
            segments.append((start, end))
    return segments


def _is_bar(mask: Mask, start: Point, end: Point, height: float) -> bool:
    """Tell whether a line is the bar of a fraction: level, with ink above and below."""
    (x0, x1), (y0, y1) = sorted((start[0], end[0])), sorted((start[1], end[1]))
    if y1 - y0 > _LEVEL * (x1 - x0) + _BAR_HEIGHT * height or x1 - x0 > _LONGEST_BAR * height:
        return False
    near, far = round(_BAR_HEIGHT * height) + 1, round(_BAR_REACH * height)
    above = mask[max(0, y0 - far) : max(0, y0 - near), x0:x1]
    below = mask[y1 + near : y1 + far, x0:x1]
    return all(part.size > 0 and part.mean() > 255 * _BAR_INK for part in (above, below))


def long_bars(mask: Mask, height: float) -> Boxes:
    """Return the level strokes that are wider than a glyph, even where they touch one."""
    cv2 = opencv()
    kernel = np.ones((1, max(3, round(_WIDE_BAR * height))), np.uint8)
    bars, _ = measure_ink(cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel))
    flat: Boxes = bars[sides(bars)[1] <= 2 * _BAR_HEIGHT * height]
    return flat
