from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from foveal import metrics

NAN = math.nan


def class_scores(matrix: ArrayLike) -> metrics.ClassScores:
    counts = np.asarray(matrix)
    return metrics.count_scores(np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0))


def test_confusion_counts_true_classes_in_rows_and_answers_in_columns() -> None:
    matrix = metrics.confusion([0, 0, 1, 2], [0, 1, 1, 0], 3)

    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_confusion_of_nothing_is_all_zero() -> None:
    assert metrics.confusion([], [], 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("matrix", "precision", "recall", "f1", "reason"),
    [
        ([[3, 0], [0, 2]], [1, 1], [1, 1], [1, 1], "every answer is right"),
        ([[0, 3], [2, 0]], [0, 0], [0, 0], [0, 0], "every answer is wrong"),
        ([[2, 2], [1, 5]], [2 / 3, 5 / 7], [1 / 2, 5 / 6], [4 / 7, 10 / 13], "by hand"),
        ([[4, 0], [2, 0]], [4 / 6, NAN], [1, 0], [0.8, 0], "never answered: no precision"),
        ([[4, 2], [0, 0]], [1, 0], [4 / 6, NAN], [0.8, 0], "never there: no recall"),
        ([[4, 0], [0, 0]], [1, NAN], [1, NAN], [1, NAN], "neither there nor answered"),
    ],
)
def test_class_scores(
    matrix: list[list[int]],
    precision: list[float],
    recall: list[float],
    f1: list[float],
    reason: str,
) -> None:
    scores = class_scores(matrix)

    assert scores.precision == pytest.approx(precision, nan_ok=True), reason
    assert scores.recall == pytest.approx(recall, nan_ok=True), reason
    assert scores.f1 == pytest.approx(f1, nan_ok=True), reason


@pytest.mark.parametrize(
    ("matrix", "macro", "weighted", "reason"),
    [
        ([[3, 1], [0, 4]], (1 + 4 / 5) / 2, (4 * 1 + 4 * 4 / 5) / 8, "equal support"),
        ([[4, 0], [2, 0]], (2 / 3 + 0) / 2, (4 * 2 / 3) / 6, "never answered counts as 0"),
        ([[4, 0, 0], [0, 2, 0], [0, 0, 0]], 1.0, 1.0, "an absent class is left out"),
        ([[0, 0], [0, 0]], NAN, NAN, "nothing measured"),
    ],
)
def test_average_precision_over_classes(
    matrix: list[list[int]], macro: float, weighted: float, reason: str
) -> None:
    means = metrics.averages(class_scores(matrix))

    assert means["macro_precision"] == pytest.approx(macro, nan_ok=True), reason
    assert means["weighted_precision"] == pytest.approx(weighted, nan_ok=True), reason


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50),
)
def test_label_counts_are_the_margins_of_the_confusion_matrix(pairs: list[tuple[int, int]]) -> None:
    true, answered = zip(*pairs, strict=True)
    matrix = metrics.confusion(true, answered, 5)

    hits, support, predicted = metrics.label_counts(true, answered, 5)

    assert hits.tolist() == np.diagonal(matrix).tolist()
    assert support.tolist() == matrix.sum(axis=1).tolist()
    assert predicted.tolist() == matrix.sum(axis=0).tolist()


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50),
)
def test_weighted_recall_is_the_accuracy(pairs: list[tuple[int, int]]) -> None:
    true, answered = zip(*pairs, strict=True)
    means = metrics.averages(class_scores(metrics.confusion(true, answered, 5)))

    accuracy = float(np.mean(np.equal(true, answered)))
    assert means["weighted_recall"] == pytest.approx(accuracy)
