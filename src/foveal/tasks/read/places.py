"""Estimate the positions of characters in the picture."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.read.characters import Character
from foveal.tasks.read.ctc import Decoded
from foveal.types import Frame

# Of a character's columns, for its half width where it has no neighbour.
_HALF_WIDTH = 1.5


def place_characters(
    found: Decoded, attention: NDArray[np.float32] | None, columns: int, frame: Frame
) -> tuple[Character, ...]:
    """Return the characters with their places in original pixels.

    A character reaches half-way to its neighbours, but not further than one and a half of the
    usual distance: what the network marks is a character's most telling column, not its edges.
    """
    if attention is not None:
        columns = attention.shape[1]
        where = np.arange(columns) + 0.5
        centres = [float(attention[first] @ where) for first, _ in found.spans]
    else:
        centres = [(first + end) / 2 for first, end in found.spans]
    gaps = [later - earlier for earlier, later in pairwise(centres)]
    half = float(np.median(gaps)) / 2 * _HALF_WIDTH if gaps else columns / 2
    pixels = frame.input[1] / max(1, columns)
    placed = []
    for i, centre in enumerate(centres):
        left, right = centre - half, centre + half
        if i > 0:
            left = max(left, (centres[i - 1] + centre) / 2)
        if i + 1 < len(centres):
            right = min(right, (centre + centres[i + 1]) / 2)
        edges = _in_original(left * pixels, right * pixels, frame, centre * pixels)
        placed.append(Character(found.text[i], found.confidences[i], *edges))
    return tuple(placed)


def _in_original(left: float, right: float, frame: Frame, centre: float) -> tuple[float, float]:
    x0, _, x1, _ = frame.box_in_input()
    low, high = max(x0, 0.0), min(x1, float(frame.input[1]))
    inner = (min(max(edge, low), high) for edge in (left, right))
    first, last = (frame.to_content(0.0, edge)[1] for edge in inner)
    if not frame.pieces:
        return first, last
    # Half-way to the neighbour may be in the next line, far away on the page: both edges are
    # held inside the piece that the character stands in.
    column = frame.to_content(0.0, centre)[1]
    piece = [frame.pieces[0], *(p for p in frame.pieces[1:] if p.x <= column)][-1]
    low, high = float(piece.x0), float(piece.x1)
    first, last = (min(max(x - piece.x + low, low), high) for x in (first, last))
    return first, last
