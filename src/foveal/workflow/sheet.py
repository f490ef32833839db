"""The contact sheet: some training samples as the network gets them, before the first epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveal.data.cache import Windows
from foveal.render import contact_sheet, encode_png
from foveal.types import Image, Picture
from foveal.workflow.prepare import Prepared

_PICTURES, _MASKS = 48, 12
# Of the middle of a tiled picture with its mask, in pixels.
_SIDE = 288


def write_sheet(prepared: Prepared, indices: NDArray[np.int64], path: Path) -> None:
    """Write some pictures, evenly spread over the samples, with their labels or masks."""
    is_tiled = prepared.pipeline.is_tiled
    most = _MASKS if is_tiled else _PICTURES
    chosen = indices[:: max(1, len(indices) // most)][:most]
    samples = [prepared.source.samples[i] for i in chosen]
    if is_tiled:
        images = [_with_mask(prepared, index) for index in chosen.tolist()]
        captions = [sample.id for sample in samples]
        sheet = contact_sheet(images, captions, columns=4, cell=_SIDE)
    else:
        pixels = prepared.cache.read(prepared.cache.whole(chosen))
        sheet = contact_sheet(list(pixels), ["|".join(sample.raw or ()) for sample in samples])
    path.write_bytes(encode_png(sheet))


def _with_mask(prepared: Prepared, index: int) -> Image:
    """Return the middle of a picture with its mask drawn on it."""
    cache = prepared.cache
    rows, columns = cache.sizes[index].tolist()
    size = (min(rows, 2 * _SIDE), min(columns, 2 * _SIDE))
    corner = [np.array([side]) for side in ((rows - size[0]) // 2, (columns - size[1]) // 2)]
    window = Windows(np.array([index], np.int64), corner[0], corner[1], size)
    truth = prepared.task.parse_target(prepared.source.classes, cache.read_masks(window)[0])
    return prepared.task.draw_target(Picture.from_array(cache.read(window)[0]), truth)
