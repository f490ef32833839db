"""Glyphs as ink masks, which are rotated, scaled and warped."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import final

from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from foveal.synth.chance import Color

MINUS = "-"
# Sizes at which signs are drawn; between them they are only reduced, at most by half.
_SIZES_PX = (48, 96, 192, 384)
# The minus is a thin bar, in parts of the font's size, as handwriting and old fonts have it.
_MINUS_WIDTH = 0.5
_MINUS_HEIGHT = 0.065


@final
@dataclass(frozen=True, slots=True)
class Warp:
    """A random warp of a glyph.

    Attributes:
        turn: Anticlockwise, in degrees.
        corners: Shift of the four corners in parts of the sign's size: x, y of the upper left,
            lower left, lower right and upper right.
    """

    turn: float = 0.0
    corners: tuple[float, ...] = (0.0,) * 8

    @classmethod
    def by_lot(cls, rng: random.Random, turn: float, corner: float) -> Warp:
        """Return a warp of at most `turn` degrees and `corner` parts of the size."""
        return cls(rng.uniform(-turn, turn), tuple(rng.uniform(-corner, corner) for _ in range(8)))


@lru_cache(maxsize=8192)
def master(font: str, size_px: int, sign: str) -> PILImage.Image:
    """Return the ink of a sign, cut out with a pixel of nothing around; L, 255 is full ink.

    Args:
        font: A font file.
        size_px: Size of the font.
        sign: One character.
    """
    if sign == MINUS:
        width, height = round(_MINUS_WIDTH * size_px), max(2, round(_MINUS_HEIGHT * size_px))
        ink = PILImage.new("L", (width, height), 255)
    else:
        face = ImageFont.truetype(font, size_px)
        left, top, right, bottom = face.getbbox(sign)
        ink = PILImage.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2))
        ImageDraw.Draw(ink).text((1 - left, 1 - top), sign, fill=255, font=face)
        ink = ink.crop(ink.getbbox())
    framed = PILImage.new("L", (ink.width + 2, ink.height + 2))
    framed.paste(ink, (1, 1))
    return framed


def size_of(font: str, size_px: float, sign: str) -> tuple[float, float]:
    """Return (width, height) of a sign's ink at a size, before any warp."""
    drawn = _drawn_size(size_px)
    ink = master(font, drawn, sign)
    return (ink.width - 2) * size_px / drawn, (ink.height - 2) * size_px / drawn


def warped(font: str, size_px: float, sign: str, warp: Warp) -> PILImage.Image:
    """Return the ink of a sign at a size, turned and warped about its middle; L."""
    drawn = _drawn_size(size_px)
    ink = master(font, drawn, sign)
    scale = size_px / drawn
    angle = math.radians(warp.turn)
    cosine, sine = math.cos(angle), math.sin(angle)
    # The box of the turned sign, and room for its shifted corners.
    room = 1 + 2 * max(map(abs, warp.corners))
    width = math.ceil((ink.width * abs(cosine) + ink.height * abs(sine)) * scale * room)
    height = math.ceil((ink.width * abs(sine) + ink.height * abs(cosine)) * scale * room)
    corners = []
    for i, (right, down) in enumerate(((-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5))):
        x, y = right * width / scale, down * height / scale
        corners += [
            ink.width * (0.5 + warp.corners[2 * i]) + cosine * x - sine * y,
            ink.height * (0.5 + warp.corners[2 * i + 1]) + sine * x + cosine * y,
        ]
    return ink.transform(
        (width, height), PILImage.Transform.QUAD, corners, PILImage.Resampling.BILINEAR
    )


def paste(page: PILImage.Image, ink: PILImage.Image, x: float, y: float, color: Color) -> None:
    """Lay ink on a page in place, its middle at (x, y); what reaches outside is cut off.

    Args:
        page: RGB, changed.
        ink: L, 255 is full ink.
        x: In pixels of the page.
        y: In pixels of the page.
        color: Color of the ink.
    """
    # Blending in numpy takes four times as long, and the page would be converted to and fro.
    page.paste(color, (round(x - ink.width / 2), round(y - ink.height / 2)), ink)


def _drawn_size(size_px: float) -> int:
    return next((size for size in _SIZES_PX if size >= size_px), _SIZES_PX[-1])
