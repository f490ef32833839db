"""The step `lines`: find the boxes of the lines of text in a page's ink."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from foveal.page.boxes import (
    FAR_OVERLAP,
    LEAST_FILL,
    Box,
    Boxes,
    bounds,
    group,
    in_reading_order,
    sides,
    usual_gap,
)
from foveal.page.clean import Mask
from foveal.page.fractions import find_fractions, in_one_row
from foveal.page.opencv import opencv
from foveal.page.strays import long_bars, loosen, stroke_width, usual_height

# Larger pages are looked at in a size of about so many pixels: text stays plain, and the time is
# a quarter or less.
_LOOK_PIXELS: Final = 600_000
# Lower ink is not text that anybody can read, whatever the page.
_LEAST_GLYPH_PX: Final = 8
# More pieces of ink than this are no text: the largest are taken, so that the time is bounded.
_MOST_GLYPHS: Final = 1500
# In heights of a usual glyph.
_LEAST_GLYPH: Final = 0.45
_LARGEST_GLYPH: Final = 3.0
_WHOLE_GLYPH: Final = 0.65
_BAR_HEIGHT: Final = 0.3
_LARGEST_PART: Final = 1.5
_LEAST_PART: Final = 0.35
_LEAST_BAR: Final = 0.2
# Beside a line, beyond its usual gap; less on a page full of specks.
_PART_GAP: Final = 0.8
_SPECKLED_GAP: Final = 0.3
# Parts stand no further above or below a line.
_PART_SLACK: Final = 0.05
# The dots of a semicolon; specks are as large, so a line grows by one gap with them at most.
_LEAST_DOT: Final = 0.12
# Lesser bits of a glyph that came apart.
_BIT_GAP: Final = 0.25
# Parts may stand under or over the rest, as the feet of 黄 or the top of 海, by this much.
_PART_REACH: Final = 0.45
_MARGIN: Final = 0.15
# Rests of stray lines are narrower than most glyphs, or one stroke from corner to corner that is
# thinner than the text's by this.
_NARROW: Final = 0.13
_SURE_STROKE: Final = 0.85
_SURE_FILL: Final = 0.6
_LEAST_PART_FILL: Final = 0.15
# A glyph in a thin font has about so much of the usual width of the strokes; most strays have less.
_LEAST_STROKE: Final = 0.5


def find_lines(mask: Mask, *, unstack: bool = False) -> list[Box]:
    """Return the boxes of the lines of text, in reading order; none for an empty page.

    Args:
        mask: (H, W) uint8, 255 where there is ink.
        unstack: Whether lines with built-up fractions are divided into boxes of one row of signs.
    """
    factor = max(1, round(math.sqrt(mask.size / _LOOK_PIXELS)))
    height, width = mask.shape
    return [
        (x0 * factor, y0 * factor, min(width, x1 * factor), min(height, y1 * factor))
        for x0, y0, x1, y1 in _find(_reduced(mask, factor), unstack=unstack)
    ]


def _find(mask: Mask, *, unstack: bool) -> list[Box]:
    stroke = stroke_width(mask)
    height = usual_height(mask, stroke)
    if height < _LEAST_GLYPH_PX:
        return []
    boxes, ink, scraps = loosen(mask, stroke, height)
    widths, heights = sides(boxes)
    fill = ink / (widths * heights)
    is_glyph = (heights >= _LEAST_GLYPH * height) & (heights <= _LARGEST_GLYPH * height)
    glyphs = np.flatnonzero(is_glyph & (fill >= LEAST_FILL))
    glyphs = np.sort(glyphs[np.argsort(-ink[glyphs], kind="stable")[:_MOST_GLYPHS]])
    thickness = ink / (stroke * np.hypot(widths, heights))
    is_sure = (thickness >= _SURE_STROKE) | (fill >= _SURE_FILL)
    is_sure &= np.minimum(widths, heights) >= _NARROW * height
    is_part = (heights <= _LARGEST_PART * height) & (fill >= _LEAST_PART_FILL)
    is_part &= thickness >= _LEAST_STROKE
    # There a dot by itself is a speck rather than a full stop that stands far off.
    is_speckled = np.count_nonzero(~is_glyph & is_part) > len(glyphs)
    beyond = (_SPECKLED_GAP if is_speckled else _PART_GAP) * height
    parts = np.vstack([boxes[is_part], scraps])
    bars = np.vstack([_flat(boxes, height), long_bars(mask, height)])
    ink = np.vstack([boxes[glyphs], parts])
    fractions = find_fractions(boxes[glyphs], is_sure[glyphs], ink, bars, height)
    tied = [fraction.members for fraction in fractions]
    lines = []
    for places in group(boxes[glyphs], is_sure[glyphs], height, tied):
        members = glyphs[places]
        # Text is sure somewhere; a low piece of ink by itself is a speck.
        is_speck = len(members) == 1 and heights[members[0]] < _WHOLE_GLYPH * height
        if is_sure[members].any() and not is_speck:
            gap = usual_gap(boxes[members]) + beyond
            lines.append(_with_parts(bounds(boxes[members]), parts, gap, height))
    ordered = in_reading_order([_padded(line, height, mask) for line in _joined(lines, height)])
    if not unstack:
        return ordered
    # A minus sign in a thin font is a bar, but no part.
    signs = np.vstack([ink, bars])
    rows = [in_one_row(line, fractions, signs, boxes[glyphs], height) for line in ordered]
    return [box for row in rows for box in row]


def _flat(boxes: Boxes, height: float) -> Boxes:
    """Return what may be a bar, or a bit of one."""
    widths, heights = sides(boxes)
    is_bar = (widths >= 2 * heights) & (heights <= _BAR_HEIGHT * height)
    flat: Boxes = boxes[is_bar & (widths >= _LEAST_BAR * height)]
    return flat


def _reduced(mask: Mask, factor: int) -> Mask:
    """Return the mask in 1 / `factor` of its size: ink wherever there was any."""
    if factor == 1:
        return mask
    height, width = mask.shape
    rows, columns = -(-height // factor), -(-width // factor)
    padded = np.zeros((rows * factor, columns * factor), np.uint8)
    padded[:height, :width] = mask
    small = opencv().resize(padded, (columns, rows), interpolation=opencv().INTER_AREA)
    reduced: Mask = np.where(small > 0, np.uint8(255), np.uint8(0))
    return reduced


def _joined(lines: Sequence[Box], height: float) -> list[Box]:
    """Join lines that came to overlap when they grew, until none do.

    A fraction makes the box of its line reach into the one above, elsewhere than it stands: that
    much overlap is none.
    """
    joined = list(lines)
    while joined:
        boxes = np.asarray(joined, np.int64)
        sure = np.ones(len(boxes), np.bool_)
        groups = [
            bounds(boxes[members]) for members in group(boxes, sure, height, level=FAR_OVERLAP)
        ]
        if len(groups) == len(joined):
            break
        joined = groups
    return joined


def _with_parts(line: Box, parts: Boxes, gap: float, height: float) -> Box:
    """Return the line with the smaller ink in it, or beyond its ends by a gap that is usual."""
    size = np.maximum(*sides(parts))
    large = parts[size >= _LEAST_PART * height]
    width = 0
    # Upwards and downwards it grows in the last round only: once.
    while line[2] - line[0] > width:
        width = line[2] - line[0]
        line = _grown(line, large, gap, _PART_REACH * height, _PART_SLACK * height)
    line = _grown(line, parts, _BIT_GAP * height)
    return _grown(line, parts[size >= _LEAST_DOT * height], gap)


def _grown(line: Box, parts: Boxes, gap: float, reach: float = 0.0, slack: float = 0.0) -> Box:
    """Return the line with parts up to `gap` beside it.

    Args:
        line: Grows to the sides, or else upwards and downwards.
        parts: Boxes.
        gap: How far beside the line a part may begin, in pixels.
        reach: How far above or below the line a part may end.
        slack: How far above or below the line a part may begin.
    """
    x0, y0, x1, y1 = line
    near = (
        (parts[:, 1] >= y0 - reach)
        & (parts[:, 3] <= y1 + reach)
        & (parts[:, 1] <= y1 + slack)
        & (parts[:, 3] >= y0 - slack)
        & (parts[:, 0] < x1 + gap)
        & (parts[:, 2] > x0 - gap)
    )
    if not near.any():
        return line
    left, top, right, bottom = bounds(parts[near])
    if left < x0 or right > x1:
        return min(x0, left), y0, max(x1, right), y1
    return x0, min(y0, top), x1, max(y1, bottom)


def _padded(line: Box, height: float, mask: Mask) -> Box:
    margin = round(_MARGIN * height)
    x0, y0, x1, y1 = line
    return (
        max(0, x0 - margin),
        max(0, y0 - margin),
        min(mask.shape[1], x1 + margin),
        min(mask.shape[0], y1 + margin),
    )
