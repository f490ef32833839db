"""Built-up fractions: a bar with glyphs close above and below it, set in one row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from foveal.page.boxes import Box, Boxes, bounds, connected, overlap, sides

# All in heights of a usual glyph.
# Bits of a bar are level with each other up to this; what stands above or below it is not.
_LEVEL: Final = 0.2
_BAR_GAP: Final = 0.5
_SHORTEST_BAR: Final = 0.5
# A stray line that is nearly level leaves thinner ones.
_THINNEST_BAR: Final = 0.03
# A part may begin within the bar, where that is askew, and ends no further away.
_SLACK: Final = 0.3
_REACH: Final = 0.8
# From the middle of the bar to the far side of the numerator or denominator.
_LEAST_ROW: Final = 0.7
# So far beside a bar, a row above or below it goes on; signs beside a fraction are lower than a
# whole glyph, or reach over the level of the bar.
_NEAR: Final = 1.0
_WHOLE: Final = 0.7
_LEAST_OVER: Final = 0.05
# A star or a minus sign that stands by itself beside a bar keeps its height in the row.
_BESIDE: Final = 0.65
# Lesser ink is a speck.
_LEAST_SIGN: Final = 0.3
# Digits reach over the ends of a bar by less.
_OVERHANG: Final = 0.25

# From the bar to the far side of the highest glyph.
_HIGHEST_ROW: Final = 2.0
# Between the gaps above and below a bar.
_LOPSIDED: Final = 0.5

# Of its width: a bar rises less, where the page is askew.
_RISE: Final = 0.06
# The longest are looked at, so that the time is bounded.
_MOST_BARS: Final = 200
# Of one bar.
_MOST_BITS: Final = 8


@final
@dataclass(frozen=True, slots=True)
class Fraction:
    """A built-up fraction.

    Attributes:
        bar: The bar between numerator and denominator.
        members: Indices of the glyphs above and below it.
        box: All of it.
    """

    bar: Box
    members: NDArray[np.intp]
    box: Box


def find_fractions(
    glyphs: Boxes, is_sure: NDArray[np.bool_], ink: Boxes, bars: Boxes, height: float
) -> list[Fraction]:
    """Return the fractions of a page.

    Args:
        glyphs: Boxes of whole glyphs.
        is_sure: Whether each is a glyph and no rest of a stray line.
        ink: All pieces of ink that may belong to the text.
        bars: Flat boxes: the bars of fractions or bits of them, minus signs, underlines.
        height: Height of a usual glyph, in pixels.
    """
    found: list[Fraction] = []
    left = _level_bits(bars, height)
    while left:
        bits = left.pop()
        tried = [
            (_misfit(run, fraction, glyphs, height), fraction)
            for run in _runs(bits)
            if (fraction := _fraction(run, glyphs, is_sure, ink, height)) is not None
        ]
        if tried:
            best = min(tried, key=lambda one: one[0])[1]
            found.append(best)
            # Another one may stand beside it, with a sign between them that is a bar too.
            left += [bits[bits[:, 2] <= best.bar[0]], bits[bits[:, 0] >= best.bar[2]]]
    return found


def in_one_row(
    line: Box, fractions: Sequence[Fraction], ink: Boxes, glyphs: Boxes, height: float
) -> list[Box]:
    """Divide a line into boxes that hold one row of signs each, in the order of reading.

    A numerator comes before its denominator. Both keep the bar, which tells them from what
    stands beside them. Of fractions within fractions the widest are divided.

    Args:
        line: Box of the line.
        fractions: Those of the page.
        ink: All pieces of ink that may belong to the text.
        glyphs: Whole glyphs.
        height: Height of a usual glyph, in pixels.
    """
    inside = _widest([fraction for fraction in fractions if _holds(line, fraction.bar)])
    if not inside:
        return [line]
    boxes: list[Box] = []
    x0, y0, x1, y1 = line
    for fraction in inside:
        start, end = _edges(fraction, ink, height, x0, x1)
        boxes += _beside((x0, y0, start, y1), fraction.bar, ink, glyphs, height)
        boxes += [(start, y0, end, fraction.bar[3]), (start, fraction.bar[1], end, y1)]
        x0 = end
    return boxes + _beside((x0, y0, x1, y1), inside[-1].bar, ink, glyphs, height)


def _holds(line: Box, bar: Box) -> bool:
    middle_x, middle_y = (bar[0] + bar[2]) / 2, (bar[1] + bar[3]) / 2
    return line[0] <= middle_x <= line[2] and line[1] <= middle_y <= line[3]


def _widest(fractions: Sequence[Fraction]) -> list[Fraction]:
    """Return the fractions that stand beside each other, from left to right."""
    kept: list[Fraction] = []
    for fraction in sorted(fractions, key=lambda fraction: fraction.bar[0] - fraction.bar[2]):
        if all(fraction.box[0] >= k.box[2] or fraction.box[2] <= k.box[0] for k in kept):
            kept.append(fraction)
    return sorted(kept, key=lambda fraction: fraction.box)


def _edges(fraction: Fraction, ink: Boxes, height: float, left: int, right: int) -> tuple[int, int]:
    """Return where to cut left and right of a fraction: halfway to the signs beside it, if near.

    A sign that hangs together with a stray line is not seen, and must not be cut in two.
    """
    box, bar = fraction.box, fraction.bar
    level = ink[(ink[:, 1] < box[3]) & (ink[:, 3] > box[1])]
    signs = level[np.maximum(*sides(level)) >= _LEAST_SIGN * height]
    middles = (signs[:, 0] + signs[:, 2]) / 2
    before, after = signs[middles < bar[0], 2], signs[middles > bar[2], 0]
    spare = round(_OVERHANG * height)
    # What reaches far beyond the bar is the end of a stray line.
    start = max(box[0], bar[0] - spare)
    end = min(box[2], bar[2] + spare)
    start = max(int(before.max() + start) // 2, start - spare) if len(before) else left
    end = min(int(after.min() + end) // 2, end + spare) if len(after) else right
    return min(max(left, start), bar[0]), max(min(right, end), bar[2])


def _beside(box: Box, bar: Box, ink: Boxes, glyphs: Boxes, height: float) -> list[Box]:
    """Return the row of signs beside a fraction; none where there is no ink."""
    if not len(_within(ink, box)):
        return []
    middle = (bar[1] + bar[3]) / 2
    y0, y1 = middle - _BESIDE * height, middle + _BESIDE * height
    rows = _within(glyphs, box)
    if len(rows):
        y0, y1 = min(y0, rows[:, 1].min()), max(y1, rows[:, 3].max())
    return [(box[0], max(box[1], int(y0)), box[2], min(box[3], math.ceil(y1)))]


def _within(boxes: Boxes, box: Box) -> Boxes:
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (middles >= box[:2]).all(axis=1) & (middles <= box[2:]).all(axis=1)
    within: Boxes = boxes[inside]
    return within


def _level_bits(bars: Boxes, height: float) -> list[Boxes]:
    """Gather what may be bits of one bar, which strays cut into several, from left to right.

    Bits are level with the longest one: others may be those of a stray line, which rises.
    """
    longest = np.argsort(bars[:, 0] - bars[:, 2], kind="stable")
    bars = bars[longest[:_MOST_BARS]]
    middles = (bars[:, 1] + bars[:, 3]) / 2
    close = overlap(bars, bars, 0) >= -_BAR_GAP * height
    left = np.ones(len(bars), np.bool_)
    gathered = []
    for first in range(len(bars)):
        if not left[first]:
            continue
        level = np.flatnonzero(left & (np.abs(middles - middles[first]) <= _LEVEL * height))
        chains = connected(close[np.ix_(level, level)])
        chain = level[next(places for places in chains if first in level[places])]
        left[chain] = False
        bits = bars[chain[:_MOST_BITS]]
        gathered.append(bits[np.lexsort((bits[:, 2], bits[:, 0]))])
    return gathered


def _runs(bits: Boxes) -> list[Boxes]:
    """Return the bits that may be a bar together: neighbours, the minus beside a bar or not."""
    ends = range(1, len(bits) + 1)
    return [bits[start:end] for end in ends for start in range(end)]


def _fraction(
    bits: Boxes, glyphs: Boxes, is_sure: NDArray[np.bool_], ink: Boxes, height: float
) -> Fraction | None:
    """Return the fraction whose bar these bits are, if it is one."""
    x0, y0, x1, y1 = bounds(bits)
    thickness = int(sides(bits)[1].max())
    if x1 - x0 < _SHORTEST_BAR * height or y1 - y0 > thickness + _RISE * (x1 - x0):
        return None
    if y1 - y0 < _THINNEST_BAR * height:
        return None
    bar = _without_signs((x0, y0, x1, y1), glyphs, height)
    above, below = _stacked(ink, bar, height)
    if not (above.any() and below.any()) or _goes_on(glyphs[is_sure], bar, height):
        return None
    if _is_lopsided(ink[above], ink[below], bar, height):
        return None
    over, under = _rows(glyphs, bar, height)
    if not (over.any() or under.any()):
        return None
    parts = bounds(np.vstack([ink[above | below], glyphs[over | under]]))
    if not _is_high(parts, bar, height):
        return None
    members = np.flatnonzero(over | under)
    return Fraction(bar, members, bounds(np.asarray([parts, bar])))


def _without_signs(bar: Box, glyphs: Boxes, height: float) -> Box:
    """Return the bar without its ends that are strokes of the signs beside the fraction."""
    x0, y0, x1, y1 = bar
    signs = glyphs[_is_over(glyphs, bar, height)]
    first = signs[(signs[:, 0] <= x0) & (signs[:, 2] > x0) & (signs[:, 2] <= x0 + _NEAR * height)]
    last = signs[(signs[:, 2] >= x1) & (signs[:, 0] < x1) & (signs[:, 0] >= x1 - _NEAR * height)]
    x0 = max([x0, *first[:, 2].tolist()])
    x1 = min([x1, *last[:, 0].tolist()])
    return (x0, y0, x1, y1) if x0 < x1 else bar


def _misfit(bits: Boxes, fraction: Fraction, glyphs: Boxes, height: float) -> int:
    """Return by how many pixels a bar is longer or shorter than what stands above and below it.

    Gaps between its bits count too.
    """
    x0, _, x1, _ = fraction.bar
    stacked = np.union1d(fraction.members, np.flatnonzero(_beyond(glyphs, fraction.bar, height)))
    left, _, right, _ = bounds(glyphs[stacked])
    reached = np.maximum.accumulate(bits[:, 2])
    gaps = np.maximum(bits[1:, 0] - reached[:-1], 0).sum()
    return abs(x0 - left) + abs(x1 - right) + int(gaps)


def _rows(glyphs: Boxes, bar: Box, height: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which glyphs stand above a bar, and which below it.

    The top of 流 is a piece by itself that ends far above the bar, but level with others.
    """
    rows = _stacked(glyphs, bar, height)
    middles = (glyphs[:, 0] + glyphs[:, 2]) / 2
    inside = (middles >= bar[0]) & (middles <= bar[2])
    inside &= glyphs[:, 1] >= bar[1] - _HIGHEST_ROW * height
    inside &= glyphs[:, 3] <= bar[3] + _HIGHEST_ROW * height
    for row, is_on_side in zip(rows, (glyphs[:, 3] <= bar[1], glyphs[:, 1] >= bar[3]), strict=True):
        count = 0
        while row.sum() > count:
            count = int(row.sum())
            _, top, _, bottom = bounds(glyphs[row])
            row |= inside & is_on_side & (glyphs[:, 3] > top) & (glyphs[:, 1] < bottom)
    return rows


