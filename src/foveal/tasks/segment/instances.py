"""Tell objects that touch apart: from their cores, which do not touch, back to their edges.

The network answers beside the labels which pixels are the core of an object, some pixels from its
edge. Each core is grown through the pixels of its label until it meets another. Learning the inside
of a nucleus apart from its boundary: N. Kumar et al., "A Dataset and a Technique for Generalized
Nuclear Segmentation for Computational Pathology", 2017, https://doi.org/10.1109/TMI.2017.2677499.
Deviations: the inside is an output of its own, so that a label keeps its pixels up to the edge, and
all cores grow at the same pace, as in a watershed of the distance to the nearest core.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.segment.boundary import dilate
from foveal.tasks.segment.components import Components, find_components
from foveal.tasks.segment.counting import strips
from foveal.types import JsonObject, Mask, Numbers

Bits: TypeAlias = NDArray[np.bool_]

# Scores are kept for each pixel in steps of 1/255.
_LEVELS = 255
_SIDES: tuple[tuple[int, int], ...] = ((-1, 0), (1, 0), (0, -1), (0, 1))
_ALL = (*_SIDES, (-1, -1), (-1, 1), (1, -1), (1, 1))


@final
@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """The objects of one picture; number i + 1 in `Prediction.numbers` is the i-th of the arrays.

    Attributes:
        cores: (H, W) probability of being part of a core; None unless requested.
        least: Pixels that a core of each label has at least; empty for any number.
        labels: (P,) positions of the objects' labels.
        areas: (P,) pixels of each object.
        boxes: (P, 4) x0, y0, x1, y1 in original pixels, the end open.
        scores: (P,) mean probability of the label over the pixels of the object, in [0, 1].
    """

    cores: NDArray[np.floating[Any]] | None
    labels: NDArray[np.int64]
    areas: NDArray[np.int64]
    boxes: NDArray[np.int64]
    scores: NDArray[np.float64]
    least: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.areas)

    def without_maps(self) -> Instances:
        """Return the same objects without the cores."""
        return replace(self, cores=None)

    def to_json(self, labels: Sequence[str]) -> list[JsonObject]:
        """Return the label, area, box and score of each object."""
        rows = zip(self.labels, self.areas, self.boxes, self.scores, strict=True)
        return [
            {
                "label": labels[int(label)],
                "area": int(area),
                "box": [int(side) for side in box],
                "score": round(float(score), 6),
            }
            for label, area, box, score in rows
        ]


def find_instances(
    mask: Mask,
    cores: Bits,
    sureness: NDArray[np.uint8],
    objects: Iterable[int],
    least: Sequence[int] = (),
) -> tuple[Instances, Numbers]:
    """Return the objects of a mask, and the number of the object at each pixel.

    An object is what a core, 8-connected, grows to within its label. A patch of a label without a
    core is one object.

    Args:
        mask: (H, W) label positions.
        cores: (H, W) whether a pixel is part of a core; outside the objects' labels it counts not.
        sureness: (H, W) probability of each pixel's label in steps of 1/255.
        objects: Positions of the labels that have objects.
        least: Pixels that a core of each label has at least; empty for any number.
    """
    numbers = np.zeros(mask.shape, np.int32)
    labels: list[int] = []
    chosen = tuple(objects)
    for label in chosen:
        parts = find_components(cores & (mask == label), diagonal=True)
        if least:
            parts = parts.only(parts.areas >= least[label])
        number_runs(numbers, parts, len(labels))
        labels += [label] * len(parts.areas)
    if labels:
        _grow(numbers, mask)
    for label in chosen:
        parts = find_components((mask == label) & (numbers == 0), diagonal=True)
        number_runs(numbers, parts, len(labels))
        labels += [label] * len(parts.areas)
    areas, boxes, scores = _measure(numbers, sureness, len(labels))
    return Instances(None, np.array(labels, np.int64), areas, boxes, scores), numbers


def inner(numbers: NDArray[Any], depth: int) -> Bits:
    """Return which pixels of objects are farther than `depth` pixels from another value.

    Args:
        numbers: (H, W), 0 for no object.
        depth: In pixels, counted along rows and columns.
    """
    return (numbers > 0) & ~dilate(rims(numbers), depth - 1)


def as_levels(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Return probabilities in steps of 1/255."""
    levels: NDArray[np.uint8] = np.rint(probabilities * np.float32(_LEVELS)).astype(np.uint8)
    return levels


def number_runs(numbers: Numbers, parts: Components, before: int) -> None:
    """Write the numbers of components, from `before` + 1, into the pixels of their runs."""
    width = numbers.shape[1]
    lengths = parts.end - parts.start
    first = parts.row * width + parts.start
    offset = np.cumsum(lengths) - lengths
    places = np.arange(int(lengths.sum())) + np.repeat(first - offset, lengths)
    numbers.reshape(-1)[places] = np.repeat(parts.owner + before + 1, lengths)


def _grow(numbers: Numbers, mask: Mask) -> None:
    """Grow the numbered pixels within their labels, a pixel a step, until nothing is left to reach.

    Steps to 4 and to 8 neighbours take turns, so that a disc grows as an octagon.
    """
    height, width = mask.shape
    flat, labels = numbers.reshape(-1), mask.reshape(-1)
    last = np.flatnonzero((numbers > 0) & dilate(rims(numbers), 1))
    earlier = last[:0]
    directions = _SIDES
    while len(last) + len(earlier):
        # What an earlier step reached may still have neighbours at its corners.
        front = np.concatenate([last, earlier])
        row, column = np.divmod(front, width)
        taken = []
        for down, right in directions:
            y, x = row + down, column + right
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            source, place = front[inside], (y * width + x)[inside]
            free = (flat[place] == 0) & (labels[place] == labels[source])
            source, place = source[free], place[free]
            flat[place] = flat[source]
            taken.append(place)
        last, earlier = np.unique(np.concatenate(taken)), last
        directions = _SIDES if directions is _ALL else _ALL


def rims(numbers: NDArray[Any]) -> Bits:
    """Return which pixels have a 4-neighbour of another value."""
    found = np.zeros(numbers.shape, np.bool_)
    down, across = numbers[1:] != numbers[:-1], numbers[:, 1:] != numbers[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= across
    found[:, :-1] |= across
    return found


def _measure(
    numbers: Numbers, sureness: NDArray[np.uint8], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return areas, boxes and scores; see `Instances`."""
    height, width = numbers.shape
    areas = np.zeros(count + 1, np.int64)
    sums = np.zeros(count + 1, np.float64)
    boxes = np.tile(np.array([width, height, 0, 0], np.int64), (count + 1, 1))
    for start, end in strips(height, width):
        part = numbers[start:end].reshape(-1)
        areas += np.bincount(part, minlength=count + 1)
        sums += np.bincount(part, sureness[start:end].reshape(-1), minlength=count + 1)
        # A run ends where the number changes, or the row does.
        is_first = np.ones(part.size, np.bool_)
        is_first[1:] = part[1:] != part[:-1]
        is_first[::width] = True
        first = np.flatnonzero(is_first)
        last = np.append(first[1:], part.size) - 1
        owner = part[first]
        row = start + first // width
        np.minimum.at(boxes[:, 0], owner, first % width)
        np.minimum.at(boxes[:, 1], owner, row)
        np.maximum.at(boxes[:, 2], owner, last % width + 1)
        np.maximum.at(boxes[:, 3], owner, row + 1)
    scores = sums[1:] / np.maximum(areas[1:], 1) / _LEVELS
    return areas[1:], boxes[1:], scores
