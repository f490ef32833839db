"""Shapes of a labelme JSON file: polygons, rectangles, circles and masks of one picture."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from foveal.data.decode import DecodeLimits, decode
from foveal.data.polygons.regions import MAX_POINTS, Drawing, Region, Runs, Shape, to_ring
from foveal.errors import ImageError

# How far the edges of a circle may be from it, in pixels.
_TOLERANCE_PX = 0.1
_MAX_RADIUS = 1e7
_WITHOUT_AREA = frozenset(("point", "points", "line", "linestrip"))
# labelme's own words, which its exporters write as 0 and 255.
_NAMES: Mapping[str, str | None] = {"_background_": "background", "__ignore__": None}
_MASK_LIMITS = DecodeLimits(max_bytes=100_000_000, max_pixels=400_000_000)


def read_labelme(name: str, data: bytes) -> Drawing | None:
    """Return the shapes of a labelme file, or None when the JSON is of another kind.

    Flags, groups and the embedded picture are not looked at. `_background_` is the background,
    `__ignore__` what nobody says anything about.

    Args:
        name: Name of the file, for errors.
        data: The file.

    Raises:
        ImageError: If it is no JSON, or its shapes are not understood.
    """
    try:
        content = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise ImageError(f"{name} is not JSON: {error}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        return None
    regions: list[Region] = []
    degenerate = points = 0
    for number, entry in enumerate(content["shapes"], 1):
        try:
            region = _region(entry)
        except ImageError as error:
            reason = error.message.rstrip(".")
            raise ImageError(f"{name}, shape {number}: {reason}.", hint=error.hint) from error
        if region is None:
            degenerate += 1
            continue
        regions.append(region)
        points += sum(len(ring) for ring in region.rings) if isinstance(region, Shape) else 0
    if points > MAX_POINTS:
        raise ImageError(f"{name} has {points:,} points. Expected at most {MAX_POINTS:,}.")
    return Drawing(tuple(regions), _size(name, content), degenerate)


def _size(name: str, content: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if height is None or width is None:
        return None
    if not (_is_count(height) and _is_count(width)):
        raise ImageError(
            f"{name} is for a picture of {width!r} x {height!r}. Expected whole numbers of pixels."
        )
    return height, width


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _region(entry: object) -> Region | None:
    if not isinstance(entry, dict):
        raise ImageError("it is not an object")
    text = entry.get("label")
    if not isinstance(text, str) or not text.strip():
        raise ImageError("it has no label")
    label = _NAMES.get(text.strip(), text.strip())
    kind = entry.get("shape_type") or "polygon"
    points = _points(entry.get("points"))
    if kind in _WITHOUT_AREA:
        return None
    if kind == "mask":
        return _mask(label, points, entry.get("mask"))
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        if x0 == x1 or y0 == y1:
            return None
        points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    elif kind == "circle":
        points = _circle(points)
    elif kind not in ("polygon", "rectangle"):
        raise ImageError(f"its shape_type is {str(kind)[:40]!r}. Expected polygon, rectangle, …")
    ring = to_ring(points)
    return Shape(label, (ring,)) if ring is not None else None


def _points(points: object) -> NDArray[np.float64]:
    if not isinstance(points, list) or not all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(v, (int, float)) and abs(v) <= _MAX_RADIUS for v in pair)
        for pair in points
    ):
        raise ImageError("its points are not pairs of numbers, or are far outside the picture")
    pairs: NDArray[np.float64] = np.array(points, np.float64).reshape(-1, 2)
    return pairs


def _circle(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return corners on a circle that is given by its centre and a point on it."""
    if len(points) != 2:
        raise ImageError(
            f"a circle has {len(points)} points. Expected its centre and a point on its rim"
        )
    center, rim = points
    radius = math.hypot(*(rim - center))
    if radius == 0:
        return np.array([center])
    # An edge over an angle leaves the circle by r (1 - cos(angle / 2)).
    angle = 2 * math.acos(max(0.0, 1 - _TOLERANCE_PX / radius))
    turns = np.linspace(0, 2 * np.pi, max(8, math.ceil(2 * math.pi / angle)), endpoint=False)
    corners: NDArray[np.float64] = center + radius * np.stack(
        (np.cos(turns), np.sin(turns)), axis=1
    )
    return corners


def _mask(label: str | None, points: NDArray[np.float64], encoded: object) -> Runs:
    """Return the pixels of a mask that is kept as a PNG of its box."""
    if not isinstance(encoded, str) or len(points) != 2:
        raise ImageError("a mask needs its picture in base64 and the two corners of its box")
    try:
        file = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise ImageError("its mask is not base64") from error
    pixels = decode(file, _MASK_LIMITS).pixels[:, :, 0] != 0
    left, top = (round(float(value)) for value in points.min(axis=0))
    height, width = pixels.shape
    flat = np.concatenate(([False], pixels.T.ravel(), [True]))
    # Where a run ends: before each change. The first run is outside, and may be empty.
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    ends = np.append(ends[ends < height * width], height * width)
    return Runs(label, np.diff(ends, prepend=0).astype(np.int64), (height, width), (top, left))
