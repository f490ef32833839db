"""Draw on pictures with numpy and Pillow: heat maps, contact sheets, PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.types import Image, Picture

# Five anchors of a perceptually even dark-to-light ramp; lightness grows monotonically, so the
# map also reads in grey print and with colour-blind eyes.
_RAMP = np.array(
    [[13, 8, 135], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]], np.float32
)


def colormap(values: NDArray[np.float32]) -> Image:
    """Map values in [0, 1], any shape (H, W), to (H, W, 3) uint8 RGB."""
    position = np.clip(values, 0.0, 1.0) * (len(_RAMP) - 1)
    low = np.minimum(position.astype(np.int64), len(_RAMP) - 2)
    weight = (position - low)[..., None]
    colors = _RAMP[low] * (1 - weight) + _RAMP[low + 1] * weight
    return np.asarray(colors.round(), np.uint8)


def original_pixels(picture: Picture) -> Image:
    """Return (picture.height, picture.width, 3) uint8: enlarged when decoded at reduced scale."""
    if picture.pixels.shape[:2] == (picture.height, picture.width):
        return picture.pixels
    image = PILImage.fromarray(picture.pixels)
    return np.asarray(image.resize((picture.width, picture.height), PILImage.Resampling.BILINEAR))


def heat_overlay(picture: Picture, heat: NDArray[np.float32], *, alpha: float = 0.55) -> Image:
    """Lay a heat map over a picture; cold places keep the picture, hot ones take the colour.

    Args:
        picture: The picture.
        heat: (H, W) float32 in [0, 1], original pixels.
        alpha: Opacity of the hottest place, in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB in original pixels.
    """
    base = original_pixels(picture).astype(np.float32)
    # Greyed a little, so that the map's colours are not mistaken for the picture's.
    grey = base.mean(axis=2, keepdims=True)
    base = 0.5 * base + 0.5 * grey
    weight = (alpha * np.clip(heat, 0.0, 1.0) ** 0.7)[..., None]
    blended = base * (1 - weight) + colormap(heat) * weight
    return np.asarray(blended.round(), np.uint8)


def encode_png(image: Image) -> bytes:
    """Return (H, W, 3) uint8 RGB as the bytes of a PNG file."""
    buffer = io.BytesIO()
    PILImage.fromarray(image).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def thumbnail(image: Image, side: int) -> Image:
    """Return the picture scaled so that its longer side is at most `side` pixels."""
    small = PILImage.fromarray(image)
    small.thumbnail((side, side), PILImage.Resampling.LANCZOS)
    return np.asarray(small)


def contact_sheet(
    images: Sequence[Image], captions: Sequence[str], *, columns: int = 8, cell: int = 128
) -> Image:
    """Lay pictures out in a grid with a caption under each.

    Args:
        images: Each (H, W, 3) uint8 RGB; small ones are enlarged by whole factors, so that
            every pixel that the network gets stays visible.
        captions: One for each picture; cut to the width of the cell.
        columns: Pictures in a row.
        cell: Side of a picture's place, in pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    # Imported late: letters bring fonts, and most pictures are answered without any.
    from PIL import ImageDraw

    from foveal.lettering import text_font

    gap, line = 8, 18
    rows = max(1, -(-len(images) // columns))
    width = columns * (cell + gap) + gap
    sheet = PILImage.new("RGB", (width, rows * (cell + line + gap) + gap), (250, 250, 250))
    pen = ImageDraw.Draw(sheet)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        factor = cell // max(image.shape[:2])
        shown = image.repeat(factor, 0).repeat(factor, 1) if factor > 1 else thumbnail(image, cell)
        x = gap + (i % columns) * (cell + gap)
        y = gap + (i // columns) * (cell + line + gap)
        height, wide = shown.shape[:2]
        sheet.paste(PILImage.fromarray(shown), (x + (cell - wide) // 2, y + (cell - height) // 2))
        text, font = caption, text_font(caption, 12)
        while text and pen.textlength(text, font=font) > cell:
            text = text[:-2] + "…" if len(text) > 2 else ""
        pen.text((x, y + cell + 2), text, fill=(40, 40, 40), font=font)
    return np.asarray(sheet)
