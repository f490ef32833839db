"""Overlap scores from counts of pixels, against values by hand and the definitions on sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal import metrics


def test_scores_are_those_worked_out_by_hand() -> None:
    # 6 right of class 0, 2 taken for 1; 1 of class 1 taken for 0, 3 right.
    scores = metrics.overlap_scores([[6, 2], [1, 3]])
    assert scores.dice == pytest.approx([12 / 15, 6 / 9])
    assert scores.iou == pytest.approx([6 / 9, 3 / 6])
    assert scores.precision == pytest.approx([6 / 7, 3 / 5])
    assert scores.recall == pytest.approx([6 / 8, 3 / 4])


@pytest.mark.parametrize(
    ("confusion", "expected", "reason"),
    [
        ([[4, 0], [0, 0]], math.nan, "the class is nowhere"),
        ([[3, 1], [0, 0]], 0.0, "answered where it is not: precision and recall are 0, not NaN"),
        ([[3, 0], [1, 0]], 0.0, "never answered though it is there"),
        ([[0, 0], [0, 4]], 1.0, "everything right"),
    ],
)
def test_a_class_that_is_missing_on_one_side_scores_nothing(
    confusion: list[list[int]], expected: float, reason: str
) -> None:
    scores = metrics.overlap_scores(confusion)
    for values in (scores.dice, scores.iou, scores.precision, scores.recall):
        assert values[1] == pytest.approx(expected, nan_ok=True), reason


def test_leading_axes_are_kept() -> None:
    many = np.array([[[6, 2], [1, 3]], [[4, 0], [0, 0]]])
    assert metrics.overlap_scores(many).dice == pytest.approx(
        np.array([[12 / 15, 6 / 9], [1.0, math.nan]]), nan_ok=True
    )
    assert metrics.pixel_accuracy(many) == pytest.approx([9 / 12, 1.0])


def test_pixel_accuracy_of_nothing_is_undefined() -> None:
    assert math.isnan(float(metrics.pixel_accuracy(np.zeros((2, 2)))))


@pytest.mark.parametrize(
    ("counts", "expected", "reason"),
    [
        ([3, 4, 5, 5], 2 * 0.75 * 1.0 / 1.75, "precision 3 of 4, recall 5 of 5"),
        ([0, 4, 0, 5], 0.0, "boundaries that never meet"),
        ([0, 4, 0, 0], 0.0, "a boundary where there is none"),
        ([0, 0, 0, 0], math.nan, "no boundary at all"),
    ],
)
def test_boundary_f1_is_the_harmonic_mean(counts: list[int], expected: float, reason: str) -> None:
    assert metrics.boundary_scores([counts])[0] == pytest.approx(expected, nan_ok=True), reason


def test_means_leave_out_what_is_not_known() -> None:
    values = [[1.0, math.nan, 0.5], [math.nan, math.nan, math.nan]]
    assert metrics.mean_known(values) == pytest.approx([0.75, math.nan], nan_ok=True)
    assert math.isnan(float(metrics.mean_known(np.empty(0))))


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(1, 4), size=st.integers(1, 40))
def test_scores_equal_their_definitions_on_sets(seed: int, classes: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    true, said = rng.integers(0, classes, size), rng.integers(0, classes, size)
    scores = metrics.overlap_scores(metrics.confusion(true, said, classes))
    for label in range(classes):
        a = set(np.flatnonzero(true == label).tolist())
        b = set(np.flatnonzero(said == label).tolist())
        dice = 2 * len(a & b) / (len(a) + len(b)) if a or b else math.nan
        iou = len(a & b) / len(a | b) if a or b else math.nan
        assert scores.dice[label] == pytest.approx(dice, nan_ok=True)
        assert scores.iou[label] == pytest.approx(iou, nan_ok=True)
