"""The forms in which a mask leaves the server: a PNG, run lengths, or not at all."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image as PILImage

from foveal.types import JsonObject, Mask

FORMS = ("png", "rle", "none")
"""Values of `?mask=`; the first is what an answer has when nothing is asked for."""


def with_mask_as(record: JsonObject, form: str) -> JsonObject:
    """Return an answer with its mask in another form.

    Args:
        record: An answer whose mask is `{"png_b64": …}`.
        form: One of `FORMS`. `rle` gives `{"rle": {label: {"size": [h, w], "counts": […]}}}`,
            COCO's run lengths before they are packed into text.
    """
    if form == "png":
        return record
    if form == "none":
        return {key: value for key, value in record.items() if key != "mask"}
    png = base64.b64decode(record["mask"]["png_b64"])
    with PILImage.open(io.BytesIO(png)) as image:
        mask = np.asarray(image)
    names = [entry["name"] for entry in record["classes"]]
    size = list(mask.shape)
    counts = run_lengths(mask, len(names))
    rle = {name: {"size": size, "counts": own} for name, own in zip(names, counts, strict=True)}
    return {**record, "mask": {"rle": rle}}


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
