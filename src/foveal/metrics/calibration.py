"""Calibrated confidence: reliability, expected calibration error, coverage, temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
FloatT = TypeVar("FloatT", np.float32, np.float64)

# 15: the number of bins in Guo et al. 2017, so that figures can be compared with published ones.
DEFAULT_BINS = 15
# A temperature outside this range means logits without information, not miscalibration.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.02, 50.0


@dataclass(frozen=True, slots=True)
class Reliability:
    """Equal-width bins of confidence; every array is (bins,).

    Attributes:
        edges: (bins + 1,) from 0 to 1.
        counts: Answers in each bin.
        confidence: Mean confidence in each bin; NaN where it is empty.
        accuracy: Share of right answers in each bin; NaN where it is empty.
    """

    edges: Floats
    counts: NDArray[np.int64]
    confidence: Floats
    accuracy: Floats


@dataclass(frozen=True, slots=True)
class CoverageCurve:
    """Accuracy among the answers that are kept, from the strictest threshold to none.

    Attributes:
        threshold: (M,) descending distinct confidences; answers at or above are kept.
        coverage: (M,) share of all answers that is kept; ascending, ends at 1.
        accuracy: (M,) share of right answers among those kept.
        kept: (M,) how many are kept.
    """

    threshold: Floats
    coverage: Floats
    accuracy: Floats
    kept: NDArray[np.int64]


def softmax(logits: NDArray[FloatT]) -> NDArray[FloatT]:
    """Return exp(z) / Σ exp(z) over the last axis, in the type of the logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), logits.dtype)


def log_softmax(logits: NDArray[FloatT]) -> NDArray[FloatT]:
    """Return log probabilities over the last axis, computed without overflow."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: NDArray[FloatT] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def sigmoid(logits: NDArray[FloatT]) -> NDArray[FloatT]:
    """Return 1 / (1 + exp(-z)), in the type of the logits; tanh does not overflow."""
    return np.asarray(0.5 * (1 + np.tanh(logits / 2)), logits.dtype)


def reliability(
    confidence: ArrayLike, correct: ArrayLike, *, bins: int = DEFAULT_BINS
) -> Reliability:
    """Sort answers into equal-width bins of confidence.

    Args:
        confidence: (N,) in [0, 1].
        correct: (N,) whether the answer was right.
        bins: How many; bin i holds [i / bins, (i + 1) / bins), the last one also 1.
    """
    sure = np.asarray(confidence, np.float64)
    right = np.asarray(correct, np.float64)
    place = np.clip((sure * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    means = np.full((2, bins), np.nan)
    for mean, values in zip(means, (sure, right), strict=True):
        total = np.bincount(place, weights=values, minlength=bins)
        np.divide(total, counts, out=mean, where=counts > 0)
    return Reliability(np.linspace(0, 1, bins + 1), counts, means[0], means[1])


def expected_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, *, bins: int = DEFAULT_BINS
) -> float:
    """Return the expected calibration error: Σ_b n_b / N |accuracy_b - confidence_b|.

    C. Guo et al., "On Calibration of Modern Neural Networks", 2017,
    https://arxiv.org/abs/1706.04599.

    Args:
        confidence: (N,) in [0, 1].
        correct: (N,) whether the answer was right.
        bins: Equal-width bins.

    Returns:
        A value in [0, 1], 0 is perfect; NaN for no answers.
    """
    sure = np.asarray(confidence, np.float64)
    if sure.size == 0:
        return math.nan
    place = np.clip((sure * bins).astype(np.int64), 0, bins - 1)
    # n_b |acc_b - conf_b| = |Σ (correct - confidence)|: one pass, no division by empty bins.
    gap = np.bincount(place, weights=np.asarray(correct, np.float64) - sure, minlength=bins)
    return float(np.abs(gap).sum() / sure.size)


def coverage_curve(confidence: ArrayLike, correct: ArrayLike) -> CoverageCurve:
    """Return coverage and accuracy for every threshold that makes a difference.

    Args:
        confidence: (N,) in [0, 1]; equal confidences are kept or refused together.
        correct: (N,) whether the answer was right.
    """
    sure = np.asarray(confidence, np.float64)
    order = np.argsort(-sure, kind="stable")
    ranked = sure[order]
    hits = np.cumsum(np.asarray(correct, np.float64)[order])
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if sure.size else order
    kept = last + 1
    return CoverageCurve(ranked[last], kept / max(1, sure.size), hits[last] / kept, kept)


def fit_temperature(logits: ArrayLike, targets: ArrayLike, *, multi_label: bool = False) -> float:
    """Fit the temperature T that minimises the negative log-likelihood of logits / T.

    C. Guo et al., "On Calibration of Modern Neural Networks", 2017,
    https://arxiv.org/abs/1706.04599. Deviation: the targets are smoothed by 1 / (N + 2), as in
    J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999; without it a validation
    split with no mistake would give T → 0 and a confidence of 1 for everything.

    The loss is convex in 1 / T; a bracketed Newton iteration finds its minimum.

    Args:
        logits: (N, C) before softmax or sigmoid.
        targets: (N, C) 0/1, or (N,) class indices when there is one label per picture.
        multi_label: Sigmoid per label instead of softmax.

    Returns:
        T in [0.02, 50]; 1 for no samples.
    """
    scores = np.asarray(logits, np.float64)
    wanted = np.asarray(targets)
    if len(scores) == 0:
        return 1.0
    if wanted.ndim == 1:
        wanted = np.eye(scores.shape[1])[wanted.astype(np.int64)]
    smoothing = 1 / (len(scores) + 2)
    share = 0.5 if multi_label else 1 / scores.shape[1]
    smoothed = (1 - smoothing) * wanted.astype(np.float64) + smoothing * share
    slopes = _sigmoid_slopes if multi_label else _softmax_slopes
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    sharpness = 1.0
    for _ in range(100):
        slope, curvature = slopes(scores, smoothed, sharpness)
        if slope > 0:
            high = sharpness
        else:
            low = sharpness
        following = sharpness - slope / curvature if curvature > 0 else math.inf
        if not low < following < high:
            following = math.sqrt(low * high)
        if abs(following - sharpness) <= 1e-9 * sharpness:
            break
        sharpness = following
    return float(1 / sharpness)


def _softmax_slopes(scores: Floats, targets: Floats, sharpness: float) -> tuple[float, float]:
    """Return the first and second derivative of the mean loss by 1 / T."""
    probabilities = softmax(scores * sharpness)
    mean = (probabilities * scores).sum(axis=1)
    square = (probabilities * scores * scores).sum(axis=1)
    # Targets without any label (all zero) pull towards nothing.
    slope = targets.sum(axis=1) * mean - (targets * scores).sum(axis=1)
    curvature = targets.sum(axis=1) * (square - mean * mean)
    return float(slope.mean()), float(curvature.mean())


def _sigmoid_slopes(scores: Floats, targets: Floats, sharpness: float) -> tuple[float, float]:
    """Return the first and second derivative of the mean loss by 1 / T."""
    probabilities = sigmoid(scores * sharpness)
    slope = (probabilities - targets) * scores
    curvature = probabilities * (1 - probabilities) * scores * scores
    return float(slope.mean()), float(curvature.mean())
