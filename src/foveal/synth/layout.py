"""The layout of a formula on a page: lines, and a built-up fraction."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

from foveal.synth.glyphs import size_of

BAR = "/"
"""Stands for a fraction's bar, whose `Mark.width` says how long it is."""

# All in parts of the font's size. A number's digits stand closer than signs around them.
_GAP = 0.1
_FRACTION_SCALE = 0.85
# From the line's middle to that of the numerator and the denominator.
_NUMERATOR_Y = -0.6
_DENOMINATOR_Y = 0.52
_OVERHANG = 0.15
_SEMICOLON_Y = 0.16
_LINE_HEIGHT = 1.25
_FRACTION_HEIGHT = 2.4
# Of the page's width and height, the most that text takes.
_FILL = 0.92
# Widest letter spacing.
_SPREAD = 0.8
_DRAWN_PX = 96


@final
@dataclass(frozen=True, slots=True)
class Mark:
    """One sign, or a fraction's bar.

    Attributes:
        sign: The character; `BAR` for a bar.
        font: Font file to draw it with.
        x: Horizontal position of its middle.
        y: Vertical position of its middle, downwards.
        size: Size of the font.
        width: Width of the ink.
    """

    sign: str
    font: str
    x: float
    y: float
    size: float
    width: float


@final
@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, measured from its left end and its middle; in parts of the font's size."""

    marks: tuple[Mark, ...]
    width: float
    height: float


def split_lines(text: str) -> list[str]:
    """Return the lines of a formula: each assignment with its semicolon, then the expression."""
    return re.findall(r"[^;]+;?", text)


def set_line(text: str, font_of: Callable[[str], str], gap: float = _GAP) -> Line:
    """Set one line.

    Args:
        text: `流=42072;` or an expression; `C/123` is built up.
        font_of: Returns a font file for a sign.
        gap: Between signs.
    """
    marks: list[Mark] = []
    x = 0.0
    has_fraction = False
    for numerator, denominator, sign in re.findall(r"(.)/(\d+)|(.)", text):
        if sign:
            y = _SEMICOLON_Y if sign == ";" else 0.0
            part, width = _row(sign, font_of, 1.0, gap, y)
        else:
            has_fraction = True
            part, width = _fraction(numerator, denominator, font_of, min(gap, 2 * _GAP))
        marks += [replace(mark, x=mark.x + x) for mark in part]
        x += width + gap
    height = _FRACTION_HEIGHT if has_fraction else _LINE_HEIGHT
    return Line(tuple(marks), x - gap, height)


def _row(
    text: str, font_of: Callable[[str], str], size: float, gap: float, y: float
) -> tuple[list[Mark], float]:
    """Return signs side by side, and how wide they are together."""
    marks: list[Mark] = []
    x = 0.0
    for sign in text:
        font = font_of(sign)
        width = size_of(font, _DRAWN_PX, sign)[0] / _DRAWN_PX * size
        marks.append(Mark(sign, font, x + width / 2, y, size, width))
        x += width + gap
    return marks, x - gap


def _fraction(
    numerator: str, denominator: str, font_of: Callable[[str], str], gap: float
) -> tuple[list[Mark], float]:
    above, above_width = _row(numerator, font_of, _FRACTION_SCALE, gap, _NUMERATOR_Y)
    below, below_width = _row(denominator, font_of, _FRACTION_SCALE, gap, _DENOMINATOR_Y)
    width = max(above_width, below_width) + 2 * _OVERHANG
    bar = Mark(BAR, "", width / 2, 0.0, 1.0, width)
    marks = [replace(mark, x=mark.x + (width - above_width) / 2) for mark in above]
    marks += [replace(mark, x=mark.x + (width - below_width) / 2) for mark in below]
    return [*marks, bar], width


def fill_page(
    lines: Sequence[str],
    font_of: Callable[[str], str],
    width: int,
    height: int,
    rng: random.Random | None,
) -> list[Mark]:
    """Return all marks of a page in pixels.

    The text is as large as the page allows, or up to a fifth smaller; a page that is too wide
    for it has its signs further apart.

    Args:
        lines: From top to bottom.
        font_of: Returns a font file for a sign; asked once for each sign on the page.
        width: Width of the page, in pixels.
        height: Height of the page, in pixels.
        rng: Chooses size, spacing and place; None sets the text large and evenly.
    """
    chosen = [[font_of(sign) for sign in line] for line in lines]
    gap = _GAP if rng else 3.5 * _GAP
    tight = [_set(line, fonts, gap) for line, fonts in zip(lines, chosen, strict=True)]
    widest = max(line.width for line in tight)
    size = min(_FILL * width / widest, _FILL * height / sum(line.height for line in tight))
    if rng:
        size *= rng.uniform(0.8, 1.0)
        signs = max(len(line.marks) for line in tight)
        room = (_FILL * width / size - widest) / signs
        gap += rng.uniform(0.4, 1.0) * min(_SPREAD, room)
        tight = [_set(line, fonts, gap) for line, fonts in zip(lines, chosen, strict=True)]
    return _place(tight, size, width, height, rng)


def _set(text: str, fonts: Sequence[str], gap: float) -> Line:
    # The fonts of a line in the order of its signs; set_line asks in the same order, but for
    # the fraction's bar, which has none.
    waiting = iter([font for font, sign in zip(fonts, text, strict=True) if sign != BAR])
    return set_line(text, lambda _: next(waiting), gap)


def _place(
    lines: Sequence[Line], size: float, width: int, height: int, rng: random.Random | None
) -> list[Mark]:
    """Return the lines' marks in pixels, the lines spread over the page's height."""
    slack = height - size * sum(line.height for line in lines)
    weights = [rng.uniform(0.3, 1.0) if rng else 1.0 for _ in range(len(lines) + 1)]
    marks = []
    y = 0.0
    for line, weight in zip(lines, weights, strict=False):
        y += slack * weight / sum(weights) + size * line.height / 2
        free = width - size * line.width
        # Not further than the margin from one side: also short lines begin somewhere.
        left = free * (rng.uniform(0.1, 0.9) if rng else 0.5)
        slope = rng.uniform(-0.15, 0.15) * size / width if rng else 0.0
        for mark in line.marks:
            x = left + mark.x * size
            marks.append(
                replace(
                    mark, x=x, y=y + mark.y * size + slope * (x - width / 2),
                    size=mark.size * size, width=mark.width * size,
                )
            )  # fmt: skip
        y += size * line.height / 2
    return marks
