"""Convert pictures in memory, arrays and Pillow images, to upright RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.data.boundary import refusing
from foveal.data.exif import turn_upright
from foveal.data.rgb import to_pixels, to_rgb
from foveal.errors import UsageError
from foveal.types import Image

_CHANNELS = (1, 3, 4)
# In EXIF.
_ORIENTATION = 0x0112


def image_pixels(image: PILImage.Image) -> Image:
    """Return a Pillow image as (H, W, 3) uint8 RGB, upright.

    Raises:
        ImageFormatError: If its pixels have no defined white level.
        ImageError: If its file is damaged.
    """
    with refusing(f"{getattr(image, 'filename', '') or 'The Pillow image'} cannot be decoded"):
        # Some decoders turn what they load, and then no longer state an orientation.
        image.load()
        orientation = image.getexif().get(_ORIENTATION, 1)
        return turn_upright(to_pixels(image), orientation if orientation in range(1, 9) else 1)


def array_pixels(array: NDArray[Any]) -> Image:
    """Return an array as (H, W, 3) uint8 RGB.

    Args:
        array: (H, W) or (H, W, 1) grey, (H, W, 3) RGB or (H, W, 4) RGBA, which is laid on white.
            Booleans; whole numbers in [0, 255]; uint16 up to 65535; floats in [0, 1].

    Raises:
        UsageError: If the shape or the values are invalid.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not array.size or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        first = array.ndim == 3 and array.shape[0] in _CHANNELS
        raise UsageError(
            "Invalid picture. Expected an array (H, W), (H, W, 3) or (H, W, 4). "
            f"Received: {array.shape} {array.dtype}.",
            hint="move the channels last: array.transpose(1, 2, 0), or tensor.permute(1, 2, 0)"
            if first
            else "for several pictures, give a list of arrays",
        )
    values = _as_uint8(array)
    if values.ndim == 2:
        return np.repeat(values[:, :, None], 3, axis=2)
    if values.shape[2] == 4:
        return np.asarray(to_rgb(PILImage.fromarray(values)))
    return np.ascontiguousarray(values)


def _as_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biuf":
        raise UsageError(f"Invalid picture. Expected an array of numbers. Received: {array.dtype}.")
    low, high = float(array.min()), float(array.max())
    if array.dtype == np.uint16 and high > 255:
        # 65535 = 255 * 257, as in the files of deep grey pictures.
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    most = 255 if array.dtype.kind in "iu" else 1
    if not 0 <= low <= high <= most:
        kind = "whole numbers in [0, 255]" if most == 255 else "floats in [0, 1]"
        raise UsageError(
            f"Invalid picture. Expected {kind}. Received: values from {low:g} to {high:g}.",
            hint='array.astype("uint8")'
            if most == 1 and 0 <= low <= high <= 255
            else "rescale the values first",
        )
    scaled = array if most == 255 else np.rint(array.astype(np.float64) * 255)
    return scaled.astype(np.uint8)
