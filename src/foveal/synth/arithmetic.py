"""Small sums such as `(3-7)*5` in several fonts, askew, coloured, struck through and stained."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, final

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw

from foveal.synth.chance import Color, any_color, dark_ink, light_paper, random_for
from foveal.synth.expressions import DIGITS, OPERATORS, arithmetic_text
from foveal.synth.fonts import choose_fonts, plain_fonts
from foveal.synth.glyphs import Warp, paste, size_of, warped
from foveal.synth.kinds import KINDS, Drawn, Kind
from foveal.synth.options import option, plain_text, truth, whole
from foveal.types import Image, RawTarget

_SIGNS = "".join(sorted(DIGITS + OPERATORS + "()"))
# In parts of the picture's height; the margin of its shorter side.
_FONT_SIZE = (0.6, 0.8)
_MARGIN = 0.12
_SHIFT = 0.09
# Between two signs, in parts of the font's size: a little over each other up to well apart.
_GAP = (-0.03, 0.16)
_PLAIN_GAP = 0.15
_TURN_DEGREES = 18.0
_CORNER = 0.09
# In how many pictures all signs have one font.
_ONE_FONT = 0.5
# Upper left, lower left, lower right, upper right: (right, down), as Pillow wants them.
_CORNERS = ((0, 0), (0, 1), (1, 1), (1, 0))


@final
@dataclass(frozen=True, slots=True)
class Arithmetic(Kind):
    """Draws three one-digit numbers, two of + - *, and at most one pair of brackets.

    The minus is a thin bar, so that it is easily lost.

    Attributes:
        width: Width of a picture, in pixels.
        height: Height of a picture, in pixels.
        fonts: Font files separated by commas, `all` for every font at hand, or empty for those
            that people read most.
        plain: Not turned, warped, stained nor coloured: for checking labels.
        font_files: Found by `prepared`.
    """

    name: ClassVar[str] = "arithmetic"
    task: ClassVar[Literal["classify", "read"]] = "read"
    batch: ClassVar[int] = 64

    width: int = option(180, whole(60, 2000))
    height: int = option(60, whole(20, 1000))
    fonts: str = option("", plain_text)
    plain: bool = option(False, truth)
    font_files: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Short description of the pictures."""
        return "sums of three digits"

    @property
    def alphabet(self) -> str:
        """Every character that a target may hold, each once, sorted."""
        return _SIGNS

    def prepared(self) -> Self:
        """Return the same kind with its fonts found; see `Kind.prepared`."""
        files = choose_fonts(self.fonts, _SIGNS) if self.fonts else plain_fonts(_SIGNS)
        return replace(self, font_files=tuple(str(path) for path in files))

    def target(self, seed: int, index: int) -> RawTarget:
        """Return the text of a picture."""
        return (arithmetic_text(random_for(seed, index)),)

    def draw(self, seed: int, index: int) -> Drawn:
        """Draw one picture; see `Kind.draw`."""
        rng = random_for(seed, index)
        text = arithmetic_text(rng)
        size = (self.width, self.height)
        if self.plain:
            page = PILImage.new("RGB", size, "white")
            self._write(page, text, rng)
            return Drawn(np.asarray(page), (text,))
        noise = np.random.default_rng(rng.getrandbits(64))
        paper = light_paper(rng)
        page = PILImage.new("RGB", size, paper)
        self._write(page, text, rng)
        _strike(page, rng)
        page = _wave(page, rng, paper)
        grain = noise.normal(0, rng.uniform(1, 9), (self.height, self.width, 3))
        pixels: Image = np.clip(np.asarray(page) + grain, 0, 255).astype(np.uint8)
        return Drawn(pixels, (text,))

    def _write(self, page: PILImage.Image, text: str, rng: random.Random) -> None:
        """Lay the signs on the page, side by side."""
        fonts = self._fonts_of(text, rng)
        gaps = [_PLAIN_GAP if self.plain else rng.uniform(*_GAP) for _ in text[1:]]
        # Widths in parts of the font's size, so that the size can be made to fit.
        widths = [size_of(f, 96, sign)[0] / 96 for f, sign in zip(fonts, text, strict=True)]
        room = self.width - 2 * _MARGIN * min(self.width, self.height)
        size = min(rng.uniform(*_FONT_SIZE) * self.height, room / (sum(widths) + sum(gaps)))
        length = (sum(widths) + sum(gaps)) * size
        x = (self.width - length) / 2 + rng.uniform(-0.5, 0.5) * max(0.0, room - length)
        color = dark_ink(rng)
        is_one_color = rng.random() < 0.5
        for sign, font, width, gap in zip(text, fonts, widths, [*gaps, 0.0], strict=True):
            y, warp = self.height / 2, Warp()
            if self.plain:
                color = (0, 0, 0)
            else:
                y += rng.uniform(-_SHIFT, _SHIFT) * self.height
                warp = Warp.by_lot(rng, _TURN_DEGREES, _CORNER)
                color = color if is_one_color else dark_ink(rng)
            paste(page, warped(font, size, sign, warp), x + width * size / 2, y, color)
            x += (width + gap) * size

    def _fonts_of(self, text: str, rng: random.Random) -> Sequence[str]:
        if self.plain:
            return [self.font_files[0]] * len(text)
        if rng.random() < _ONE_FONT:
            return [rng.choice(self.font_files)] * len(text)
        return [rng.choice(self.font_files) for _ in text]


def _strike(page: PILImage.Image, rng: random.Random) -> None:
    """Draw lines across the picture and specks on it.

    A line is far longer than a minus, and never level, so that it is not taken for one.
    """
    draw = ImageDraw.Draw(page)
    width, height = page.size
    for _ in range(rng.randint(1, 3)):
        start = (rng.uniform(0, 0.3) * width, rng.uniform(0, 1) * height)
        end = (rng.uniform(0.6, 1) * width, (start[1] + rng.uniform(0.2, 0.8) * height) % height)
        draw.line((start, end), fill=dark_ink(rng), width=1)
    for _ in range(rng.randint(20, 70)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        radius = rng.uniform(0, 1.0)
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=any_color(rng))


def _wave(page: PILImage.Image, rng: random.Random, paper: Color) -> PILImage.Image:
    """Pull the picture about by a coarse net, each knot a little."""
    width, height = page.size
    columns, rows = 6, 2
    pull = 0.06 * height
    knots = [
        [
            (
                column * width / columns + rng.uniform(-pull, pull),
                row * height / rows + rng.uniform(-pull, pull),
            )
            for column in range(columns + 1)
        ]
        for row in range(rows + 1)
    ]
    xs = [round(column * width / columns) for column in range(columns + 1)]
    ys = [round(row * height / rows) for row in range(rows + 1)]
    mesh = []
    for row in range(rows):
        for column in range(columns):
            box = (xs[column], ys[row], xs[column + 1], ys[row + 1])
            quad = [knots[row + down][column + right] for right, down in _CORNERS]
            mesh.append((box, tuple(value for knot in quad for value in knot)))
    return page.transform(
        page.size, PILImage.Transform.MESH, mesh, PILImage.Resampling.BILINEAR, fillcolor=paper
    )


ARITHMETIC = KINDS.add(Arithmetic.name, Arithmetic())
