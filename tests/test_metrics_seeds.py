"""The difference of two ways to train, over seeds and samples."""

import math

import numpy as np
import pytest

from foveal.metrics import difference_over_seeds, student_t


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    [
        (0.975, 1, 12.7062),
        (0.975, 2, 4.30265),
        (0.975, 10, 2.22814),
        (0.95, 5, 2.01505),
        (0.975, 1e6, 1.95996),
    ],
)
def test_quantiles_of_students_t_are_those_of_the_tables(probability, freedom, quantile):
    assert student_t(probability, freedom) == pytest.approx(quantile, rel=1e-5)


def test_the_interval_adds_the_variances_over_seeds_and_over_samples():
    first = np.zeros((3, 4))
    second = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]])
    difference = difference_over_seeds(first, second)
    # Means over samples 1/4, 1/2, 3/4: variance 1/16, of their mean 1/48. Means over seeds 1, 2/3,
    # 1/3, 0: variance 5/27, of their mean 5/108.
    seeds, samples = 1 / 48, 5 / 108
    freedom = (seeds + samples) ** 2 / (seeds**2 / 2 + samples**2 / 3)
    reach = student_t(0.975, freedom) * math.sqrt(seeds + samples)
    assert float(difference) == pytest.approx(0.5)
    assert difference.low == pytest.approx(0.5 - reach)
    assert difference.high == pytest.approx(0.5 + reach)


def test_no_difference_at_all_is_still_not_certain():
    answers = np.ones((3, 96))
    difference = difference_over_seeds(answers, answers)
    # Wilson's limit of none in 96: z² / (96 + z²) with z = 1.96.
    assert (difference.low, difference.high) == pytest.approx((-0.03848, 0.03848), abs=1e-4)


def test_a_single_seed_leaves_the_interval_to_the_samples():
    difference = difference_over_seeds(np.zeros((1, 4)), [[1, 1, 0, 0]])
    reach = student_t(0.975, 3) * math.sqrt((1 / 3) / 4)
    assert difference.high == pytest.approx(0.5 + reach)


def test_nothing_compared_is_no_difference():
    assert math.isnan(difference_over_seeds(np.zeros((0, 0)), np.zeros((0, 0))))


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        seeds, samples = rng.normal(0, 0.01, (3, 1)), rng.normal(0, 0.2, (1, 200))
        values = seeds + samples + rng.normal(0, 0.3, (3, 200))
        difference = difference_over_seeds(np.zeros((3, 200)), values)
        held += difference.low <= 0 <= difference.high
    assert held / 400 > 0.94
