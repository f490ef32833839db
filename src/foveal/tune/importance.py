"""Importance of settings: the share of the variance of the metric that each explains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveal.tune.space import Choice, Dimension, Space, Value
from foveal.tune.table import Row

LEAST = 10
"""Trials that were trained to their end, below which nothing is said."""
# Parts that the trials are divided into by a setting with a range, as many in each.
_PARTS = 3


def importances(rows: Sequence[Row], space: Space) -> dict[str, float]:
    """Return setting → share of the variance of the metric that goes with it alone, in [0, 1].

    That is epsilon squared of a one-way analysis of variance: the trials are grouped by the
    setting's value, or into thirds along a range, and what groups of their size would differ by
    chance is taken off. T. L. Kelley, "An Unbiased Correlation Ratio Measure", 1935,
    https://doi.org/10.1073/pnas.21.9.554

    The measures of other tools compare the best trials with all. A search that tries more and more
    of what is good then hides exactly what it has found; here it only makes groups smaller.

    Args:
        rows: The trials; those that were trained to their end count.
        space: What was searched.
    """
    ended = [row for row in rows if row.state == "trained" and row.value is not None]
    found: dict[str, float] = {}
    for dimension in space:
        known = [row for row in ended if dimension.key in row.values]
        if len(known) < LEAST:
            continue
        groups = _groups(dimension, [row.values[dimension.key] for row in known])
        values = np.array([row.value for row in known], np.float64)
        found[dimension.key] = _epsilon_squared(groups, values)
    return found if any(found.values()) else {}


def _groups(dimension: Dimension, values: Sequence[Value]) -> NDArray[np.int64]:
    """Return the number of each value's group."""
    if isinstance(dimension, Choice):
        return np.array([dimension.options.index(v) for v in values], np.int64)
    order = np.argsort(np.array(values, np.float64), kind="stable")
    groups = np.empty(len(values), np.int64)
    groups[order] = np.arange(len(values)) * _PARTS // len(values)
    return groups


def _epsilon_squared(groups: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    names = np.unique(groups)
    total = float(((values - values.mean()) ** 2).sum())
    freedom = len(values) - len(names)
    if len(names) < 2 or total == 0 or freedom < 1:
        return 0.0
    within = sum(float(((p - p.mean()) ** 2).sum()) for p in (values[groups == n] for n in names))
    between = total - within
    return max(0.0, (between - (len(names) - 1) * within / freedom) / total)
