"""Look at every mask of a source once: its values, and whether it fits its picture."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import cast, final

from foveal.data.decode import DecodeLimits
from foveal.data.headers import ImageHeader, read_header, sniff
from foveal.data.mask_file import read_mask_file
from foveal.data.mask_values import MaskCount, count_values
from foveal.data.rasters import open_tiff
from foveal.data.storage import LocalStorage, Storage
from foveal.errors import ImageError
from foveal.machine import available_cores


@final
@dataclass(frozen=True, slots=True)
class MaskLook:
    """What was seen of a picture and its mask.

    Attributes:
        sample: Name of the picture.
        mask: Name of the mask.
        count: Of the mask's values, or None when it cannot be read.
        problem: Why it cannot be read, or None.
        picture_size: Upright (height, width) in pixels, or None when the picture has no header.
        stored_size: The same as stored, before its EXIF orientation.
    """

    sample: str
    mask: str
    count: MaskCount | None
    problem: str | None = None
    picture_size: tuple[int, int] | None = None
    stored_size: tuple[int, int] | None = None


def look_at_masks(
    storage: Storage, masks: Mapping[str, str], limits: DecodeLimits, *, as_colors: bool
) -> list[MaskLook]:
    """Decode every mask once and read the header of its picture; only the counts are kept.

    Args:
        storage: Where the files are.
        masks: Name of the picture → name of its mask.
        limits: Of one mask, unless it is a TIFF.
        as_colors: See `foveal.data.mask_values.count_values`.

    Raises:
        DataError: When a mask has too many values, or lossy compression changed them.
    """
    look = partial(_look, storage, limits, as_colors)
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="masks") as threads:
        return list(threads.map(look, masks, masks.values()))


def _look(
    storage: Storage, limits: DecodeLimits, as_colors: bool, sample: str, mask: str
) -> MaskLook:
    try:
        count = count_values(mask, read_mask_file(storage, mask, limits), as_colors=as_colors)
    except ImageError as error:
        return MaskLook(sample, mask, None, error.message)
    sizes = _picture_sizes(storage, sample, limits)
    return MaskLook(sample, mask, count, None, *sizes)


def _picture_sizes(
    storage: Storage, name: str, limits: DecodeLimits
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Return the upright and the stored size of a picture; None when it has no header.

    An unreadable picture is found and named when it is decoded.
    """
    try:
        if isinstance(storage, LocalStorage):
            path = storage.path / name
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as m:
                if sniff(m[:32]) == "TIFF":
                    raster = open_tiff(path)
                    return (raster.height, raster.width), None
                # Read as bytes are, but only the pages that the header and the EXIF are on.
                return _sizes(read_header(cast(bytes, m)))
        data = storage.read(name, limits)
        return _sizes(read_header(data))
    except (ImageError, OSError, ValueError):
        return None, None


def _sizes(header: ImageHeader) -> tuple[tuple[int, int], tuple[int, int]]:
    size = header.height, header.width
    return size, size[::-1] if header.orientation >= 5 else size
