"""Set objects that touch apart by a line of background, so that patches of a mask are objects.

O. Ronneberger, P. Fischer and T. Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", 2015, https://arxiv.org/abs/1505.04597. Deviation: the line is one pixel wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveal.data.masks.file import MaskFile

# Where the second pixel of a pair lies from the first: with these, all of its 8 neighbours.
_PAIRS = ((0, 1), (1, 0), (1, 1), (1, -1))


def set_apart(file: MaskFile) -> MaskFile:
    """Return a mask of 0 and 1 of one in which every value but 0 is an object of its own.

    Args:
        file: The mask as stored: numbers, or black and a colour for each object.
    """
    numbers = file.values
    if numbers.ndim == 3:
        wide = numbers.astype(np.int32)
        numbers = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    inside = (numbers != 0) & ~lines_between(numbers)
    return MaskFile(inside.astype(np.uint8), is_lossy=file.is_lossy)


def lines_between(numbers: NDArray[Any], values: NDArray[Any] | None = None) -> NDArray[np.bool_]:
    """Return the pixels that one of two objects that touch, at a side or a corner, gives up.

    It is the one with the larger number.

    Args:
        numbers: (H, W) number of the object at each pixel, 0 for none.
        values: (H, W) its class; objects of different classes keep their pixels. None for one.
    """
    found = np.zeros(numbers.shape, np.bool_)
    height, width = numbers.shape
    for down, right in _PAIRS:
        first = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        second = slice(down, height), slice(max(0, right), width - max(0, -right))
        one, other = numbers[first], numbers[second]
        touch = (one != other) & (one != 0) & (other != 0)
        if values is not None:
            touch &= values[first] == values[second]
        found[first] |= touch & (one > other)
        found[second] |= touch & (other > one)
    return found
