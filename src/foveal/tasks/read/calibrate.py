"""Calibrate the probability of a whole text with one temperature for all columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Score: TypeAlias = Callable[[int, float], float]
"""(sample, temperature) → the probability of its text at that temperature."""

# Enough for two decimals of a temperature, and few enough for some seconds of work.
_MOST_SAMPLES = 1000
# The probability of a text is the product of those of its characters: of a formula it may be 1e-5
# though nine in ten are right, which takes a temperature under 0.2 to say.
_LOW, _HIGH = 1 / 32, 8.0
_GRID = 9
_STEPS = 11
_GOLDEN = (math.sqrt(5) - 1) / 2


def fit_temperature(score: Score, right: Sequence[bool]) -> float:
    """Return the temperature at which the probabilities best predict which texts are right.

    On Calibration of Modern Neural Networks, 2017, https://arxiv.org/abs/1706.04599. Deviations:
    the log loss is that of "the text as read at temperature 1 is right", because that is the
    confidence that is reported, not that of the single columns; and its targets are smoothed by
    1 / (N + 2), so that a validation split without a mistake does not promise certainty.

    Args:
        score: Gives a text's probability.
        right: Whether each sample was read rightly at temperature 1.

    Returns:
        T in [1/32, 8]; 1 for no samples.
    """
    if not right:
        return 1.0
    step, chosen = _step(right), fitted_on(right)
    weights = np.array([step if right[i] else 1 for i in chosen], np.float64)
    smoothing = 1 / (len(right) + 2)
    truth = np.array([1 - smoothing if right[i] else smoothing for i in chosen])
    bound = smoothing / 10

    def loss(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        said: NDArray[np.float64] = np.array([score(i, temperature) for i in chosen])
        said = np.clip(said, bound, 1 - bound)
        return -float((weights * (truth * np.log(said) + (1 - truth) * np.log1p(-said))).sum())

    # Where every probability is at its bound the loss is level, on either side of the minimum: a
    # coarse look over everything finds the valley.
    grid = np.linspace(math.log(_LOW), math.log(_HIGH), _GRID).tolist()
    losses = [loss(place) for place in grid]
    # Of equal ones the last, as below.
    best = _GRID - 1 - int(np.argmin(losses[::-1]))
    low, high = grid[max(0, best - 1)], grid[min(best + 1, _GRID - 1)]
    return math.exp(_golden_section(loss, low, high))


def fitted_on(right: Sequence[bool]) -> list[int]:
    """Return the samples whose probabilities `fit_temperature` asks for, in order."""
    # Mistakes are few and say most: none is left out.
    return [i for i, is_right in enumerate(right) if i % _step(right) == 0 or not is_right]


def _step(right: Sequence[bool]) -> int:
    return max(1, -(-len(right) // _MOST_SAMPLES))


def _golden_section(loss: Callable[[float], float], low: float, high: float) -> float:
    """Return the place of the minimum of a function that first falls and then rises.

    Between equal values the higher half is taken: at low temperatures every probability may be
    at its bound, and the minimum is beyond.
    """
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(_STEPS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return (low + high) / 2
