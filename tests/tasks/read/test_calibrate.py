"""The temperature of whole texts, against optima found with paper and pencil."""

from __future__ import annotations

import math

import pytest

from foveal.tasks.read.calibrate import fit_temperature

# Eleven golden sections between two places of the grid, a factor of 4 apart, leave half a per cent.
CLOSE = 0.01


def logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_the_temperature_says_the_share_of_right_answers() -> None:
    # All answers say logistic(2 / T). The loss is least where that is the mean of the smoothed
    # truth, (75 * 101 + 25) / 102 / 100.
    share = (75 * 101 + 25) / 102 / 100
    best = 2 / math.log(share / (1 - share))
    right = [i % 4 != 3 for i in range(100)]
    assert fit_temperature(lambda i, t: logistic(2 / t), right) == pytest.approx(best, rel=CLOSE)


def test_a_split_without_a_mistake_does_not_promise_certainty() -> None:
    # Said is 101 / 102, whose odds are 101: 20 / T = ln 101.
    fitted = fit_temperature(lambda i, t: logistic(20 / t), [True] * 100)
    assert fitted == pytest.approx(20 / math.log(101), rel=CLOSE)


def test_a_long_text_whose_probability_is_tiny_is_believed_as_often_as_it_is_right() -> None:
    # 33 characters of which each has 0.73 at temperature 1: all of them together 3e-5, and under
    # every bound from 0.8 upwards, where the loss is level.
    def score(sample: int, temperature: float) -> float:
        return logistic(1 / temperature) ** 33

    right = [i % 10 != 9 for i in range(200)]
    share = (180 * 201 + 20) / 202 / 200
    each = share ** (1 / 33)
    best = 1 / math.log(each / (1 - each))
    assert best < 0.2
    assert fit_temperature(score, right) == pytest.approx(best, rel=CLOSE)


def test_many_samples_are_thinned_but_every_mistake_is_looked_at() -> None:
    looked_at: set[int] = set()

    def score(sample: int, temperature: float) -> float:
        looked_at.add(sample)
        return logistic(2 / temperature)

    right = [i % 4 != 3 for i in range(3000)]
    share = (2250 * 3001 + 750) / 3002 / 3000
    best = 2 / math.log(share / (1 - share))
    assert fit_temperature(score, right) == pytest.approx(best, rel=CLOSE)
    # A third of the right ones, and all 750 wrong ones.
    assert len(looked_at) == 750 + 750


def test_a_text_that_became_impossible_costs_much_but_not_everything() -> None:
    def score(sample: int, temperature: float) -> float:
        return 0.0 if sample == 0 else logistic(2 / temperature)

    right = [True] + [i % 4 != 3 for i in range(1, 100)]
    assert 1 < fit_temperature(score, right) < 3


def test_without_samples_nothing_is_changed() -> None:
    assert fit_temperature(lambda i, t: 0.5, []) == 1.0
