"""Overlap of masks: Dice, IoU, precision and recall of each class, from counts of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OverlapScores:
    """Scores of each class; every array is (..., C), in [0, 1].

    A class that is neither true nor answered anywhere has no score (NaN). One that is only true,
    or only answered, scores 0 throughout: leaving it out would reward the mistake.

    Attributes:
        dice: 2 TP / (2 TP + FP + FN); of pixels this is the F1 score.
        iou: TP / (TP + FP + FN).
        precision: TP / (TP + FP).
        recall: TP / (TP + FN).
    """

    dice: Floats
    iou: Floats
    precision: Floats
    recall: Floats


def overlap_scores(confusion: ArrayLike) -> OverlapScores:
    """Return the scores of each class.

    Args:
        confusion: (..., C, C) counts of pixels: row = true class, column = answered class.
    """
    counts = np.asarray(confusion, np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    true, answered = counts.sum(axis=-1), counts.sum(axis=-2)
    shown = (true + answered) > 0
    return OverlapScores(
        dice=_share(2 * hits, true + answered, shown),
        iou=_share(hits, true + answered - hits, shown),
        precision=_share(hits, answered, shown),
        recall=_share(hits, true, shown),
    )


def pixel_accuracy(confusion: ArrayLike) -> Floats:
    """Return the share of pixels on the diagonal, (...,); NaN for no pixels.

    Args:
        confusion: (..., C, C) counts of pixels.
    """
    counts = np.asarray(confusion, np.float64)
    total = counts.sum(axis=(-2, -1))
    hits = np.diagonal(counts, axis1=-2, axis2=-1).sum(axis=-1)
    return _share(hits, total, total > 0)


def boundary_scores(counts: ArrayLike) -> Floats:
    """Return the boundary F1 of each class, (..., C), in [0, 1].

    2 P R / (P + R), with P the share of the answer's boundary that lies near the true one, and R
    the share of the true boundary that lies near the answer's. G. Csurka et al., "What is a good
    evaluation measure for semantic segmentation?", 2013,
    https://doi.org/10.5244/C.27.32.

    Args:
        counts: (..., C, 4) boundary pixels: of the answer near a true one, of the answer, of the
            truth near an answered one, of the truth.

    Returns:
        NaN for a class without any boundary, 0 for one that has it on one side only.
    """
    values = np.asarray(counts, np.float64)
    answered, true = values[..., 1], values[..., 3]
    shown = (answered + true) > 0
    precision = _share(values[..., 0], answered, shown)
    recall = _share(values[..., 2], true, shown)
    return _share(2 * precision * recall, precision + recall, shown)


def instance_scores(counts: ArrayLike) -> dict[str, Floats]:
    """Return PQ, SQ, RQ and AJI of each class, (..., C), in [0, 1].

    RQ = TP / (TP + FP / 2 + FN / 2), SQ = the mean IoU of matched objects, PQ = SQ RQ
    (A. Kirillov et al., "Panoptic Segmentation", 2019, https://arxiv.org/abs/1801.00868). AJI is
    the aggregated Jaccard index (N. Kumar et al., 2017,
    https://doi.org/10.1109/TMI.2017.2677499).

    Args:
        counts: (..., C, 6): sum of the IoU of matched objects, matched objects (TP), objects that
            are only answered (FP), objects that are only true (FN), and the pixels of AJI's
            intersections and unions.

    Returns:
        NaN for a class without objects on both sides; SQ is NaN where none is matched.
    """
    values = np.asarray(counts, np.float64)
    total, matched = values[..., 0], values[..., 1]
    halves = matched + (values[..., 2] + values[..., 3]) / 2
    shown = halves > 0
    return {
        "pq": _share(total, halves, shown),
        "sq": _share(total, matched, matched > 0),
        "rq": _share(matched, halves, shown),
        "aji": _share(values[..., 4], values[..., 5], shown),
    }


def mean_known(values: ArrayLike) -> Floats:
    """Return the mean over the last axis without what is NaN; NaN where nothing is known."""
    numbers = np.asarray(values, np.float64)
    known = ~np.isnan(numbers)
    count = known.sum(axis=-1)
    total = np.where(known, numbers, 0.0).sum(axis=-1)
    result = np.full(count.shape, np.nan)
    return np.asarray(np.divide(total, count, out=result, where=count > 0))


def _share(part: Floats, whole: Floats, shown: NDArray[np.bool_]) -> Floats:
    """Return part / whole; 0 where the whole is 0 but the class is shown, NaN where it is not."""
    result = np.where(shown, 0.0, np.nan)
    return np.asarray(np.divide(part, whole, out=result, where=shown & (whole > 0)))