def _is_lopsided(over: Boxes, under: Boxes, bar: Box, height: float) -> bool:
    """Return whether one row is much closer to the bar: it is the foot of 之, or an underline."""
    rise, fall = bar[1] - int(over[:, 3].max()), int(under[:, 1].min()) - bar[3]
    return abs(rise - fall) > _LOPSIDED * height


def _stacked(boxes: Boxes, bar: Box, height: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which boxes stand close above a bar, and which below it."""
    reach, slack = _REACH * height, _SLACK * height
    middles = (boxes[:, 0] + boxes[:, 2]) / 2
    inside = (middles >= bar[0]) & (middles <= bar[2])
    inside &= np.maximum(*sides(boxes)) >= _LEAST_SIGN * height
    # What is level with the bar is a bit of it, or a sign beside the fraction.
    inside &= np.abs(boxes[:, 1] + boxes[:, 3] - bar[1] - bar[3]) >= 2 * _LEVEL * height
    rise, fall = bar[1] - boxes[:, 3], boxes[:, 1] - bar[3]
    above = inside & (rise >= -slack) & (rise <= reach)
    return above, inside & ~above & (fall >= -slack) & (fall <= reach)


def _is_part(boxes: Boxes, bar: Box, height: float) -> NDArray[np.bool_]:
    """Return which boxes stand close above or below a bar."""
    above, below = _stacked(boxes, bar, height)
    return above | below


def _goes_on(glyphs: Boxes, bar: Box, height: float) -> bool:
    """Return whether what stands above or below a bar goes on beside it: an underlined line."""
    return bool((_beyond(glyphs, bar, height) & (sides(glyphs)[1] >= _WHOLE * height)).any())


def _beyond(glyphs: Boxes, bar: Box, height: float) -> NDArray[np.bool_]:
    """Return which glyphs are in a row above or below a bar, but beyond its ends."""
    wide = (bar[0] - round(_NEAR * height), bar[1], bar[2] + round(_NEAR * height), bar[3])
    beside = _is_part(glyphs, wide, height) & ~_is_part(glyphs, bar, height)
    beyond: NDArray[np.bool_] = beside & ~_is_over(glyphs, bar, height)
    return beyond


def _is_over(glyphs: Boxes, bar: Box, height: float) -> NDArray[np.bool_]:
    """Return which glyphs reach over the level of a bar on both sides: signs beside a fraction."""
    reach = np.minimum(bar[1] - glyphs[:, 1], glyphs[:, 3] - bar[3])
    is_over: NDArray[np.bool_] = reach >= _LEAST_OVER * height
    return is_over


def _is_high(parts: Box, bar: Box, height: float) -> bool:
    """Return whether there is a row of signs on both sides: bits of one glyph are lower."""
    middle = (bar[1] + bar[3]) / 2
    return min(middle - parts[1], parts[3] - middle) >= _LEAST_ROW * height
