"""Reads plain drawings back by comparing each blob of ink with the signs of a font."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

Mask = NDArray[np.bool_]
# Of a sign after it is brought to one size, and how much its true shape counts beside that.
_SIDE = 32
_SHAPE = 40.0


def runs(flags: NDArray[np.bool_], gap: int = 1) -> list[tuple[int, int]]:
    """Return [start, end) of what is true; runs less than `gap` apart are one."""
    places = np.flatnonzero(flags)
    if not len(places):
        return []
    breaks = [i + 1 for i, (a, b) in enumerate(pairwise(places)) if b - a > gap]
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(places, breaks)]


def cut(ink: Mask) -> Mask:
    """Return the part of a mask that holds ink."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def describe(ink: Mask) -> NDArray[Any]:
    """Return a sign's look at one size, and its shape."""
    look = PILImage.fromarray(cut(ink)).convert("L").resize((_SIDE, _SIDE))
    shape = np.full((1, _SIDE), _SHAPE * np.log(cut(ink).shape[1] / cut(ink).shape[0]))
    return np.concatenate([np.asarray(look, np.float32), shape])


class Signs:
    """The signs of fonts, each drawn alone."""

    def __init__(self, signs_of: dict[str, str]) -> None:
        """Draw the signs of each font file."""
        self._known = {}
        for font, signs in signs_of.items():
            face = ImageFont.truetype(font, 96)
            for sign in signs:
                mask = PILImage.new("L", (200, 200))
                ImageDraw.Draw(mask).text((40, 20), sign, 255, font=face)
                self._known[sign] = describe(np.asarray(mask) > 127)

    def name(self, ink: Mask) -> str:
        """Return the sign that looks most like the ink; a flat bar is a minus."""
        height, width = cut(ink).shape
        if width > 4 * height:
            return "-"
        look = describe(ink)
        return min(self._known, key=lambda s: float(np.abs(self._known[s] - look).mean()))

    def line(self, ink: Mask, gap: int = 1) -> str:
        """Return the signs of a line; parts of a sign are less than `gap` apart."""
        return "".join(self.name(ink[:, a:b]) for a, b in runs(ink.any(axis=0), gap))
