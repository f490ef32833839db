from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal import metrics

Z = 1.959963984540054


def mean_of_rows(rows: NDArray[np.float64]) -> dict[str, float]:
    return {"mean": float(rows[:, 0].mean()) if len(rows) else math.nan}


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high", "reason"),
    [
        (0, 0, 0.0, 1.0, "no trials: nothing is known"),
        (10, 10, 10 / (10 + Z * Z), 1.0, "all succeed: n / (n + z²) is still possible"),
        (0, 10, 0.0, Z * Z / (10 + Z * Z), "none succeeds: the mirror image"),
        (5, 10, 0.2366, 0.7634, "half of ten, the textbook example"),
        (81, 263, 0.2553, 0.3662, "R. G. Newcombe 1998, table I, method 3"),
    ],
)
def test_wilson(successes: int, trials: int, low: float, high: float, reason: str) -> None:
    interval = metrics.wilson(successes, trials)

    assert interval == pytest.approx((low, high), abs=5e-5), reason


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_mirrors(case: tuple[int, int]) -> None:
    successes, trials = case
    low, high = metrics.wilson(successes, trials)
    other_low, other_high = metrics.wilson(trials - successes, trials)

    assert 0 <= low <= successes / trials <= high <= 1
    assert (other_low, other_high) == pytest.approx((1 - high, 1 - low))


def test_bootstrap_of_a_share_is_near_its_normal_interval() -> None:
    rows = np.repeat([[1.0], [0.0]], [800, 200], axis=0)

    low, high = metrics.bootstrap(rows, mean_of_rows)["mean"]

    half = Z * math.sqrt(0.8 * 0.2 / 1000)
    assert (low, high) == pytest.approx((0.8 - half, 0.8 + half), abs=0.004)


def test_bootstrap_is_the_same_for_the_same_seed_and_differs_for_another() -> None:
    rows = np.random.default_rng(1).random((50, 1))

    first = metrics.bootstrap(rows, mean_of_rows, seed=3)

    assert metrics.bootstrap(rows, mean_of_rows, seed=3) == first
    assert metrics.bootstrap(rows, mean_of_rows, seed=4) != first


def test_bootstrap_does_not_claim_certainty_when_everything_is_right() -> None:
    low, high = metrics.bootstrap(np.ones((30, 1)), mean_of_rows)["mean"]

    assert (low, high) == (pytest.approx(30 / (30 + Z * Z)), 1.0)


def test_bootstrap_does_not_claim_certainty_when_everything_is_wrong() -> None:
    low, high = metrics.bootstrap(np.zeros((30, 1)), mean_of_rows)["mean"]

    assert (low, high) == (0.0, pytest.approx(Z * Z / (30 + Z * Z)))


def test_bootstrap_of_no_rows_is_undefined() -> None:
    low, high = metrics.bootstrap(np.zeros((0, 1)), mean_of_rows)["mean"]

    assert math.isnan(low)
    assert math.isnan(high)


def test_bootstrap_leaves_out_resamples_on_which_a_metric_is_undefined() -> None:
    rows = np.array([[1.0], [0.0], [0.0]])

    def one_where_any(drawn: NDArray[np.float64]) -> dict[str, float]:
        return {"one": 0.5 if drawn.sum() else math.nan}

    assert metrics.bootstrap(rows, one_where_any)["one"] == (0.5, 0.5)


def test_bootstrap_always_holds_the_value_of_a_biased_metric() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 200)
    rows = np.stack([confidence, rng.random(200) < confidence], axis=1)

    def calibration_error(drawn: NDArray[np.float64]) -> dict[str, float]:
        return {"ece": metrics.expected_calibration_error(drawn[:, 0], drawn[:, 1])}

    low, high = metrics.bootstrap(rows, calibration_error)["ece"]

    assert low <= calibration_error(rows)["ece"] <= high


