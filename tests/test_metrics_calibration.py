from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from foveal import metrics


def test_softmax_and_sigmoid_survive_large_logits_and_keep_the_type() -> None:
    logits = np.array([[1000.0, 0.0], [0.0, math.log(3)]], np.float32)

    assert metrics.softmax(logits) == pytest.approx(np.array([[1, 0], [0.25, 0.75]]))
    assert metrics.sigmoid(logits) == pytest.approx(np.array([[1, 0.5], [0.5, 0.75]]))
    assert metrics.softmax(logits).dtype == metrics.sigmoid(logits).dtype == np.float32


@pytest.mark.parametrize(
    ("confidence", "correct", "error", "reason"),
    [
        ([1.0, 1.0], [1, 1], 0.0, "sure and right"),
        ([1.0, 1.0], [0, 0], 1.0, "sure and wrong"),
        ([0.75] * 4, [1, 1, 1, 0], 0.0, "three of four at 75 %"),
        ([0.9, 0.9, 0.3, 0.3], [1, 0, 0, 0], 0.5 * 0.4 + 0.5 * 0.3, "two bins of two"),
        ([0.69, 0.71], [1, 0], 0.5 * 0.31 + 0.5 * 0.71, "neighbours in different bins"),
    ],
)
def test_expected_calibration_error(
    confidence: list[float], correct: list[int], error: float, reason: str
) -> None:
    value = metrics.expected_calibration_error(confidence, correct, bins=10)

    assert value == pytest.approx(error), reason


def test_calibration_error_of_nothing_is_undefined() -> None:
    assert math.isnan(metrics.expected_calibration_error([], []))


def test_reliability_puts_full_confidence_into_the_last_bin() -> None:
    bins = metrics.reliability([0.0, 0.5, 1.0, 0.8], [0, 1, 1, 0], bins=4)

    assert bins.counts.tolist() == [1, 0, 1, 2]
    assert bins.accuracy == pytest.approx([0, math.nan, 1, 0.5], nan_ok=True)
    assert bins.confidence == pytest.approx([0, math.nan, 0.5, 0.9], nan_ok=True)


@given(
    arrays(np.float64, 40, elements=st.floats(0, 1)),
    arrays(np.bool_, 40),
)
def test_the_error_is_the_weighted_gap_of_the_bins(
    confidence: np.ndarray, correct: np.ndarray
) -> None:
    bins = metrics.reliability(confidence, correct)
    gaps = np.nan_to_num(np.abs(bins.accuracy - bins.confidence))

    value = metrics.expected_calibration_error(confidence, correct)

    assert value == pytest.approx(float(gaps @ bins.counts) / 40)
    assert 0 <= value <= 1


def test_coverage_curve_keeps_equal_confidences_together() -> None:
    curve = metrics.coverage_curve([0.9, 0.5, 0.5, 0.2], [1, 1, 0, 0])

    assert curve.threshold.tolist() == [0.9, 0.5, 0.2]
    assert curve.coverage == pytest.approx([0.25, 0.75, 1.0])
    assert curve.accuracy == pytest.approx([1.0, 2 / 3, 0.5])
    assert curve.kept.tolist() == [1, 3, 4]


@pytest.mark.parametrize("gap", [0.5, 2.0, 12.0])
def test_temperature_of_two_classes_matches_its_closed_form(gap: float) -> None:
    # 100 equal answers with this logit gap, 90 right: the best T gives the smoothed 90 %.
    targets = np.repeat([0, 1], [90, 10])
    logits = np.tile([gap, 0.0], (100, 1))
    smoothing = 1 / 102
    share = (1 - smoothing) * 0.9 + smoothing / 2

    temperature = metrics.fit_temperature(logits, targets)

    assert temperature == pytest.approx(gap / math.log(share / (1 - share)), rel=1e-6)


def test_temperature_of_several_labels_matches_its_closed_form() -> None:
    targets = np.repeat([1.0, 0.0], [80, 20])[:, None]
    logits = np.full((100, 1), 5.0)
    smoothing = 1 / 102
    share = (1 - smoothing) * 0.8 + smoothing / 2

    temperature = metrics.fit_temperature(logits, targets, multi_label=True)

    assert temperature == pytest.approx(5 / math.log(share / (1 - share)), rel=1e-6)


def test_vectors_of_zeros_and_ones_and_class_indices_are_the_same_targets() -> None:
    rng = np.random.default_rng(0)
    logits, indices = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)

    assert metrics.fit_temperature(logits, np.eye(3)[indices]) == pytest.approx(
        metrics.fit_temperature(logits, indices)
    )


def test_a_split_without_mistakes_does_not_make_the_model_infallible() -> None:
    logits = np.tile([8.0, 0.0], (200, 1))

    temperature = metrics.fit_temperature(logits, np.zeros(200, int))

    confidence = metrics.softmax(logits[:1] / temperature)[0, 0]
    assert confidence == pytest.approx(1 - 0.5 / 202)


def test_logits_without_information_end_at_the_largest_temperature() -> None:
    targets = np.repeat([0, 1], 50)
    logits = np.tile([3.0, 0.0], (100, 1))

    assert metrics.fit_temperature(logits, targets) > 40


def test_temperature_of_nothing_is_one() -> None:
    assert metrics.fit_temperature(np.zeros((0, 3)), np.zeros((0, 3))) == 1.0


@settings(max_examples=30)
@given(st.floats(0.2, 5.0), st.integers(0, 10_000))
def test_scaled_logits_scale_the_temperature(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(300, 4)) * 2
    chances = metrics.softmax(logits).cumsum(axis=1)
    targets = (chances > rng.random((300, 1))).argmax(axis=1)

    once = metrics.fit_temperature(logits, targets)
    scaled = metrics.fit_temperature(logits * factor, targets)

    assert scaled == pytest.approx(once * factor, rel=1e-4)
