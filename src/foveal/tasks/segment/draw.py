"""Draw masks on pictures: in class colours, or by right, false and missed pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.render import original_pixels
from foveal.render.masks import palette
from foveal.tasks.segment.boundary import edges
from foveal.tasks.segment.counting import strips
from foveal.tasks.segment.instances import rims
from foveal.types import BACKGROUND, IGNORED, Image, Mask, Picture

_ALPHA = 0.45
# Those of neighbours in reading order differ, and most neighbours are told apart.
_OBJECT_COLORS = 12

# Of Okabe and Ito's colours (https://jfly.uni-koeln.de/color/): apart for colour-blind eyes too.
TRUE_COLOR, FALSE_COLOR, MISSED_COLOR = (0, 158, 115), (230, 159, 0), (213, 72, 160)
# In words, as `Task.draw_beside` says colours.
ERRORS_LEGEND = ", ".join(
    f"#{red:02x}{green:02x}{blue:02x} {word}"
    for word, (red, green, blue) in (
        ("right", TRUE_COLOR),
        ("false", FALSE_COLOR),
        ("missed", MISSED_COLOR),
    )
)
# The kinds of pixels that `draw_errors` colours.
_PLAIN, _RIGHT, _FALSE, _MISSED = range(4)


def draw_mask(picture: Picture, mask: Mask, labels: Sequence[str]) -> Image:
    """Return the picture under the colours of a mask; the background stays as it is.

    Args:
        picture: The picture.
        mask: (h, w) label positions; brought to the picture's size without mixing labels.
        labels: The names; their colours are `palette`'s.

    Returns:
        (H, W, 3) uint8 RGB in original pixels.
    """
    colors: list[tuple[int, int, int] | None] = list(palette(labels))
    if BACKGROUND in labels:
        colors[list(labels).index(BACKGROUND)] = None
    return _tinted(original_pixels(picture), mask, colors)


def draw_objects(picture: Picture, numbers: NDArray[np.integer[Any]]) -> Image:
    """Return the picture with each object in a colour of its own; those of far objects repeat.

    Args:
        picture: The picture.
        numbers: (h, w) number of the object at each pixel, 0 for none.

    Returns:
        (H, W, 3) uint8 RGB in original pixels.
    """
    colors = palette([str(i) for i in range(_OBJECT_COLORS)])
    return _tinted(original_pixels(picture), numbers, [None, *colors], by_number=True)


def draw_errors(picture: Picture, mask: Mask, truth: Mask, labels: Sequence[str]) -> Image:
    """Return the picture in grey with right, false and missed pixels in colours.

    A pixel is right where answer and truth name the same label beside the background, false where
    another such label is answered than is true, and missed where a label is answered with
    background. What is ignored stays as it is.

    Args:
        picture: The picture.
        mask: (h, w) label positions: the answer.
        truth: (h, w) label positions, or `IGNORED`.
        labels: The names.

    Returns:
        (H, W, 3) uint8 RGB, original pixels; `ERRORS_LEGEND` says what the colours are.
    """
    ground = list(labels).index(BACKGROUND) if BACKGROUND in labels else IGNORED
    kinds = np.empty(mask.shape, np.uint8)
    for start, end in strips(*mask.shape):
        kinds[start:end] = _kinds(mask[start:end], truth[start:end], ground)
    # In grey, so that no colour of the picture is taken for one of these.
    grey = np.asarray(PILImage.fromarray(original_pixels(picture)).convert("L").convert("RGB"))
    return _tinted(grey, kinds, [None, TRUE_COLOR, FALSE_COLOR, MISSED_COLOR])


def _kinds(answer: Mask, truth: Mask, ground: int) -> Mask:
    kinds = np.full(answer.shape, _PLAIN, np.uint8)
    kinds[(answer == truth) & (truth != ground)] = _RIGHT
    kinds[(answer != truth) & (answer != ground)] = _FALSE
    kinds[(answer != truth) & (answer == ground)] = _MISSED
    kinds[truth == IGNORED] = _PLAIN
    return kinds


def _tinted(
    base: Image,
    values: NDArray[np.integer[Any]],
    colors: Sequence[tuple[int, int, int] | None],
    *,
    by_number: bool = False,
) -> Image:
    """Lay each value's colour over the picture, and draw outlines where values meet.

    Args:
        base: (H, W, 3) uint8 RGB.
        values: (h, w) positions in `colors`, resampled to the nearest.
        colors: RGB, or None where the picture stays as it is.
        by_number: Whether values are numbers, which take the colours after the first in turn.
    """
    height, width = base.shape[:2]
    painted = base.copy()
    # An outline of one pixel cannot be seen on a large picture that is shown small.
    breadth = max(1, round(max(height, width) / 700))
    rows, columns = _nearest(height, values.shape[0]), _nearest(width, values.shape[1])
    for start, end in strips(height, width):
        top, bottom = max(0, start - breadth), min(height, end + breadth)
        shown = values[np.ix_(rows[top:bottom], columns)]
        outline = rims(shown) if by_number else edges(shown.astype(np.uint8, copy=False))
        if by_number:
            shown = np.where(shown > 0, 1 + (shown - 1) % (len(colors) - 1), 0)
        for _ in range(breadth - 1):
            outline[:, 1:] |= outline[:, :-1]
            outline[1:] |= outline[:-1]
        own = slice(start - top, end - top)
        for value, color in enumerate(colors):
            if color is None:
                continue
            is_here = shown[own] == value
            _paint(painted[start:end], is_here & ~outline[own], color, _ALPHA)
            _paint(painted[start:end], is_here & outline[own], color, 1.0)
    return painted


def _paint(
    pixels: Image, where: NDArray[np.bool_], color: tuple[int, int, int], alpha: float
) -> None:
    # A table of what each shade becomes: no picture of floats.
    shades = np.arange(256, dtype=np.float32)
    for channel, value in enumerate(color):
        table = ((1 - alpha) * shades + alpha * value).round().astype(np.uint8)
        plane = pixels[..., channel]
        plane[where] = table[plane[where]]


def _nearest(length: int, source: int) -> NDArray[np.int64]:
    """Return which of `source` places is nearest to the centre of each of `length` places."""
    return (2 * np.arange(length) + 1) * source // (2 * length)
