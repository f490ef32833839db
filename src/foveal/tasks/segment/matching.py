"""Match answered objects with true ones, and count what panoptic quality and AJI are made of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.segment.components import find_components
from foveal.tasks.segment.instances import Instances, number_runs
from foveal.types import IGNORED, Mask, Numbers

OBJECT_COUNTS = 6
"""For each label: the sum of the IoU of matched objects, matched objects, objects that are only
answered, objects that are only true; pixels of the intersections and of the unions of AJI."""


def object_counts(
    answer: Instances, numbers: Numbers, truth: Mask, classes: int, objects: Iterable[int]
) -> NDArray[np.float64]:
    """Count how the objects of an answer match the true ones.

    A true object is an 8-connected patch of its label. Pixels of unknown label are in no object.
    Objects match if their IoU is over 0.5, which one object of the other side at most can have
    (A. Kirillov et al., "Panoptic Segmentation", 2019, https://arxiv.org/abs/1801.00868). For AJI
    each true object is paired with the answered one with which it has the largest IoU, and
    answered ones that are in no pair count as wrong in full (N. Kumar et al., 2017,
    https://doi.org/10.1109/TMI.2017.2677499).

    Args:
        answer: The objects that were found.
        numbers: (H, W) number of the object at each pixel.
        truth: (H, W) label positions, or `IGNORED`.
        classes: C.
        objects: Positions of the labels that have objects.

    Returns:
        (C, 6), see `OBJECT_COUNTS`; 0 for labels without objects.
    """
    counts = np.zeros((classes, OBJECT_COUNTS))
    said = np.where(truth != IGNORED, numbers, 0)
    areas = np.bincount(said.reshape(-1), minlength=len(answer) + 1)[1:]
    for label in objects:
        own = np.flatnonzero((answer.labels == label) & (areas > 0))
        # The position of each answered object among those of its label, from 1.
        place = np.zeros(len(answer) + 1, np.int64)
        place[own + 1] = np.arange(1, len(own) + 1)
        parts = find_components(truth == label, diagonal=True)
        true = np.zeros(truth.shape, np.int32)
        number_runs(true, parts, 0)
        counts[label] = _counts(true, place[said], parts.areas, areas[own])
    return counts


def _counts(
    true: Numbers,
    said: NDArray[np.int64],
    true_areas: NDArray[np.int64],
    said_areas: NDArray[np.int64],
) -> tuple[float, ...]:
    """Return the counts of one label; see `OBJECT_COUNTS`.

    Args:
        true: (H, W) number of the true object, from 1.
        said: (H, W) number of the answered object, from 1.
        true_areas: (T,) pixels of each.
        said_areas: (P,) pixels of each, at least 1.
    """
    both = (true > 0) & (said > 0)
    pairs, shared = np.unique(
        true[both].astype(np.int64) * (len(said_areas) + 1) + said[both], return_counts=True
    )
    one, other = np.divmod(pairs, len(said_areas) + 1)
    one, other = one - 1, other - 1
    union = true_areas[one] + said_areas[other] - shared
    iou = shared / union
    is_match = iou > 0.5
    matched = int(is_match.sum())
    # The pair with the largest IoU of each true object comes first.
    order = np.lexsort((-iou, one))
    is_best = np.ones(len(order), np.bool_)
    is_best[1:] = one[order][1:] != one[order][:-1]
    best = order[is_best]
    is_alone = np.ones(len(true_areas), np.bool_)
    is_alone[one[best]] = False
    is_unused = np.ones(len(said_areas), np.bool_)
    is_unused[other[best]] = False
    return (
        float(iou[is_match].sum()),
        matched,
        len(said_areas) - matched,
        len(true_areas) - matched,
        int(shared[best].sum()),
        int(union[best].sum() + true_areas[is_alone].sum() + said_areas[is_unused].sum()),
    )
