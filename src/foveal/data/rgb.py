"""Convert Pillow images of any mode to 8-bit RGB."""

from __future__ import annotations

import numpy as np
from PIL import Image as PILImage

from foveal.data.tiff.unsupported import FLOATING_POINT, MORE_THAN_16_BITS, SIGNED
from foveal.types import Image

# 16-bit white is 65535 = 255 * 257.
_SIXTEEN_TO_EIGHT = 257
# Copies of a whole picture in other modes would take several times its memory.
_BAND_PIXELS = 1 << 20
# The tag PhotometricInterpretation of a TIFF, and its value where 0 is white.
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_DEEP_GREY = frozenset(("I;16", "I;16B", "I;16L", "I;16N", "I"))


def to_pixels(image: PILImage.Image) -> Image:
    """Return an image as it was opened as (H, W, 3) uint8 RGB; see `to_rgb`.

    The copies that this takes are of bands of it. In a TIFF, 0 may be white: only the image itself
    knows that, and no copy of it.
    """
    rows = max(1, _BAND_PIXELS // image.width)
    if rows >= image.height:
        pixels = np.array(to_rgb(image))
    else:
        pixels = np.empty((image.height, image.width, 3), np.uint8)
        for top in range(0, image.height, rows):
            band = image.crop((0, top, image.width, min(top + rows, image.height)))
            pixels[top : top + rows] = np.asarray(to_rgb(band))
    # Pillow inverts such a TIFF of 8 bits, but not of 16.
    tags = getattr(image, "tag_v2", {})
    if image.mode in _DEEP_GREY and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        np.subtract(255, pixels, out=pixels)
    return pixels


def to_rgb(image: PILImage.Image) -> PILImage.Image:
    """Return the first frame as 8-bit RGB; transparent parts become white.

    16-bit grey is scaled by 1/257, so that its white is white. EXIF is not looked at.

    Args:
        image: A picture in any mode.

    Raises:
        ImageFormatError: For floating-point pixels, negative ones, or integers of more than 16
            bits.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in _DEEP_GREY:
        return _deep_grey_to_rgb(image)
    if image.mode == "F":
        raise FLOATING_POINT.error()
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        ground = PILImage.new("RGB", image.size, (255, 255, 255))
        ground.paste(rgba, mask=rgba.getchannel("A"))
        return ground
    return image.convert("RGB")


def _deep_grey_to_rgb(image: PILImage.Image) -> PILImage.Image:
    values = np.asarray(image).astype(np.int64)
    if values.max() > 65_535:
        raise MORE_THAN_16_BITS.error()
    if values.min() < 0:
        raise SIGNED.error()
    grey = ((values + _SIXTEEN_TO_EIGHT // 2) // _SIXTEEN_TO_EIGHT).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return PILImage.fromarray(grey).convert("RGB")
