"""Compute out-of-fold answers from features and labels, or calibrate those of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foveal.checks.base import OutOfFold
from foveal.checks.folds import Floats, answer_classes, answer_each, deal_folds
from foveal.checks.noise import CALIBRATED, fit_noise
from foveal.types import RawTarget

# Fewer pictures, or a single class, say nothing of each other.
FEWEST = 20
_LEAST = 1e-9
_MODELS = (
    "linear discriminants that were not fitted to the picture (5 folds, features of a pretrained "
    "network)"
)


def answer_out_of_fold(
    features: Floats, raws: Sequence[RawTarget | None], units: NDArray[np.int64]
) -> OutOfFold | None:
    """Answer every labelled sample with a model fitted to the other folds.

    If no sample has several labels, each row holds class probabilities, which sum to 1; otherwise
    each score is the probability that the label applies.

    Args:
        features: (N, D) float32 from `foveal.checks.folds.compress`.
        raws: Labels of each sample; None for one that is left out.
        units: (N,) unit of each sample, which stays in one fold: groups and near-duplicates.

    Returns:
        The answers; None if there are too few pictures or only one class.
    """
    known = np.flatnonzero([raw is not None for raw in raws])
    labels = sorted({name for raw in raws if raw is not None for name in raw})
    if len(known) < FEWEST or len(labels) < 2:
        return None
    number = {name: i for i, name in enumerate(labels)}
    if is_single(raws):
        targets = np.array([number[raw[0]] for raw in raws if raw], np.int64)
        fold = deal_folds(targets, units[known])
        answered = answer_classes(features[known], targets, len(labels), fold)
        chances = answered.noise.probabilities
    else:
        several = np.zeros((len(known), len(labels)), np.bool_)
        for row, i in enumerate(known.tolist()):
            several[row, [number[name] for name in raws[i] or ()]] = True
        # By its rarest label, so that each label is in all folds.
        rarity = np.where(several, 1 / np.maximum(several.sum(axis=0), 1), 0)
        fold = deal_folds(rarity.argmax(axis=1).astype(np.int64), units[known])
        chances = answer_each(features[known], several, fold)
    scores = np.full((len(raws), len(labels)), np.nan, np.float32)
    scores[known] = chances
    return OutOfFold(tuple(labels), scores, _MODELS)


def recalibrate(scores: Floats, raws: Sequence[RawTarget], labels: Sequence[str]) -> Floats:
    """Return scores that were calibrated on the labels, calibrated by a noise model of the labels.

    Where labels are wrong, a temperature that fits the labels is too high: a contradicted label
    looks like one that the model is unsure about.

    Args:
        scores: (N, K) out-of-fold probabilities.
        raws: Labels of each sample, all of them among `labels`.
        labels: Label of each column.
    """
    number = {name: i for i, name in enumerate(labels)}
    if is_single(raws):
        targets = np.array([number[raw[0]] for raw in raws], np.int64)
        return fit_noise(_logits(scores), targets, temperatures=CALIBRATED).probabilities
    chances = np.empty_like(scores)
    for name, column in number.items():
        targets = np.array([name in raw for raw in raws], np.int64)
        pair = _logits(np.stack([1 - scores[:, column], scores[:, column]], axis=1))
        chances[:, column] = fit_noise(pair, targets, temperatures=CALIBRATED).probabilities[:, 1]
    return chances


def _logits(scores: Floats) -> Floats:
    logits: Floats = np.log(scores + np.float32(_LEAST))
    return logits


def is_single(raws: Sequence[RawTarget | None]) -> bool:
    """Return whether every labelled sample has exactly one label."""
    return all(raw is None or len(raw) == 1 for raw in raws)
