"""Sizes, colours and fonts of drawn readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image as PILImage

from foveal.lettering import measure
from foveal.render import original_pixels
from foveal.types import Frame, Image, Picture

Color: TypeAlias = tuple[int, int, int]

PAPER: Color = (252, 252, 253)

# What a report or a page shows without scrolling sideways, and without scrolling down.
_WIDTH_PX, _HEIGHT_PX = 840, 360
# Of the characters read, in pixels: what can still be told apart, and what needs no more room.
_SMALLEST, _LARGEST = 9, 24


def show_content(picture: Picture, frame: Frame) -> Image:
    """Return the picture, or the strip of its pieces as the network got it."""
    whole = original_pixels(picture)
    if frame.strip is None:
        return whole
    border = np.concatenate([whole[0], whole[-1], whole[:, 0], whole[:, -1]])
    height, width = frame.strip
    strip = np.empty((height, width, 3), np.uint8)
    strip[:] = np.median(border, axis=0)
    for piece in frame.pieces:
        # A copy's pieces are rounded, and may reach over the edge by a pixel.
        part = whole[piece.y0 : piece.y1, piece.x0 : piece.x1]
        part = part[: height - piece.y, : width - piece.x]
        strip[piece.y : piece.y + part.shape[0], piece.x : piece.x + part.shape[1]] = part
    return strip


def fit(image: Image) -> tuple[Image, float]:
    """Return the picture enlarged by a whole factor, or reduced, and shown pixels per pixel."""
    height, width = image.shape[:2]
    room = min(_WIDTH_PX / width, _HEIGHT_PX / height)
    if room >= 2:
        factor = int(room)
        return image.repeat(factor, axis=0).repeat(factor, axis=1), float(factor)
    if room >= 1:
        return image, 1.0
    size = (max(1, round(width * room)), max(1, round(height * room)))
    return np.asarray(PILImage.fromarray(image).resize(size, PILImage.Resampling.LANCZOS)), room


def letter_size(characters: Sequence[str], middles: Sequence[float], lines: Sequence[float]) -> int:
    """Return the largest font size, in pixels, at which neighbours in a line do not touch."""
    neighbours = [i for i in range(1, len(middles)) if lines[i] == lines[i - 1]]
    for size in range(_LARGEST, _SMALLEST, -1):
        widths = [measure(character, size) for character in characters]
        if all(
            middles[i] - middles[i - 1] >= (widths[i] + widths[i - 1]) / 2 + 3 for i in neighbours
        ):
            return size
    return _SMALLEST
