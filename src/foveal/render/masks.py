"""The forms in which a mask is sent and stored: a palette PNG, or run lengths."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import pairwise
from typing import BinaryIO, Literal, TypeAlias

import numpy as np
from PIL import Image as PILImage

from foveal.types import BACKGROUND, JsonObject, Mask, Numbers

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
_DEEPEST = 65_535


def mask_json(
    mask: Mask,
    labels: Sequence[str],
    form: Literal["png", "rle"],
    numbers: Numbers | None = None,
) -> JsonObject:
    """Return a mask as a prediction's JSON has it.

    Args:
        mask: (H, W) label positions.
        labels: The C names.
        form: `png` gives `{"png_b64": …}`; `rle` gives
            `{"rle": {label: {"size": [h, w], "counts": […]}}}`, COCO's run lengths before they
            are packed into text.
        numbers: (H, W) number of the object at each pixel, where objects are told apart. It is
            `instances_png_b64`, or `instances_rle`, the run lengths of each object.
    """
    if form == "png":
        pngs = {"png_b64": mask_png(mask, labels)}
        if numbers is not None:
            pngs["instances_png_b64"] = numbers_png(numbers)
        return {name: base64.b64encode(png).decode("ascii") for name, png in pngs.items()}
    size = list(mask.shape)
    counts = run_lengths(mask, len(labels))
    lengths: JsonObject = {
        "rle": {n: {"size": size, "counts": own} for n, own in zip(labels, counts, strict=True)}
    }
    if numbers is not None:
        lengths["instances_rle"] = [
            {"size": size, "counts": own} for own in object_run_lengths(numbers)
        ]
    return lengths


def mask_schema(*, with_numbers: bool = False) -> JsonObject:
    """Return the JSON schema of `mask_json`, with or without the objects' pixels."""
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
    numbers: JsonObject = {
        "description": "A PNG, base64, with the number of the object at each pixel, from 1: of 16 "
        "bits, or, of more than 65,535 objects, red + 256 green + 65,536 blue",
        "type": "string",
        "contentEncoding": "base64",
    }
    forms: dict[str, tuple[JsonObject, JsonObject]] = {
        "png_b64": (png, {"instances_png_b64": numbers}),
        "rle": (
            {"type": "object", "additionalProperties": runs},
            {"instances_rle": {"type": "array", "items": runs}},
        ),
    }
    return {
        "oneOf": [
            {
                "type": "object",
                "required": [name, *(more if with_numbers else ())],
                "properties": {name: schema, **(more if with_numbers else {})},
                "additionalProperties": False,
            }
            for name, (schema, more) in forms.items()
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


def numbers_png(numbers: Numbers) -> bytes:
    """Return a map of objects as a PNG: 16-bit grey, or colours where there are more than 65,535.

    In colours, a number is red + 256 green + 65,536 blue, as in COCO's panoptic format.

    Args:
        numbers: (H, W) number of the object at each pixel, 0 for none.
    """
    if numbers.max(initial=0) <= _DEEPEST:
        image = PILImage.fromarray(numbers.astype(np.uint16))
    else:
        parts = [numbers & 255, numbers >> 8 & 255, numbers >> 16]
        image = PILImage.fromarray(np.stack(parts, axis=-1).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1 if numbers.size > _LARGE else 6)
    return buffer.getvalue()


def read_numbers(file: BinaryIO | str) -> Numbers:
    """Return what `numbers_png` wrote.

    Args:
        file: The PNG, open or by its path.
    """
    with PILImage.open(file) as image:
        stored = np.asarray(image).astype(np.int32)
    if stored.ndim == 2:
        return stored
    numbers: Numbers = stored[..., 0] | stored[..., 1] << 8 | stored[..., 2] << 16
    return numbers


def object_run_lengths(numbers: Numbers) -> list[list[int]]:
    """Return, for each object, the lengths of the runs without and with it; see `run_lengths`.

    Args:
        numbers: (H, W) number of the object at each pixel, from 1; 0 for none.
    """
    values = numbers.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    ends = np.append(starts[1:], values.size)
    owner = values[starts]
    # Runs of one object together, in the order of the picture.
    order = np.argsort(owner, kind="stable")
    limits = np.searchsorted(owner[order], np.arange(1, int(owner.max(initial=0)) + 2))
    result = []
    for first, last in pairwise(limits.tolist()):
        own = order[first:last]
        borders = np.column_stack([starts[own], ends[own]]).ravel()
        borders = np.concatenate([[0], borders, [values.size]])
        lengths = np.diff(borders).tolist()
        # A last run without the object that is empty is not stored.
        result.append(lengths if lengths[-1] else lengths[:-1])
    return result


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
