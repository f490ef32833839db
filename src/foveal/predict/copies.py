"""Reduced copies of pictures to draw on.

Drawing on a large picture would take gigabytes of memory.
"""

from __future__ import annotations

import numpy as np
from PIL import Image as PILImage

from foveal.data.decode import DecodeLimits, Decoder, decode
from foveal.render import thumbnail
from foveal.types import Image, Picture, Raster

# Side of the parts that a large picture is read in: 50 MB of pixels.
_PART_PX = 4096


def small_copy(raster: Raster, side: int) -> Picture:
    """Return a picture scaled so that its longer side is at most `side` pixels.

    A picture that is read in parts is never in memory as a whole.

    Args:
        raster: The picture.
        side: Limit on the longer side, in pixels.

    Raises:
        ImageError: If a part of the picture is damaged.
    """
    scale = min(1.0, side / max(raster.height, raster.width))
    height, width = max(1, round(raster.height * scale)), max(1, round(raster.width * scale))
    if isinstance(raster, Picture):
        return Picture.from_array(_scaled(raster.pixels, height, width))
    if scale == 1.0:
        return Picture.from_array(raster.read(0, 0, height, width))
    copy = np.empty((height, width, 3), np.uint8)
    step = max(1, int(_PART_PX * scale))
    for top in range(0, height, step):
        for left in range(0, width, step):
            part = copy[top : top + step, left : left + step]
            part[:] = _averaged(raster, (height, width), top, left, part.shape[:2])
    return Picture.from_array(copy)


def whole_picture(raster: Raster) -> Picture:
    """Return a picture that is in memory.

    Raises:
        ImageError: If a part of the picture is damaged.
    """
    if isinstance(raster, Picture):
        return raster
    return Picture.from_array(raster.read(0, 0, raster.height, raster.width))


def copy_to_draw_on(
    picture: Raster, data: bytes, limits: DecodeLimits, side: int, *, decoder: Decoder = decode
) -> Picture:
    """Return a copy of at most `side` pixels of a picture that was decoded for a network.

    Args:
        picture: The decoded picture, perhaps at a reduced scale.
        data: Content of the file, which is decoded again in that case.
        limits: Limits on the size of pictures.
        side: Limit on the longer side of the copy, in pixels.
        decoder: Decodes it.
    """
    if isinstance(picture, Picture) and picture.pixels.shape[:2] != (picture.height, picture.width):
        again = decoder(data, limits, min_size=(side, side))
        # Not brought to the original's size: enlarging shows nothing more.
        return Picture.from_array(thumbnail(again.pixels, side))
    return small_copy(picture, side)


def _scaled(pixels: Image, height: int, width: int) -> Image:
    if pixels.shape[:2] == (height, width):
        return pixels
    resized = PILImage.fromarray(pixels).resize((width, height), PILImage.Resampling.LANCZOS)
    return np.asarray(resized)


def _averaged(
    raster: Raster, copy: tuple[int, int], top: int, left: int, size: tuple[int, ...]
) -> Image:
    """Return the part of a copy of size `copy` that lies at `top`, `left`."""
    sy, sx = raster.height / copy[0], raster.width / copy[1]
    y0, x0 = top * sy, left * sx
    y1, x1 = min(raster.height, (top + size[0]) * sy), min(raster.width, (left + size[1]) * sx)
    first_y, first_x = int(y0), int(x0)
    pixels = raster.read(
        first_y,
        first_x,
        min(raster.height, -int(-y1 // 1)) - first_y,
        min(raster.width, -int(-x1 // 1)) - first_x,
    )
    # Each pixel is the mean of its own area, so that parts meet without a seam.
    resized = PILImage.fromarray(pixels).resize(
        (size[1], size[0]),
        PILImage.Resampling.BOX,
        box=(x0 - first_x, y0 - first_y, x1 - first_x, y1 - first_y),
    )
    return np.asarray(resized)
