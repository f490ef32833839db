"""Curves of a classifier's probabilities: ROC, precision-recall, the threshold sweep, mAP."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.types import JsonObject

_CURVE_POINTS = 200
_SWEEP = tuple(round(0.05 * i, 2) for i in range(1, 20))
# Resampling average precision sorts again; beyond this many scores it takes over ten seconds.
_RESAMPLED_SCORES = 500_000


def binary_curves(
    scores: NDArray[np.float32], positive: NDArray[np.bool_], name: str
) -> JsonObject:
    """Return ROC, precision-recall and a threshold sweep as JSON values.

    Args:
        scores: (N,) probability of the positive class.
        positive: (N,) whether the positive class applies.
        name: The positive class.

    Returns:
        `positive`, `roc_auc` and `average_precision` (each with its interval), `roc` ([false
        positive rate, true positive rate] points), `precision_recall` ([recall, precision]
        points) and `sweep` (a row a threshold).
    """
    roc = metrics.roc_curve(scores, positive)
    curve = metrics.precision_recall_curve(scores, positive)

    def areas(rows: NDArray[np.float64]) -> dict[str, float]:
        values, truth = rows[:, 0], rows[:, 1] > 0.5
        return {
            "roc": metrics.roc_curve(values, truth).area,
            "average_precision": metrics.precision_recall_curve(values, truth).average_precision,
        }

    rows = np.stack([scores, positive], axis=1).astype(np.float64)
    intervals = metrics.bootstrap(rows, areas, resamples=metrics.MIN_RESAMPLES)
    return {
        "positive": name,
        "roc_auc": metrics.Interval(roc.area, *intervals["roc"]).to_json(),
        "average_precision": metrics.Interval(
            curve.average_precision, *intervals["average_precision"]
        ).to_json(),
        "roc": _thin(roc.false_positive_rate, roc.true_positive_rate),
        "precision_recall": _thin(curve.recall, curve.precision),
        "sweep": [plain(row) for row in metrics.threshold_sweep(scores, positive, _SWEEP)],
    }


def mean_average_precision(
    probabilities: NDArray[np.float32], truth: NDArray[np.bool_]
) -> JsonObject:
    """Return the mean over the labels of average precision, with its interval.

    Args:
        probabilities: (N, C).
        truth: (N, C).
    """
    value = metrics.mean_average_precision(probabilities, truth)
    if probabilities.size > _RESAMPLED_SCORES:
        return metrics.Interval(value, math.nan, math.nan).to_json()
    classes = truth.shape[1]

    def resampled(rows: NDArray[np.float64]) -> dict[str, float]:
        return {"map": metrics.mean_average_precision(rows[:, :classes], rows[:, classes:])}

    rows = np.concatenate([probabilities, truth], axis=1).astype(np.float64)
    intervals = metrics.bootstrap(rows, resampled, resamples=metrics.MIN_RESAMPLES)
    return metrics.Interval(value, *intervals["map"]).to_json()


def plain(values: Mapping[str, Any]) -> JsonObject:
    """Return the values with null for NaN, which JSON does not know."""
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()
    }


def _thin(across: NDArray[np.float64], up: NDArray[np.float64]) -> list[list[float]]:
    """Return at most `_CURVE_POINTS` points of a curve, both ends among them."""
    keep = np.unique(np.linspace(0, len(across) - 1, min(len(across), _CURVE_POINTS)).astype(int))
    points = np.stack([across[keep], up[keep]], axis=1)
    points = points[np.isfinite(points).all(axis=1)]
    return [[round(float(a), 5), round(float(b), 5)] for a, b in points]
