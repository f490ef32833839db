"""The forms in which a mask is sent and stored: a palette PNG, or run lengths."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image as PILImage

from foveal.types import BACKGROUND, JsonObject, Mask

MaskForm: TypeAlias = Literal["png", "rle", "none"]
MASK_FORMS: tuple[MaskForm, ...] = ("png", "rle", "none")
"""The first is what is sent unless something else is asked for."""

# Okabe and Ito's colours, told apart by colour-blind eyes (https://jfly.uni-koeln.de/color/):
# first those that stand out from stained tissue and from grey.
_COLORS = (
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (230, 159, 0),
    (86, 180, 233),
    (213, 94, 0),
    (204, 121, 167),
)
_GOLDEN_TURN = 0.61803398875
# Over this many pixels, smaller files are not worth the wait.
_LARGE = 10_000_000


def mask_json(mask: Mask, labels: Sequence[str], form: Literal["png", "rle"]) -> JsonObject:
    """Return a mask as a prediction's JSON has it.

    Args:
        mask: (H, W) label positions.
        labels: The C names.
        form: `png` gives `{"png_b64": …}`; `rle` gives
            `{"rle": {label: {"size": [h, w], "counts": […]}}}`, COCO's run lengths before they
            are packed into text.
    """
    if form == "png":
        return {"png_b64": base64.b64encode(mask_png(mask, labels)).decode("ascii")}
    size = list(mask.shape)
    counts = run_lengths(mask, len(labels))
    return {
        "rle": {n: {"size": size, "counts": own} for n, own in zip(labels, counts, strict=True)}
    }


def mask_schema() -> JsonObject:
    """Return the JSON schema of `mask_json`."""
    integers = {"type": "array", "items": {"type": "integer"}}
    runs = {
        "description": "COCO's uncompressed run lengths, column by column",
        "type": "object",
        "required": ["size", "counts"],
        "properties": {"size": integers, "counts": integers},
    }
    png = {
        "description": "A palette PNG, base64; its values are positions in the model's labels",
        "type": "string",
        "contentEncoding": "base64",
    }
    forms = {"png_b64": png, "rle": {"type": "object", "additionalProperties": runs}}
    return {
        "oneOf": [
            {
                "type": "object",
                "required": [name],
                "properties": {name: schema},
                "additionalProperties": False,
            }
            for name, schema in forms.items()
        ]
    }


def mask_png(mask: Mask, labels: Sequence[str]) -> bytes:
    """Return a mask as a palette PNG; values are label positions.

    Args:
        mask: (H, W) label positions.
        labels: The C names.
    """
    mask = np.ascontiguousarray(mask)
    # A view of the mask, not a copy: it may have hundreds of megapixels.
    image = PILImage.frombuffer("P", (mask.shape[1], mask.shape[0]), mask, "raw", "P", 0, 1)
    image.putpalette([value for color in palette(labels) for value in color])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1 if mask.size > _LARGE else 6)
    return buffer.getvalue()


def run_lengths(mask: Mask, labels: int) -> list[list[int]]:
    """Return, for each label, the lengths of the runs without and with it, in turn.

    Column by column, from the top left, beginning with a run without it, which may be 0 long:
    https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.h.

    Args:
        mask: (H, W) label positions.
        labels: How many there are.
    """
    values = mask.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    of_runs = values[starts]
    result = []
    for label in range(labels):
        # A first run with the label is a change too: its border, 0, gives the run of length 0.
        changes = np.flatnonzero(np.diff(of_runs == label, prepend=False))
        borders = np.concatenate([[0], starts[changes], [values.size]])
        result.append(np.diff(borders).tolist())
    return result


def palette(labels: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return an RGB colour for each label: black for the background, the others well apart.

    The first seven are told apart by colour-blind eyes; more have hues a golden turn apart and
    alternate in lightness.
    """
    colors: list[tuple[int, int, int]] = []
    number = 0
    for name in labels:
        if name == BACKGROUND:
            colors.append((0, 0, 0))
            continue
        colors.append(_COLORS[number] if number < len(_COLORS) else _further(number))
        number += 1
    return colors


def _further(number: int) -> tuple[int, int, int]:
    hue = 360 * (number * _GOLDEN_TURN % 1)
    lightness = (0.35, 0.6, 0.8)[number % 3]
    # The formula of HSL with a saturation of 0.75, written for one channel at a time.
    spread = 0.75 * min(lightness, 1 - lightness)

    def channel(offset: int) -> int:
        place = (offset + hue / 30) % 12
        return round(255 * (lightness - spread * max(-1.0, min(place - 3, 9 - place, 1.0))))

    return channel(0), channel(8), channel(4)
