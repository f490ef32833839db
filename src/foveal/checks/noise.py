"""A noise model of labels, and the probability that each label is wrong.

A label is drawn from a transition matrix of the true class, and the answers of models that were not
trained on a sample give its true class a probability. Both are fitted to the labels at once by
expectation maximisation (Maximum Likelihood Estimation of Observer Error-Rates Using the EM
Algorithm, 1979, https://doi.org/10.2307/2346806, with the model in place of other observers). The
matrix starts from the confident joint (Confident Learning: Estimating Uncertainty in Dataset
Labels, 2021, https://arxiv.org/abs/1911.00068). Deviations: the posterior of each sample in place
of a number of samples to prune, so that a score is a probability; rare transitions are shrunk
towards one common rate; and the temperature of the answers is fitted with the matrix, because folds
and shrunk covariances leave them over- or underconfident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

# Samples worth of the common rate that each row of the matrix starts with, for each other class.
# With 20 for all, on 2,000 pictures of ten classes, confusions of the answers passed for wrong
# labels: of scores about 0.8, 0.46 were right; with 500, 0.62 (2026-11).
_PRIOR, _MOST_PRIOR = 50.0, 500.0
_ROUNDS = 15
# None below 1: with many labels wrong, answers of any certainty fit the labels equally well.
_TEMPERATURES = tuple(float(t) for t in np.geomspace(1, 8, 13))
CALIBRATED = tuple(float(t) for t in np.geomspace(0.25, 2, 13))
"""Temperatures for answers that were calibrated on the labels: wrong ones made them less sure."""
# Enough for one number.
_TEMPERED_ON = 20_000
_ROWS = 8192
# Before anything is known, and never less: no set of labels is without fault.
_FIRST_RATE, _LEAST_RATE, _MOST_RATE = 0.05, 1e-4, 0.6
_TINY = 1e-12


@final
@dataclass(frozen=True)
class Noise:
    """The fitted noise model.

    Attributes:
        wrong: (N,) float32, probability that the label of a sample is wrong.
        other: (N,) int64, most likely class other than the given one.
        probabilities: (N, K) float32, calibrated class probabilities before the label is seen.
        transitions: (K, K) float64, probability of the given label (column) for a true class (row).
        temperature: Divisor of the logits.
        likelihood: Mean log-likelihood of the labels.
    """

    wrong: Floats
    other: NDArray[np.int64]
    probabilities: Floats
    transitions: NDArray[np.float64]
    temperature: float
    likelihood: float


def fit_noise(
    logits: Floats, labels: NDArray[np.int64], *, temperatures: Sequence[float] = _TEMPERATURES
) -> Noise:
    """Fit the temperature and the transitions to the labels.

    Args:
        logits: (N, K) out-of-fold logits; K at least 2.
        labels: (N,) given labels, in [0, K).
        temperatures: Temperatures to choose from.
    """
    count, classes = logits.shape
    some = slice(None, None, max(1, -(-count // _TEMPERED_ON)))
    transitions = _uniform(classes, _FIRST_RATE)
    temperature = temperatures[0]
    for number in range(_ROUNDS):
        if number % 3 == 0:
            temperature = _temperature(logits[some], labels[some], transitions, temperatures)
        if number == 0:
            start = _confident_joint(softmax(logits[some] / temperature), labels[some])
            transitions = _shrunk(start)
        transitions = _shrunk(_expected(logits, labels, transitions, temperature))
    wrong = np.empty(count, np.float32)
    other = np.empty(count, np.int64)
    probabilities = np.empty_like(logits)
    total = 0.0
    for start_row in range(0, count, _ROWS):
        rows = slice(start_row, start_row + _ROWS)
        probabilities[rows] = softmax(logits[rows] / temperature)
        joint = probabilities[rows] * transitions.T[labels[rows]]
        sums = joint.sum(axis=1) + _TINY
        total += float(np.log(sums).sum())
        at = np.arange(len(joint))
        wrong[rows] = 1 - joint[at, labels[rows]] / sums
        joint[at, labels[rows]] = -1
        other[rows] = joint.argmax(axis=1)
    return Noise(wrong, other, probabilities, transitions, temperature, total / max(1, count))


def softmax(logits: Floats) -> Floats:
    """Return the softmax of each row, float32."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def _uniform(classes: int, rate: float) -> NDArray[np.float64]:
    """Return transitions that change every label at one rate, to any other class."""
    matrix = np.full((classes, classes), rate / max(1, classes - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return matrix


def _shrunk(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the transitions of (K, K) counts, shrunk for rows with few samples."""
    total = counts.sum() + _TINY
    rate = float(np.clip(1 - np.trace(counts) / total, _LEAST_RATE, _MOST_RATE))
    weight = min(_MOST_PRIOR, _PRIOR * max(1, len(counts) - 1))
    prior = weight * _uniform(len(counts), rate)
    shrunk: NDArray[np.float64] = (counts + prior) / (counts.sum(axis=1, keepdims=True) + weight)
    return shrunk


def _expected(
    logits: Floats, labels: NDArray[np.int64], transitions: NDArray[np.float64], temperature: float
) -> NDArray[np.float64]:
    """Return the expected number of samples of each true class with each label, (K, K)."""
    classes = logits.shape[1]
    counts = np.zeros((classes, classes))
    for start in range(0, len(labels), _ROWS):
        given = labels[start : start + _ROWS]
        joint = softmax(logits[start : start + _ROWS] / temperature) * transitions.T[given]
        joint /= joint.sum(axis=1, keepdims=True) + _TINY
        np.add.at(counts.T, given, joint)
    return counts


def _confident_joint(probabilities: Floats, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (K, K) counts of confident answers by the label given.

    An answer is confident if it reaches the mean of the samples labelled with its class.
    """
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    own = np.bincount(
        labels, probabilities[np.arange(len(labels)), labels].astype(np.float64), classes
    )
    limits = np.where(counts > 0, own / np.maximum(counts, 1), np.inf)
    reached = np.where(probabilities >= limits, probabilities, 0)
    sure = reached.max(axis=1) > 0
    joint = np.zeros((classes, classes))
    np.add.at(joint, (reached.argmax(axis=1)[sure], labels[sure]), 1.0)
    return joint


def _temperature(
    logits: Floats,
    labels: NDArray[np.int64],
    transitions: NDArray[np.float64],
    temperatures: Sequence[float],
) -> float:
    """Return the temperature that maximises the likelihood of the labels."""
    given = transitions.T[labels]

    def likelihood(temperature: float) -> float:
        return float(np.log((softmax(logits / temperature) * given).sum(axis=1) + _TINY).sum())

    if len(temperatures) == 1:
        return temperatures[0]
    return max(temperatures, key=likelihood)
