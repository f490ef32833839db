"""All stages of a page on one picture, one under the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from foveal.page.run import Stage
from foveal.types import Image

# Wide enough for the glyphs of a page 4000 pixels wide, narrow enough for a screen.
_WIDTH: Final = 1400
_GAP: Final = 12
_LINE: Final = 24
_GROUND: Final = (236, 236, 240)
_INK: Final = (40, 40, 40)


def stages_sheet(stages: Sequence[Stage]) -> Image:
    """Lay stages out under each other, each with its number, its step and what it found.

    Returns:
        (H, W, 3) uint8 RGB. Pictures wider than the sheet are reduced, none is enlarged.
    """
    font = ImageFont.load_default(size=16)
    shown = [_reduced(stage.image) for stage in stages]
    height = sum(image.height + _LINE + _GAP for image in shown) + _GAP
    sheet = PILImage.new("RGB", (_WIDTH + 2 * _GAP, height), _GROUND)
    pen = ImageDraw.Draw(sheet)
    y = _GAP
    for number, (stage, image) in enumerate(zip(stages, shown, strict=True), 1):
        words = f"{number}  {stage.step}" + (f"  ({stage.note})" if stage.note else "")
        pen.text((_GAP, y), words, fill=_INK, font=font)
        sheet.paste(image, (_GAP, y + _LINE))
        y += _LINE + image.height + _GAP
    return np.asarray(sheet)


def _reduced(image: Image) -> PILImage.Image:
    picture = PILImage.fromarray(image)
    if picture.width <= _WIDTH:
        return picture
    height = max(1, round(picture.height * _WIDTH / picture.width))
    return picture.resize((_WIDTH, height), PILImage.Resampling.LANCZOS, reducing_gap=3.0)
