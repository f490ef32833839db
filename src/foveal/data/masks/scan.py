"""Scan all masks of a source: their values, and whether they fit their pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import final

from foveal.data.decode import DecodeLimits
from foveal.data.masks.apart import set_apart
from foveal.data.masks.file import read_mask_file
from foveal.data.masks.values import MaskCount, count_values
from foveal.data.opening import picture_size
from foveal.data.storage import Storage
from foveal.errors import ImageError
from foveal.machine import available_cores, read_ahead


@final
@dataclass(frozen=True, slots=True)
class MaskLook:
    """Scan of a picture and its mask.

    Attributes:
        sample: Name of the picture.
        mask: Name of the mask.
        count: Count of the mask's values, or None when it cannot be read.
        problem: Why it cannot be read, or None.
        picture_size: Upright (height, width) in pixels, or None when the picture has no header.
    """

    sample: str
    mask: str
    count: MaskCount | None
    problem: str | None = None
    picture_size: tuple[int, int] | None = None


def look_at_masks(
    storage: Storage,
    masks: Mapping[str, str],
    limits: DecodeLimits,
    *,
    as_colors: bool,
    objects: bool = False,
) -> list[MaskLook]:
    """Decode every mask once and read the header of its picture; only the counts are kept.

    Args:
        storage: Where the files are.
        masks: Name of the picture → name of its mask.
        limits: Limits for one mask, unless it is a TIFF.
        as_colors: See `foveal.data.masks.values.count_values`.
        objects: Whether each value is an object of its own.

    Raises:
        DataError: If a mask has too many values, or lossy compression changed them.
    """
    look = partial(_look, storage, limits, as_colors, objects)
    cores = available_cores()
    # A mask before its picture, as they are looked at.
    names = (name for sample, mask in masks.items() for name in (mask, sample))
    with storage.expecting(names, limits):
        return list(read_ahead(look, masks.items(), workers=cores, ahead=8 * cores))


def _look(
    storage: Storage,
    limits: DecodeLimits,
    as_colors: bool,
    objects: bool,
    pair: tuple[str, str],
) -> MaskLook:
    sample, mask = pair
    try:
        file = read_mask_file(storage, mask, limits)
        count = count_values(mask, set_apart(file) if objects else file, as_colors=as_colors)
    except ImageError as error:
        return MaskLook(sample, mask, None, error.message)
    try:
        size = picture_size(storage, sample, limits)
    except ImageError:
        # Found and named when it is decoded.
        size = None
    return MaskLook(sample, mask, count, picture_size=size)
