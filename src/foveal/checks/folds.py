"""Out-of-fold answers of discriminant analysis.

The model is linear discriminant analysis on features of a pretrained network: class means and one
covariance, shrunk towards a sphere (A Simple Unified Framework for Detecting Out-of-Distribution
Samples and Adversarial Attacks, 2018, https://arxiv.org/abs/1807.03888, fits the same Gaussians).
It has a closed form, and wrong labels affect it less than a logistic regression (docs/measured.md).
Deviations: principal components first, a shrinkage chosen by the likelihood of the answers, and
    samples with a suspicious label count less when it is fitted again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.checks.noise import Noise, fit_noise

Floats: TypeAlias = NDArray[np.float32]

FOLDS = 5
# Principal components that are kept, and samples that they are found on.
_COMPONENTS = 256
_FIND_ON = 20_000
# Of the covariance, what is taken from its mean over all directions. The best is chosen.
_SHRINKAGES = (0.02, 0.1, 0.3)
# Each time without what the answers of the last time doubt.
_ROUNDS = 2
# Chance of a wrong label from which on a sample is not learnt from.
_DOUBTED = 0.5
_ROWS = 8192
_TINY = 1e-12
# A channel that hardly varies would be divided by nothing.
_LEAST_SPREAD = 0.1


@final
@dataclass(frozen=True)
class Answered:
    """Out-of-fold answers to all samples.

    Attributes:
        logits: (N, K) float32, up to a constant per row.
        noise: Noise model of the labels.
        shrinkage: Shrinkage of the covariance, in [0, 1].
    """

    logits: Floats
    noise: Noise
    shrinkage: float


def compress(
    read: Callable[[NDArray[np.int64]], Floats], count: int, components: int = _COMPONENTS
) -> Floats:
    """Return the principal components of standardised features, (N, at most `components`).

    The mean squared norm of the rows is 1. Labels are not used.

    Args:
        read: Returns the (n, D) features at some positions; they need not all be in memory.
        count: Number of rows.
        components: Number of components to keep.
    """
    if not count:
        return np.zeros((0, components), np.float32)
    some = np.arange(0, count, -(-count // _FIND_ON), dtype=np.int64)
    chosen = read(some).astype(np.float64)
    centre, spread = chosen.mean(axis=0), chosen.std(axis=0)
    scale = 1 / (spread + _LEAST_SPREAD * spread.mean() + _TINY)
    standard = (chosen - centre) * scale
    values, vectors = np.linalg.eigh(standard.T @ standard / len(standard))
    kept = min(components, len(some), chosen.shape[1])
    length = np.sqrt(max(values[-kept:].sum(), _TINY))
    project = (scale[:, None] * vectors[:, : -kept - 1 : -1] / length).astype(np.float32)
    offset = centre.astype(np.float32) @ project
    compressed = np.empty((count, kept), np.float32)
    for rows in blocks(count):
        compressed[rows] = read(np.arange(count, dtype=np.int64)[rows]) @ project - offset
    return compressed


def deal_folds(
    labels: NDArray[np.int64], units: NDArray[np.int64], *, folds: int = FOLDS, seed: int = 0
) -> NDArray[np.int64]:
    """Return the fold of each sample, (N,), stratified by label, with units kept together.

    Args:
        labels: (N,) label of each sample.
        units: (N,) unit of each sample, which stays in one fold.
        folds: Number of folds.
        seed: Random seed.
    """
    _, first, unit = np.unique(units, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(first))
    order = order[np.argsort(labels[first[order]], kind="stable")]
    # Dealt out like cards, on and on: no class begins anew at the first fold.
    fold = np.empty(len(first), np.int64)
    fold[order] = np.arange(len(first)) % folds
    dealt: NDArray[np.int64] = fold[unit.ravel()]
    return dealt


def answer_classes(
    features: Floats, labels: NDArray[np.int64], classes: int, fold: NDArray[np.int64]
) -> Answered:
    """Answer every sample with a model of the other folds, for one label per sample.

    Args:
        features: (N, D) float32 from `compress`.
        labels: (N,) in [0, classes).
        classes: Number of classes.
        fold: (N,) fold of each sample.
    """
    trusted = np.ones(len(labels), np.bool_)

    def answer(shrinkage: float) -> Answered:
        logits = _out_of_fold(
            lambda known: _discriminant(features[known], labels[known], classes, shrinkage),
            features,
            fold,
            trusted,
        )
        return Answered(logits, fit_noise(logits, labels), shrinkage)

    best = max(map(answer, _SHRINKAGES), key=lambda answered: answered.noise.likelihood)
    for _ in range(_ROUNDS):
        trusted = best.noise.wrong < _DOUBTED
        best = answer(best.shrinkage)
    return best


def answer_each(features: Floats, several: NDArray[np.bool_], fold: NDArray[np.int64]) -> Floats:
    """Return the out-of-fold probability that each label applies, (N, K) float32.

    Each label has one discriminant; all share one covariance. Answers become probabilities by the
    same noise model, label by label.

    Args:
        features: (N, D) float32 from `compress`.
        several: (N, K) whether each label was given.
        fold: (N,) fold of each sample.
    """
    chances = np.empty(several.shape, np.float32)
    everything = np.ones(len(fold), np.bool_)
    logits = _out_of_fold(
        lambda known: _discriminant_each(features[known], several[known]),
        features,
        fold,
        everything,
    )
    for column in range(several.shape[1]):
        pair = np.stack([np.zeros(len(fold), np.float32), logits[:, column]], axis=1)
        given = several[:, column].astype(np.int64)
        chances[:, column] = fit_noise(pair, given).probabilities[:, 1]
    return chances


def _out_of_fold(
    fit: Callable[[NDArray[np.bool_]], tuple[Floats, Floats]],
    features: Floats,
    fold: NDArray[np.int64],
    trusted: NDArray[np.bool_],
) -> Floats:
    """Return the outputs of models fitted to the trusted samples of the other folds, (N, K)."""
    parts: list[tuple[NDArray[np.bool_], Floats]] = []
    for number in range(int(fold.max(initial=0)) + 1):
        inside = fold == number
        slopes, offsets = fit(~inside & trusted)
        parts.append((inside, features[inside] @ slopes + offsets))
    logits = np.zeros((len(fold), parts[0][1].shape[1]), np.float32)
    for inside, answers in parts:
        logits[inside] = answers
    return logits


def _discriminant(
    features: Floats, labels: NDArray[np.int64], classes: int, shrinkage: float
) -> tuple[Floats, Floats]:
    """Return the slopes, (D, K), and offsets, (K,), of linear discriminants."""
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    means = np.zeros((classes, features.shape[1]))
    np.add.at(means, labels, features)
    # One picture says little of where its class is: as much as the mean of all does.
    means = (means + features.sum(axis=0) / max(1, len(features))) / (counts[:, None] + 1)
    scatter = np.zeros((features.shape[1],) * 2)
    for rows in blocks(len(labels)):
        rest = features[rows] - means[labels[rows]].astype(np.float32)
        scatter += rest.T @ rest
    covariance = _shrunk(scatter / max(1.0, len(labels) - classes), shrinkage)
    slopes = np.linalg.solve(covariance, means.T)
    offsets = np.log((counts + 0.5) / (counts + 0.5).sum()) - 0.5 * (means.T * slopes).sum(axis=0)
    return slopes.astype(np.float32), offsets.astype(np.float32)


def _discriminant_each(features: Floats, several: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return the slopes, (D, K), and offsets, (K,), of one discriminant for each label."""
    with_label, count = several.sum(axis=0).astype(np.float64), float(len(several))
    sums = several.T.astype(np.float64) @ features
    everything = features.sum(axis=0)
    middle = everything / max(1.0, count)
    yes = (sums + middle) / (with_label[:, None] + 1)
    no = (everything - sums + middle) / (count - with_label[:, None] + 1)
    scatter = np.zeros((features.shape[1],) * 2)
    for rows in blocks(len(features)):
        rest = features[rows] - middle.astype(np.float32)
        scatter += rest.T @ rest
    covariance = _shrunk(scatter / max(1.0, count - 1), _SHRINKAGES[1])
    slopes = np.linalg.solve(covariance, (yes - no).T)
    # Of all samples the covariance holds the difference of the two means as well: without it, in
    # its own direction, it is smaller (Sherman and Morrison).
    share = (with_label + 1) / (count + 2)
    apart = share * (1 - share) * ((yes - no).T * slopes).sum(axis=0)
    slopes = slopes / np.maximum(1 - apart, _LEAST_SPREAD)
    offsets = np.log(share / (1 - share)) - 0.5 * ((yes + no).T * slopes).sum(axis=0)
    return slopes.astype(np.float32), offsets.astype(np.float32)


def _shrunk(covariance: NDArray[np.float64], shrinkage: float) -> NDArray[np.float64]:
    size = len(covariance)
    sphere = np.trace(covariance) / size + _TINY
    shrunk: NDArray[np.float64] = (1 - shrinkage) * covariance + shrinkage * sphere * np.eye(size)
    return shrunk


def blocks(count: int, size: int = _ROWS) -> Iterator[slice]:
    """Yield the slices that cover `count` rows."""
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))
