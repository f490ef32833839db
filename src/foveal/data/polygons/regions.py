"""Regions of a picture (shapes and pixel runs), and their rasterisation to a mask.

Coordinates are original pixels with the corner of the picture at 0, 0: pixel (row, column) covers
[column, column + 1) x [row, row + 1). A pixel belongs to a shape when its centre lies inside, so
neighbours that share an edge neither overlap nor leave a gap: a square from (2, 2) to (6, 6) is the
16 pixels of rows and columns 2 to 5. (OpenCV's `fillPoly` would also paint its outline, half a
pixel outwards, and knows the even-odd rule only.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.masks.apart import lines_between
from foveal.errors import ImageError
from foveal.types import IGNORED, Mask

FillRule: TypeAlias = Literal["nonzero", "evenodd"]
Ring: TypeAlias = NDArray[np.float64]
"""(N, 2) x and y of the corners, in original pixels; the last is joined to the first."""

MAX_POINTS = 5_000_000
"""Corners in a file. Real files of whole slides have some hundred thousand."""

# Corners farther out than any picture reaches: damage, or an attack on what follows.
_MAX_COORDINATE = 1e7
# Where rows cross the edges of one shape; they are held at once, 40 bytes each.
_MAX_CROSSINGS = 20_000_000
# Pixels of a shape's box that are worked on at once.
_BAND_PIXELS = 4_000_000


@final
@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """An outline that is filled.

    Attributes:
        label: Name of its class; None where nobody says what is there.
        rings: Outlines, each of at least three corners.
        rule: Which points are inside where rings lie in each other.
    """

    label: str | None
    rings: tuple[Ring, ...]
    rule: FillRule = "nonzero"


@final
@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """A region as run lengths in column order, alternately outside and inside.

    Attributes:
        label: Name of its class; None where nobody says what is there.
        counts: (N,) int64 lengths; they sum to the product of `size`.
        size: (height, width) of the box that they fill.
        corner: (top, left) of the box in the picture.
    """

    label: str | None
    counts: NDArray[np.int64]
    size: tuple[int, int]
    corner: tuple[int, int] = (0, 0)


Region: TypeAlias = Shape | Runs


@final
@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """The regions of one picture.

    Attributes:
        regions: In the order of drawing: later ones lie over earlier ones.
        size: (height, width) of the picture as the file states it, or None.
        degenerate: Number of outlines that were skipped for having fewer than three corners.
    """

    regions: tuple[Region, ...]
    size: tuple[int, int] | None = None
    degenerate: int = 0

    @property
    def labels(self) -> set[str]:
        """Return the names of the classes that are drawn."""
        return {region.label for region in self.regions if region.label is not None}


def to_ring(points: Iterable[Sequence[float]] | NDArray[np.float64]) -> Ring | None:
    """Return the corners of an outline, or None when fewer than three differ.

    Raises:
        ImageError: If they are no finite pairs of numbers, or farther out than any picture.
    """
    try:
        corners = np.array(points, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ImageError("the points of a shape are not pairs of numbers") from error
    if corners.size == 0:
        return None
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ImageError("the points of a shape are not pairs of numbers")
    if not (np.abs(corners) <= _MAX_COORDINATE).all():
        raise ImageError("a point of a shape is not finite, or is far outside the picture")
    different = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
    return different if len(different) >= 3 else None


def count_outside(regions: Iterable[Region], height: int, width: int) -> int:
    """Return how many corners lie outside a picture; the edge itself is inside."""
    count = 0
    for region in regions:
        if isinstance(region, Shape):
            for ring in region.rings:
                inside = (ring >= 0) & (ring <= (width, height))
                count += int((~inside.all(axis=1)).sum())
    return count


def rasterise(
    regions: Iterable[Region], height: int, width: int, values: Mapping[str, int]
) -> Mask:
    """Return the mask that regions make, 0 where there are none; what is outside is cut off.

    Args:
        regions: In the order of drawing.
        height: Height of the picture, in pixels.
        width: Width of the picture, in pixels.
        values: Name of a class → its value in the mask.

    Raises:
        ImageError: If a shape is too intricate to be drawn.
    """
    mask = np.zeros((height, width), np.uint8)
    for region in regions:
        _draw(mask, region, _value(region, values))
    return mask


def rasterise_apart(
    regions: Sequence[Region], height: int, width: int, values: Mapping[str, int]
) -> Mask:
    """Return the same mask with a line of 0 where regions of one class touch; see `lines_between`.

    Args:
        regions: In the order of drawing.
        height: Height of the picture, in pixels.
        width: Width of the picture, in pixels.
        values: Name of a class → its value in the mask.

    Raises:
        ImageError: If a shape is too intricate to be drawn.
    """
    numbers = np.zeros((height, width), np.int32)
    for number, region in enumerate(regions, 1):
        _draw(numbers, region, number)
    table = np.array([0, *(_value(region, values) for region in regions)], np.uint8)
    mask = table[numbers]
    objects = np.where((mask == 0) | (mask == IGNORED), 0, numbers)
    mask[lines_between(objects, mask)] = 0
    return mask


def _value(region: Region, values: Mapping[str, int]) -> int:
    return IGNORED if region.label is None else values[region.label]


def _draw(mask: NDArray[Any], region: Region, value: int) -> None:
    if isinstance(region, Runs):
        _fill_runs(mask, region, value)
    else:
        _fill(mask, region, value)


def _fill_runs(mask: NDArray[Any], runs: Runs, value: int) -> None:
    height, width = runs.size
    is_inside = np.arange(len(runs.counts)) % 2 == 1
    box = np.repeat(is_inside, runs.counts).reshape(width, height).T
    top, left = runs.corner
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + height, mask.shape[0]), min(left + width, mask.shape[1])
    if y0 < y1 and x0 < x1:
        mask[y0:y1, x0:x1][box[y0 - top : y1 - top, x0 - left : x1 - left]] = value


def _fill(mask: NDArray[Any], shape: Shape, value: int) -> None:
    """Fill a shape: the winding number of each pixel's centre, from the edges left of it."""
    height, width = mask.shape
    starts = np.concatenate(shape.rings)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in shape.rings])
    # Rows whose centre is at or below the upper end of an edge, and above its lower end.
    first = _pixel(np.minimum(starts[:, 1], ends[:, 1]), height)
    spans = _pixel(np.maximum(starts[:, 1], ends[:, 1]), height) - first
    total = int(spans.sum())
    if total > _MAX_CROSSINGS:
        raise ImageError(f"a shape of {len(starts):,} points is too complex to draw")
    if total == 0:
        return
    edges = np.repeat(np.arange(len(starts)), spans)
    before = np.repeat(np.cumsum(spans) - spans, spans)
    rows = first[edges] + np.arange(total) - before
    (x0, y0), (x1, y1) = starts[edges].T, ends[edges].T
    columns = _pixel(x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0)), width)
    turns = np.where(y1 > y0, 1, -1).astype(np.int32)
    order = np.argsort(rows, kind="stable")
    rows, columns, turns = rows[order], columns[order], turns[order]
    left, right = int(columns.min()), int(columns.max())
    step = max(1, _BAND_PIXELS // (right - left + 1))
    for top in range(int(rows[0]), int(rows[-1]) + 1, step):
        bottom = min(top + step, int(rows[-1]) + 1)
        here = slice(*np.searchsorted(rows, (top, bottom)))
        winding = np.zeros((bottom - top, right - left + 1), np.int32)
        np.add.at(winding, (rows[here] - top, columns[here] - left), turns[here])
        np.cumsum(winding, axis=1, out=winding)
        is_inside = (winding if shape.rule == "nonzero" else winding & 1)[:, :-1] != 0
        mask[top:bottom, left:right][is_inside] = value


def _pixel(coordinates: NDArray[np.float64], end: int) -> NDArray[np.int64]:
    """Return the first pixel whose centre is at or after each coordinate, at most `end`."""
    return np.clip(np.ceil(coordinates - 0.5), 0, end).astype(np.int64)
