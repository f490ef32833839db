"""Cut a picture to its ink, and lay it out with even margins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foveal.page.clean import Mask, Pixels, as_grey
from foveal.types import Piece

Ground = NDArray[np.uint8]
"""Colour of the paper: one value, or three."""


def ground_of(picture: Pixels) -> Ground:
    """Return the median colour of the border."""
    border = np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]], axis=0)
    return np.asarray(np.median(border, axis=0), np.uint8)


def grey_of(ground: Ground) -> Ground:
    """Return the shade of grey of a colour."""
    pixel: Ground = ground.reshape(1, 1, -1)
    return ground if ground.size == 1 else as_grey(pixel)[0, 0]


def trim(picture: Pixels, mask: Mask) -> tuple[Pixels, tuple[Piece, ...]]:
    """Cut a picture to the box of its ink.

    Args:
        picture: (H, W) or (H, W, 3) uint8.
        mask: (H, W), its ink.

    Returns:
        The part, and where it comes from; without ink, the picture and no piece.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return picture, ()
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    x0, x1 = int(columns[0]), int(columns[-1]) + 1
    return picture[y0:y1, x0:x1], (Piece(x0, y0, x1, y1, 0, 0),)


def with_margins(
    picture: Pixels,
    mask: Mask | None,
    pieces: Sequence[Piece],
    percent: int,
    ground: Ground,
) -> tuple[Pixels, Mask | None, tuple[Piece, ...]]:
    """Put even margins around a picture.

    Args:
        picture: (H, W) or (H, W, 3) uint8.
        mask: Its ink, if that is known.
        pieces: What it is made of; nothing when it is the original itself.
        percent: Width of each margin in percent of the picture's height.
        ground: Colour of the margins.

    Returns:
        The picture, its ink, and the pieces in their new places.
    """
    height, width = picture.shape[:2]
    margin = max(1, round(height * percent / 100))
    shape = (height + 2 * margin, width + 2 * margin)
    inner = (slice(margin, margin + height), slice(margin, margin + width))
    laid = np.empty((*shape, *picture.shape[2:]), np.uint8)
    laid[:] = ground
    laid[inner] = picture
    ink = None
    if mask is not None:
        ink = np.zeros(shape, np.uint8)
        ink[inner] = mask
    before = pieces or (Piece(0, 0, width, height, 0, 0),)
    moved = tuple(replace(piece, x=piece.x + margin, y=piece.y + margin) for piece in before)
    return laid, ink, moved
