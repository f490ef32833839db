"""Time engines of a network alternately, and find the fastest."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

import numpy as np

from foveal.predict.engine import Engine

# Pictures of the runs: one alone, and as many as a server runs together.
_BATCHES = (1, 8)
# Of a run; large tiles are run one by one.
_RUN_PIXELS = 1 << 19
# Runs of each engine: as many as there is time for.
_LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 3, 25, 1.0
# What saves less is not worth another engine, and may be chance; nor may it be slower than so
# much with runs of any size.
_SAVING = 0.05
_SLOWER = 0.03

Times = Mapping[int, Mapping[str, Sequence[float]]]
"""Pictures in a run → engine → seconds of each run; runs of one place were in one round."""


def race(engines: Mapping[str, Engine], size: tuple[int, int]) -> Times:
    """Time the engines alternately, so that other load on the machine affects all of them.

    Args:
        engines: Name → engine.
        size: (height, width) of the model input.
    """
    batches = sorted({min(_BATCHES[0], run_size(size)), run_size(size)})
    return {batch: _timed(engines, batch, size) for batch in batches}


def run_size(size: tuple[int, int]) -> int:
    """Return how many model inputs of (height, width) are run together at most."""
    return min(_BATCHES[1], max(1, _RUN_PIXELS // (size[0] * size[1])))


def _timed(
    engines: Mapping[str, Engine], batch: int, size: tuple[int, int]
) -> dict[str, list[float]]:
    # Not grey: numbers that are all equal may be computed in less time.
    inputs = np.random.default_rng(0).integers(0, 256, (batch, *size, 3), dtype=np.uint8)
    for engine in engines.values():
        engine.run(inputs)
    times: dict[str, list[float]] = {name: [] for name in engines}
    begun = time.perf_counter()
    for number in range(_MOST_ROUNDS):
        if number >= _LEAST_ROUNDS and time.perf_counter() - begun > _SECONDS:
            break
        for name, engine in engines.items():
            start = time.perf_counter()
            engine.run(inputs)
            times[name].append(time.perf_counter() - start)
    return times


def fastest(times: Times, first: str) -> str:
    """Return the fastest engine, or `first` if none is clearly faster.

    Args:
        times: Durations of each engine.
        first: Engine that the others are compared with.
    """
    best, least = first, 1 - _SAVING
    for name in next(iter(times.values())):
        ratios = [_ratio(of[name], of[first]) for of in times.values()]
        mean = statistics.geometric_mean(ratios)
        if max(ratios) <= 1 + _SLOWER and mean < least:
            best, least = name, mean
    return best


def _ratio(seconds: Sequence[float], others: Sequence[float]) -> float:
    """Return the median ratio of the durations of two engines over the rounds."""
    return statistics.median(a / b for a, b in zip(seconds, others, strict=True))


def rates(times: Times, name: str) -> dict[int, float]:
    """Return the pictures per second of an engine for each batch size."""
    return {batch: batch / statistics.median(of[name]) for batch, of in times.items()}
