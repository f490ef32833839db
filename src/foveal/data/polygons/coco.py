"""Annotations in COCO's JSON: polygons and run lengths of many pictures in one file.

Format: https://cocodataset.org/#format-data. Of panoptic and keypoint files only `segmentation`
counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import orjson
from numpy.typing import NDArray

from foveal.data.polygons.regions import Drawing, Region, Runs, Shape, to_ring
from foveal.errors import DataError, ImageError

_KEYS = ("images", "annotations", "categories")
# 44,000 x 44,000 pixels: no picture is larger, and the run lengths of a hostile file are not drawn.
_MAX_PIXELS = 2_000_000_000


@final
@dataclass(frozen=True, slots=True, eq=False)
class CocoPicture:
    """The annotations of one picture.

    Attributes:
        file: `file_name` as it stands there.
        drawing: Regions; crowds come first, so that objects outlined in one are drawn over it.
        problem: Why its annotations cannot be used, or None.
    """

    file: str
    drawing: Drawing
    problem: str | None = None


def is_coco(data: bytes) -> bool:
    """Return whether JSON looks like COCO's, without parsing it."""
    return all(f'"{key}"'.encode() in data for key in _KEYS)


def read_coco(name: str, data: bytes) -> list[CocoPicture] | None:
    """Return the pictures of a COCO file, or None when the JSON is of another kind.

    Regions of a crowd (`iscrowd`) are what nobody says anything about.

    Args:
        name: Name of the file, for errors.
        data: The file.

    Raises:
        DataError: If it is no JSON, or its lists contradict each other.
    """
    try:
        content = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise DataError(f"{name} is not JSON: {error}.") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in _KEYS):
        return None
    names = {_key(name, "category", entry): entry.get("name") for entry in content["categories"]}
    for number, label in names.items():
        if not isinstance(label, str) or not label.strip():
            raise DataError(f"{name}: category {number} has no name.")
    images = {_key(name, "image", entry): entry for entry in content["images"]}
    found: dict[object, list[Any]] = {number: [] for number in images}
    for entry in content["annotations"]:
        image = entry.get("image_id") if isinstance(entry, dict) else None
        if not isinstance(image, (int, str)) or image not in found:
            raise DataError(
                f"{name}: annotation {_id(entry)} belongs to image {image!r}, which is not listed."
            )
        found[image].append(entry)
    return [_picture(name, images[number], found[number], names) for number in images]


def _key(name: str, what: str, entry: object) -> int | str:
    number = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(number, (int, str)):
        raise DataError(f"{name}: an entry of {what} has no id.")
    return number


def _id(entry: object) -> object:
    return entry.get("id") if isinstance(entry, dict) else entry


def _picture(
    name: str, image: Mapping[str, Any], entries: Iterable[Any], names: Mapping[Any, str]
) -> CocoPicture:
    file = image.get("file_name")
    if not isinstance(file, str) or not file:
        raise DataError(f"{name}: image {image['id']} has no file_name.")
    regions: list[Region] = []
    degenerate = 0
    number: object = None
    try:
        size = _size(image)
        # Crowds first; the order among the others is that of the file.
        for entry in sorted(entries, key=lambda entry: not entry.get("iscrowd")):
            number = _id(entry)
            drawn, passed = _regions(entry, names, size)
            regions.extend(drawn)
            degenerate += passed
    except ImageError as error:
        where = f"annotation {number} of {file}" if number is not None else file
        return CocoPicture(file, Drawing(()), f"{name}, {where}: {error.message.rstrip('.')}")
    return CocoPicture(file, Drawing(tuple(regions), size, degenerate))


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    if height is None or width is None:
        return None
    return _checked_size([height, width])


def _checked_size(values: object) -> tuple[int, int]:
    if (
        not isinstance(values, list)
        or len(values) != 2
        or not all(isinstance(value, int) and 0 < value <= _MAX_PIXELS for value in values)
        or values[0] * values[1] > _MAX_PIXELS
    ):
        raise ImageError(f"its size is {str(values)[:60]}. Expected height and width in pixels")
    return values[0], values[1]


def _regions(
    entry: Mapping[str, Any], names: Mapping[Any, str], size: tuple[int, int] | None
) -> tuple[list[Region], int]:
    """Return the regions of one annotation, and how many outlines were passed over."""
    category = entry.get("category_id")
    if not isinstance(category, (int, str)) or category not in names:
        raise ImageError(f"its category is {str(category)[:40]}, which is not listed")
    label = None if entry.get("iscrowd") else names[category].strip()
    drawn = entry.get("segmentation")
    if not drawn:
        # A box without an outline.
        return [], 1
    if isinstance(drawn, dict):
        return [_runs(label, drawn, size)], 0
    if not isinstance(drawn, list):
        raise ImageError("its segmentation is neither a list of polygons nor run lengths")
    outlines = drawn if isinstance(drawn[0], list) else [drawn]
    regions: list[Region] = []
    for outline in outlines:
        ring = to_ring(_pairs(outline))
        # Polygons of one object are its parts; none is a hole in another.
        if ring is not None:
            regions.append(Shape(label, (ring,)))
    return regions, len(outlines) - len(regions)


def _pairs(outline: object) -> NDArray[np.float64]:
    try:
        values = np.array(outline, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ImageError("a polygon is not a list of numbers") from error
    if values.ndim != 1 or len(values) % 2:
        raise ImageError("a polygon is not a list of x, y, x, y, …")
    return values.reshape(-1, 2)


def _runs(label: str | None, drawn: Mapping[str, Any], size: tuple[int, int] | None) -> Runs:
    height, width = _checked_size(drawn.get("size"))
    if size is not None and (height, width) != size:
        raise ImageError(
            f"its run lengths cover {width} x {height} pixels, but the picture has {size[1]} x "
            f"{size[0]}"
        )
    counts = drawn.get("counts")
    lengths = decode_counts(counts) if isinstance(counts, str) else counts
    if not isinstance(lengths, list) or not all(
        isinstance(n, int) and 0 <= n <= _MAX_PIXELS for n in lengths
    ):
        raise ImageError("its run lengths are not a list of integers from 0")
    if sum(lengths) != height * width:
        raise ImageError(f"its run lengths sum to {sum(lengths):,}, not to {height} x {width}")
    return Runs(label, np.array(lengths, np.int64), (height, width))


def decode_counts(text: str) -> list[int]:
    """Return the run lengths that COCO writes as text.

    Each is a signed number of 5 bits a character, lowest first, as ASCII from 48; bit 32 says that
    more follow, bit 16 of the last is the sign. From the fourth on it is the difference from the
    one before the last. (`rleFrString` of pycocotools, BSD licence; written anew from that.)

    Raises:
        ImageError: If the text cannot be such a list.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        # A length of more than 60 bits is none.
        if not 0 <= code < 64 or shift > 60:
            raise ImageError("its compressed run lengths are damaged")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ImageError("its compressed run lengths are truncated")
    return counts
