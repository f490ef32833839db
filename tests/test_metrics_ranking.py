from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal import metrics


@pytest.mark.parametrize(
    ("scores", "positive", "area", "reason"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 1.0, "all positives above all negatives"),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 0.0, "all below"),
        ([0.9, 0.8, 0.2, 0.1], [1, 0, 1, 0], 0.75, "three of four pairs in order"),
        ([0.5, 0.5, 0.5], [1, 0, 0], 0.5, "equal scores are a coin toss"),
        ([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0], 0.875, "one pair of four is half in order"),
        ([0.9, 0.8], [1, 1], math.nan, "no negatives"),
        ([], [], math.nan, "nothing"),
    ],
)
def test_roc_area(scores: list[float], positive: list[int], area: float, reason: str) -> None:
    assert metrics.roc_curve(scores, positive).area == pytest.approx(area, nan_ok=True), reason


def test_roc_curve_runs_from_corner_to_corner() -> None:
    curve = metrics.roc_curve([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0])

    assert curve.false_positive_rate.tolist() == [0, 0, 0.5, 1]
    assert curve.true_positive_rate.tolist() == [0, 0.5, 1, 1]
    assert curve.threshold.tolist() == [math.inf, 0.9, 0.5, 0.1]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
        lambda pairs: len({truth for _, truth in pairs}) == 2
    )
)
def test_roc_area_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    highs = [score for score, truth in pairs if truth]
    lows = [score for score, truth in pairs if not truth]
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in highs for b in lows]

    curve = metrics.roc_curve([p[0] for p in pairs], [p[1] for p in pairs])

    assert curve.area == pytest.approx(sum(wins) / len(wins))


@pytest.mark.parametrize(
    ("scores", "positive", "average", "reason"),
    [
        ([0.9, 0.8, 0.2], [1, 1, 0], 1.0, "all positives first"),
        ([0.9, 0.8, 0.2], [1, 0, 1], 0.5 * 1 + 0.5 * 2 / 3, "half at 1, half at two thirds"),
        ([0.5, 0.5], [1, 0], 0.5, "equal scores move together"),
        ([0.9, 0.8], [0, 0], math.nan, "no positives"),
    ],
)
def test_average_precision(
    scores: list[float], positive: list[int], average: float, reason: str
) -> None:
    curve = metrics.precision_recall_curve(scores, positive)

    assert curve.average_precision == pytest.approx(average, nan_ok=True), reason


def test_mean_average_precision_leaves_out_labels_that_never_occur() -> None:
    probabilities = [[0.9, 0.2, 0.5], [0.8, 0.9, 0.5], [0.2, 0.8, 0.5]]
    targets = [[1, 0, 0], [0, 1, 0], [1, 1, 0]]

    value = metrics.mean_average_precision(probabilities, targets)

    assert value == pytest.approx(((0.5 + 0.5 * 2 / 3) + 1.0) / 2)


def test_mean_average_precision_without_any_label_is_undefined() -> None:
    assert math.isnan(metrics.mean_average_precision([[0.5]], [[0]]))


def test_threshold_sweep_counts_scores_at_the_threshold_as_positive() -> None:
    rows = metrics.threshold_sweep([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0], [0.5, 0.95])

    assert rows[0] == {
        "threshold": 0.5,
        "accuracy": 0.75,
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "f1": pytest.approx(0.8),
        "false_positive_rate": 0.5,
    }
    assert math.isnan(rows[1]["precision"])
    assert rows[1]["recall"] == 0.0


@pytest.mark.parametrize(
    ("scores", "positive", "threshold", "reason"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 0.5, "half-way between the two sides"),
        ([0.3, 0.25, 0.05, 0.01], [1, 1, 0, 0], 0.15, "a label that is never sure"),
        ([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], 0.4, "one false answer buys the second hit"),
        ([0.9, 0.8, 0.2, 0.1], [1, 0, 0, 0], 0.5, "too few positives to choose"),
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 1, 0], 0.5, "too few negatives to choose"),
    ],
)
def test_best_f1_thresholds(
    scores: list[float], positive: list[int], threshold: float, reason: str
) -> None:
    column, truth = np.array([scores]).T, np.array([positive]).T

    chosen = metrics.best_f1_thresholds(column, truth, min_positives=2)

    assert chosen == pytest.approx((threshold,)), reason


def test_every_label_gets_its_own_threshold() -> None:
    probabilities = np.array([[0.9, 0.3], [0.8, 0.3], [0.2, 0.1], [0.1, 0.1]])
    targets = np.array([[1, 1], [1, 1], [0, 0], [0, 0]])

    chosen = metrics.best_f1_thresholds(probabilities, targets, min_positives=2)

    assert chosen == pytest.approx((0.5, 0.2))
