"""Pages with assignments to Han characters and an expression with a built-up fraction."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, final

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw

from foveal.synth.chance import any_color, dark_ink, light_paper, random_for
from foveal.synth.expressions import DIGITS, HAN, OPERATORS, formula_text
from foveal.synth.fonts import choose_fonts, plain_fonts
from foveal.synth.glyphs import Warp, paste, warped
from foveal.synth.kinds import KINDS, Drawn, Kind
from foveal.synth.layout import BAR, Mark, fill_page, split_lines
from foveal.synth.options import option, plain_text, span, truth, whole
from foveal.types import RawTarget

_NAMES = "".join(sorted(set(HAN)))
# What is drawn as a sign; the fraction's bar is not.
_SIGNS = "".join(sorted(DIGITS + OPERATORS + "()=;"))
_WIDTHS_PX = (800, 1600, 2400, 3200, 4000)
# A page is at most this many times as wide as high: lower ones would stay empty at their sides.
_WIDEST = 5
_TURN_DEGREES = 14.0
_CORNER = 0.07
# In parts of the font's size.
_SHIFT = 0.05
_BAR_HEIGHT = 0.055
_GRAIN_PX = 160
# So many of the stray lines run from edge to edge.
_EDGE_SHARE = 0.3


def _width(text: str) -> int:
    """Read a width, or 0."""
    width: int = 0 if text == "0" else whole(200, 8000)(text)
    return width


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """A page before it is drawn.

    Attributes:
        text: What the page says.
        width: Width of the page, in pixels.
        height: Height of the page, in pixels.
        marks: In the order of the text; a fraction's bar stands after its denominator.
    """

    text: str
    width: int
    height: int
    marks: list[Mark]


@final
@dataclass(frozen=True, slots=True)
class Formula(Kind):
    """Draws one or two assignments and an expression of four operators, each on its line.

    The one division is built up: a name over a number. The text gives it as `流/35864`.

    Attributes:
        width: Width of a picture, in pixels; 0 takes one of 800, 1600, 2400, 3200 and 4000 by lot.
        height: Lowest and highest picture, in pixels; at least a fifth of the width, if that is
            no more than the highest.
        fonts: Font files separated by commas that draw all signs, or empty for those at hand
            that people read most.
        plain: Not turned, warped, stained nor coloured: for checking labels.
        name_files: Fonts for the names; found by `prepared`.
        sign_files: Fonts for everything else; found by `prepared`.
    """

    name: ClassVar[str] = "formula"
    task: ClassVar[Literal["classify", "read"]] = "read"
    # A page has up to 12 MB.
    batch: ClassVar[int] = 4

    width: int = option(0, _width)
    height: tuple[int, int] = option((400, 1000), span(100, 4000))
    fonts: str = option("", plain_text)
    plain: bool = option(False, truth)
    name_files: tuple[str, ...] = ()
    sign_files: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Short description of the pictures."""
        return "pages with assignments and an expression of four operators"

    @property
    def alphabet(self) -> str:
        """Every character that a target may hold, each once, sorted."""
        return "".join(sorted({*_NAMES, *_SIGNS, BAR}))

    def prepared(self) -> Self:
        """Return the same kind with its fonts found; see `Kind.prepared`."""
        if self.fonts:
            names = signs = choose_fonts(self.fonts, _NAMES + _SIGNS)
        else:
            names, signs = plain_fonts(_NAMES), plain_fonts(_SIGNS)
        return replace(
            self,
            name_files=tuple(str(path) for path in names),
            sign_files=tuple(str(path) for path in signs),
        )

    def target(self, seed: int, index: int) -> RawTarget:
        """Return the text of a picture."""
        return (formula_text(random_for(seed, index)),)

    def draw(self, seed: int, index: int) -> Drawn:
        """Draw one picture; see `Kind.draw`."""
        rng = random_for(seed, index)
        layout = self.lay_out(rng)
        if self.plain:
            page = PILImage.new("RGB", (layout.width, layout.height), "white")
            for mark in layout.marks:
                paste(page, _ink(mark, Warp()), mark.x, mark.y, (0, 0, 0))
        else:
            page = _paper(layout.height, layout.width, rng)
            for mark in layout.marks:
                _write(page, mark, rng)
            _stain(page, rng)
        # Not np.array: a page has up to 12 MB, and its pixels would be copied once more.
        return Drawn(np.asarray(page), (layout.text,))

    def lay_out(self, rng: random.Random) -> Layout:
        """Choose the text, the size of the page, and where each sign stands on it.

        Args:
            rng: That of the picture, as `random_for` returns it.
        """
        text = formula_text(rng)
        width = self.width or rng.choice(_WIDTHS_PX)
        low, high = self.height
        height = rng.randint(min(high, max(low, width // _WIDEST)), high)
        marks = fill_page(
            split_lines(text),
            lambda sign: self._font_of(sign, rng),
            width,
            height,
            None if self.plain else rng,
        )
        return Layout(text, width, height, marks)

    def _font_of(self, sign: str, rng: random.Random) -> str:
        files = self.name_files if sign in _NAMES else self.sign_files
        return files[0] if self.plain else rng.choice(files)


def _paper(height: int, width: int, rng: random.Random) -> PILImage.Image:
    """Return a light page with the grain of a small tile, laid again and again."""
    noise = np.random.default_rng(rng.getrandbits(64))
    grain = noise.normal(0, rng.uniform(0, 8), (_GRAIN_PX, _GRAIN_PX, 1))
    tile = PILImage.fromarray(np.clip(light_paper(rng) + grain, 0, 255).astype(np.uint8))
    # Row by row, on pages that are not cleared first: a large page has some thousand tiles.
    row = PILImage.new("RGB", (width, _GRAIN_PX), None)
    for left in range(0, width, _GRAIN_PX):
        row.paste(tile, (left, 0))
    page = PILImage.new("RGB", (width, height), None)
    for top in range(0, height, _GRAIN_PX):
        page.paste(row, (0, top))
    return page


def _write(page: PILImage.Image, mark: Mark, rng: random.Random) -> None:
    """Lay a sign on the page, a little off its place."""
    color = dark_ink(rng)
    if mark.sign == BAR:
        paste(page, _ink(mark, Warp(rng.uniform(-1.5, 1.5))), mark.x, mark.y, color)
        return
    warp = Warp.by_lot(rng, _TURN_DEGREES, _CORNER)
    x = mark.x + rng.uniform(-_SHIFT, _SHIFT) * mark.size
    y = mark.y + rng.uniform(-_SHIFT, _SHIFT) * mark.size
    paste(page, _ink(mark, warp), x, y, color)


def _ink(mark: Mark, warp: Warp) -> PILImage.Image:
    if mark.sign != BAR:
        return warped(mark.font, mark.size, mark.sign, warp)
    size = (round(mark.width), max(2, round(_BAR_HEIGHT * mark.size)))
    bar = PILImage.new("L", size, 255)
    return bar.rotate(warp.turn, PILImage.Resampling.BILINEAR, expand=True)


def _stain(page: PILImage.Image, rng: random.Random) -> None:
    """Draw stray lines and bows across the page, and coloured specks on it."""
    draw = ImageDraw.Draw(page)
    width, height = page.size
    for _ in range(rng.randint(3, 8)):
        start = (rng.uniform(0, width), rng.uniform(0, height))
        # Never level, so that none passes for a fraction's bar.
        end = (rng.uniform(0, width), (start[1] + rng.uniform(0.25, 0.75) * height) % height)
        if rng.random() < _EDGE_SHARE:
            start, end = _beyond(start, end), _beyond(end, start)
        draw.line((start, end), fill=dark_ink(rng), width=rng.randint(1, 3))
    for _ in range(rng.randint(1, 4)):
        x, y = rng.uniform(-0.2, 0.8) * width, rng.uniform(-0.5, 0.8) * height
        box = (x, y, x + rng.uniform(0.3, 0.8) * width, y + rng.uniform(0.4, 1.2) * height)
        first = rng.uniform(0, 360)
        last = first + rng.uniform(60, 200)
        draw.arc(box, first, last, fill=dark_ink(rng), width=rng.randint(1, 3))
    for _ in range(rng.randint(80, 400)):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.5, 4.5)
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=any_color(rng))


def _beyond(point: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Return a point of the line through both, outside the page on the side of the first."""
    # Ends differ by a quarter of the height at least: four times as far is beyond an edge.
    return (point[0] + 4 * (point[0] - other[0]), point[1] + 4 * (point[1] - other[1]))


FORMULA = Formula()
KINDS.add(Formula.name, FORMULA)
