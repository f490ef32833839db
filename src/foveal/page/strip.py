"""Cut lines out of a picture and set them beside each other on one strip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foveal.page.boxes import Box
from foveal.page.clean import Pixels
from foveal.types import Piece

# Between two lines, as a share of the lowest line's height: wider than between two words, so
# that a reader can tell where a line ends.
_GAP: Final = 0.5


def join_lines(picture: Pixels, lines: Sequence[Box]) -> tuple[Pixels, tuple[Piece, ...]]:
    """Cut lines out of a picture and set them beside each other on a strip of ground.

    Args:
        picture: (H, W) or (H, W, 3) uint8.
        lines: Boxes in its pixels; none keeps the whole picture.

    Returns:
        The strip, as high as the highest line, and where its pieces come from.
    """
    if not lines:
        height, width = picture.shape[:2]
        return picture, (Piece(0, 0, width, height, 0, 0),)
    heights = [y1 - y0 for _, y0, _, y1 in lines]
    gap = round(_GAP * min(heights))
    width = sum(x1 - x0 for x0, _, x1, _ in lines) + gap * (len(lines) - 1)
    strip = np.empty((max(heights), width, *picture.shape[2:]), np.uint8)
    strip[:] = _ground(picture)
    pieces = []
    x = 0
    for x0, y0, x1, y1 in lines:
        y = (max(heights) - (y1 - y0)) // 2
        strip[y : y + y1 - y0, x : x + x1 - x0] = picture[y0:y1, x0:x1]
        pieces.append(Piece(x0, y0, x1, y1, x, y))
        x += x1 - x0 + gap
    return strip, tuple(pieces)


def _ground(picture: Pixels) -> NDArray[np.uint8]:
    """Return the median colour of the border."""
    border = np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]], axis=0)
    return np.asarray(np.median(border, axis=0), np.uint8)
