"""The difference of two ways to train, measured on the same samples with the same seeds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from foveal.metrics.intervals import Interval, wilson

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)


def difference_over_seeds(
    first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """Return the mean of second - first with an interval for other seeds and other samples.

    Both vary: another seed trains another network, and other pictures are answered otherwise. The
    variances of the mean over seeds and over samples are added, which counts what belongs to both
    twice and so errs on the wide side. The interval is Student's t with the degrees of freedom of
    such a sum: F. E. Satterthwaite, "An Approximate Distribution of Estimates of Variance
    Components", 1946, https://doi.org/10.2307/3002019. With three seeds that differ, it is wide.

    Where nothing differs at all, it reaches as far to both sides as the Wilson limit of no success
    in as many trials as there are samples. With a single seed, other seeds are left out of it.

    Args:
        first: (S, N) value of each of N samples under the first way, for each of S seeds.
        second: (S, N) the same under the second way.
        confidence: Confidence level of the interval.
    """
    differences = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    if differences.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    seeds, samples = differences.shape
    value = float(differences.mean())
    parts = [
        (_variance(differences.mean(axis=1)), seeds - 1),
        (_variance(differences.mean(axis=0)), samples - 1),
    ]
    total = sum(variance for variance, _ in parts)
    if total == 0:
        reach = wilson(0, samples, confidence=confidence)[1]
        return Interval(value, value - reach, value + reach)
    spread = sum(variance**2 / freedom for variance, freedom in parts if freedom > 0)
    reach = student_t(0.5 + confidence / 2, total**2 / spread) * math.sqrt(total)
    return Interval(value, value - reach, value + reach)


def student_t(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution.

    With t = sqrt(freedom) tan(u), its distribution function is 1/2 plus a constant times the
    integral of cos(u)^(freedom - 1) from 0 to u, which is inverted by bisection.

    Args:
        probability: In [0.5, 1).
        freedom: Degrees of freedom, above 0; need not be whole.
    """
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)

    def below(angle: float) -> float:
        points = angle * (_NODES + 1) / 2
        values = np.cos(points) ** (freedom - 1)
        return 0.5 + scale * angle / 2 * float(_WEIGHTS @ values)

    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < probability else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _variance(means: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Return the variance of the mean of these; 0 for a single one, whose is not known."""
    return float(means.var(ddof=1)) / len(means) if len(means) > 1 else 0.0
