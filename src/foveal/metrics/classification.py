"""Confusion matrices and precision, recall and F1, for one label or several per picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Precision, recall and F1 of each class; every array is (C,).

    Attributes:
        precision: TP / (TP + FP); NaN for a class that was never predicted.
        recall: TP / (TP + FN); NaN for a class that never occurs.
        f1: 2 TP / (2 TP + FP + FN); NaN for a class that neither occurs nor is predicted.
        support: TP + FN: how often the class occurs.
        predicted: TP + FP: how often the class was answered.
        true_positives: TP.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    support: NDArray[np.int64]
    predicted: NDArray[np.int64]
    true_positives: NDArray[np.int64]


def confusion(targets: ArrayLike, predictions: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count every pair of true and predicted class.

    Args:
        targets: (N,) class indices in [0, classes).
        predictions: (N,) class indices in [0, classes).
        classes: How many classes there are.

    Returns:
        (classes, classes) counts: row = true class, column = predicted class.
    """
    true = np.asarray(targets, np.int64)
    answer = np.asarray(predictions, np.int64)
    counts = np.bincount(true * classes + answer, minlength=classes * classes)
    return counts.reshape(classes, classes)


def label_counts(
    targets: ArrayLike, predictions: ArrayLike, classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return (true positives, support, predicted), each (classes,), from class indices (N,).

    Takes O(N + C), where the confusion matrix would take O(N + C²).
    """
    true = np.asarray(targets, np.int64)
    answer = np.asarray(predictions, np.int64)
    hits = np.bincount(true[true == answer], minlength=classes)
    return hits, np.bincount(true, minlength=classes), np.bincount(answer, minlength=classes)


def count_scores(
    true_positives: ArrayLike, support: ArrayLike, predicted: ArrayLike
) -> ClassScores:
    """Return the scores of each class from its three counts, each (C,)."""
    hits = np.asarray(true_positives, np.int64)
    there = np.asarray(support, np.int64)
    said = np.asarray(predicted, np.int64)
    return ClassScores(
        precision=_ratio(hits, said),
        recall=_ratio(hits, there),
        f1=_ratio(2 * hits, there + said),
        support=there,
        predicted=said,
        true_positives=hits,
    )


def averages(scores: ClassScores) -> dict[str, float]:
    """Average the scores over the classes.

    Macro: the plain mean over the classes that occur or were predicted; a class that occurs but
    was never predicted has precision 0, and one predicted that never occurs has recall 0, so
    that neither can raise the mean by being left out. Weighted: the mean weighted by support.

    Returns:
        macro_precision, macro_recall, macro_f1, weighted_precision, weighted_recall and
        weighted_f1, in [0, 1]; NaN when no class occurs or was predicted.
    """
    shown = (scores.support + scores.predicted) > 0
    weights = scores.support[shown].astype(np.float64)
    result: dict[str, float] = {}
    for name, values in (
        ("precision", scores.precision),
        ("recall", scores.recall),
        ("f1", scores.f1),
    ):
        filled = np.nan_to_num(values[shown])
        result[f"macro_{name}"] = float(filled.mean()) if filled.size else float("nan")
        total = weights.sum()
        result[f"weighted_{name}"] = float(filled @ weights / total) if total else float("nan")
    return result


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Floats:
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result
