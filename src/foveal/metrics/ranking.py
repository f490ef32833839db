"""Metrics of scores before a threshold: ROC, precision-recall, thresholds chosen from data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# With fewer examples the F1 of a threshold is mostly chance.
MIN_POSITIVES = 5


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Receiver operating characteristic; starts at (0, 0), ends at (1, 1).

    Attributes:
        false_positive_rate: (M,) FP / negatives, ascending.
        true_positive_rate: (M,) TP / positives, ascending.
        threshold: (M,) scores at or above are positive; the first is infinite.
        area: Under the curve, trapezoidal, in [0, 1]; NaN without both classes.
    """

    false_positive_rate: Floats
    true_positive_rate: Floats
    threshold: Floats
    area: float


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """Precision over recall.

    Attributes:
        precision: (M,) TP / predicted positive.
        recall: (M,) TP / positives, ascending.
        threshold: (M,) scores at or above are positive; descending.
        average_precision: Σ (R_k - R_{k-1}) P_k, in [0, 1]; NaN without positives.
    """

    precision: Floats
    recall: Floats
    threshold: Floats
    average_precision: float


def roc_curve(scores: ArrayLike, positive: ArrayLike) -> RocCurve:
    """Return the ROC curve; equal scores move together.

    Args:
        scores: (N,) larger means more positive.
        positive: (N,) whether the sample is positive.
    """
    threshold, hits, false_hits = _cumulate(scores, positive)
    positives, negatives = float(hits[-1]), float(false_hits[-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        true_rate = np.append(0.0, hits[1:] / positives)
        false_rate = np.append(0.0, false_hits[1:] / negatives)
    # Trapezia by hand: numpy 1.26 and 2 name the function differently.
    trapezia = np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2
    area = float(trapezia.sum()) if positives and negatives else math.nan
    return RocCurve(false_rate, true_rate, threshold, area)


def precision_recall_curve(scores: ArrayLike, positive: ArrayLike) -> PrecisionRecallCurve:
    """Return the precision-recall curve; equal scores move together.

    Args:
        scores: (N,) larger means more positive.
        positive: (N,) whether the sample is positive.
    """
    threshold, hits, false_hits = (part[1:] for part in _cumulate(scores, positive))
    total = float(hits[-1]) if hits.size else 0.0
    precision = hits / (hits + false_hits)
    if not total:
        return PrecisionRecallCurve(precision, np.full(hits.shape, np.nan), threshold, math.nan)
    recall = hits / total
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    return PrecisionRecallCurve(precision, recall, threshold, average)


def mean_average_precision(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the mean of the labels' average precisions; labels that never occur are left out.

    Args:
        probabilities: (N, C) scores.
        targets: (N, C) 0/1.

    Returns:
        A value in [0, 1]; NaN when no label occurs.
    """
    scores, wanted = np.asarray(probabilities), np.asarray(targets) > 0.5
    present = np.flatnonzero(wanted.any(axis=0))
    parts = [precision_recall_curve(scores[:, c], wanted[:, c]).average_precision for c in present]
    return float(np.mean(parts)) if parts else math.nan


def threshold_sweep(
    scores: ArrayLike, positive: ArrayLike, thresholds: ArrayLike
) -> list[dict[str, float]]:
    """Return what each threshold on the positive class's probability would give.

    Args:
        scores: (N,) probability of the positive class.
        positive: (N,) whether the sample is positive.
        thresholds: Each: scores at or above are answered positive.

    Returns:
        A dict for each threshold: threshold, accuracy, precision, recall, f1,
        false_positive_rate; NaN where undefined.
    """
    values, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)
    rows = []
    for threshold in np.asarray(thresholds, np.float64):
        said = values >= threshold
        hits, false_hits = int((said & truth).sum()), int((said & ~truth).sum())
        missed = int((~said & truth).sum())
        rejected = int((~said & ~truth).sum())
        rows.append(
            {
                "threshold": float(threshold),
                "accuracy": _share(hits + rejected, truth.size),
                "precision": _share(hits, hits + false_hits),
                "recall": _share(hits, hits + missed),
                "f1": _share(2 * hits, 2 * hits + false_hits + missed),
                "false_positive_rate": _share(false_hits, false_hits + rejected),
            }
        )
    return rows


def best_f1_thresholds(
    probabilities: ArrayLike, targets: ArrayLike, *, min_positives: int = MIN_POSITIVES
) -> tuple[float, ...]:
    """Return, for each label, the threshold with the highest F1.

    It lies half-way between the scores on both sides of the best cut. Of equally good cuts the
    one nearest 0.5 is taken. Labels with fewer than `min_positives` pictures that have them, or
    that lack them, keep 0.5.

    Args:
        probabilities: (N, C) in [0, 1].
        targets: (N, C) 0/1.
        min_positives: Fewest examples of each side for a choice.

    Returns:
        C thresholds; a label is answered when its probability is at or above.
    """
    scores, wanted = np.asarray(probabilities, np.float64), np.asarray(targets) > 0.5
    chosen = []
    for column, truth in zip(scores.T, wanted.T, strict=True):
        if min(truth.sum(), (~truth).sum()) < min_positives:
            chosen.append(0.5)
            continue
        threshold, hits, false_hits = (part[1:] for part in _cumulate(column, truth))
        f1 = 2 * hits / (hits + false_hits + hits[-1])
        cuts = (threshold + np.append(threshold[1:], 0.0)) / 2
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        chosen.append(float(cuts[best[np.argmin(np.abs(cuts[best] - 0.5))]]))
    return tuple(chosen)


def _cumulate(scores: ArrayLike, positive: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return (thresholds, true positives, false positives) from infinity down, ties merged."""
    values, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)
    order = np.argsort(-values, kind="stable")
    ranked, hit = values[order], truth[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    ends = ends if len(ranked) else np.zeros(0, np.int64)
    hits = np.cumsum(hit)[ends].astype(np.float64)
    return (
        np.append(np.inf, ranked[ends]),
        np.append(0.0, hits),
        np.append(0.0, ends + 1 - hits),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