def test_a_share_of_right_samples_gets_the_wilson_interval_and_others_the_bootstraps() -> None:
    rows = np.repeat([[1.0, 4.0], [0.0, 2.0]], [9, 1], axis=0)

    def summarise(drawn: NDArray[np.float64]) -> dict[str, float]:
        return {"accuracy": float(drawn[:, 0].mean()), "other": float(drawn[:, 1].mean())}

    result = metrics.summarise_with_intervals(rows, summarise, rows[:, 0] > 0.5)

    assert (result["accuracy"].low, result["accuracy"].high) == metrics.wilson(9, 10)
    assert result["other"].value == pytest.approx(3.8)
    assert (result["other"].low, result["other"].high) == metrics.bootstrap(rows, summarise)[
        "other"
    ]


def test_an_undefined_interval_is_null_in_json() -> None:
    assert metrics.Interval(math.nan, math.nan, math.nan).to_json() == {
        "value": None,
        "low": None,
        "high": None,
    }


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value", "reason"),
    [
        (0, 0, 1.0, "the models never differ"),
        (1, 0, 1.0, "one difference says nothing: 2 · 1/2"),
        (5, 0, 2 / 32, "five of five: 2 · (1/2)⁵"),
        (1, 5, 2 * 7 / 64, "1 + 6 of 64 outcomes are as extreme, two-sided"),
        (3, 3, 1.0, "even: never above 1"),
        (6, 16, 0.052479, "scipy.stats.binomtest(6, 22).pvalue"),
    ],
)
def test_mcnemar(only_first: int, only_second: int, p_value: float, reason: str) -> None:
    first = [True] * only_first + [False] * only_second + [True, False]
    second = [False] * only_first + [True] * only_second + [True, False]

    assert metrics.mcnemar(first, second) == pytest.approx(p_value, rel=1e-4), reason
    assert metrics.mcnemar(second, first) == pytest.approx(p_value, rel=1e-4), reason


def test_mcnemar_stays_finite_for_many_samples() -> None:
    first, second = np.zeros(100_000, bool), np.zeros(100_000, bool)
    first[:30_000] = True
    second[30_000:60_300] = True

    # (b - c)² / (b + c) = 1.4925 with one degree of freedom.
    assert metrics.mcnemar(first, second) == pytest.approx(0.222, abs=0.003)


def test_paired_difference_has_the_interval_of_its_paired_variance() -> None:
    first = np.repeat([1, 0, 1], [50, 100, 850])
    second = np.repeat([0, 1, 1], [50, 100, 850])

    interval = metrics.paired_difference(first, second)

    # Variance of the differences: (50 + 100) / 1000 - 0.05².
    half = Z * math.sqrt((0.15 - 0.05**2) / 1000)
    assert interval.value == pytest.approx(0.05)
    assert (interval.low, interval.high) == pytest.approx((0.05 - half, 0.05 + half), abs=0.002)


def test_two_models_that_never_differ_may_still_differ_a_little() -> None:
    interval = metrics.paired_difference(np.ones(30), np.ones(30))

    reach = Z * Z / (30 + Z * Z)
    assert (interval.low, interval.value, interval.high) == pytest.approx((-reach, 0, reach))


def test_two_models_cannot_differ_by_more_than_all() -> None:
    interval = metrics.paired_difference([1], [0])

    assert (interval.low, interval.value) == (-1, -1)
    assert -1 < interval.high < 0


def test_paired_difference_of_nothing_is_undefined() -> None:
    assert math.isnan(metrics.paired_difference([], []).value)


@pytest.mark.parametrize(
    ("given_p", "adjusted", "reason"),
    [
        ([], [], "no question"),
        ([0.03], [0.03], "one question needs no correction"),
        ([0.04, 0.01, 0.03], [0.06, 0.03, 0.06], "3 · 0.01, 2 · 0.03, and none below a smaller"),
        ([0.9, 0.8], [1.0, 1.0], "never above 1"),
    ],
)
def test_holm(given_p: list[float], adjusted: list[float], reason: str) -> None:
    assert metrics.holm(given_p) == pytest.approx(adjusted), reason
