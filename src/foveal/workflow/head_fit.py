"""The linear head of a classifier as a logistic regression on the cached features of a run."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveal.checks.folds import blocks, deal_folds
from foveal.console import Progress
from foveal.data.resemblance import find_copies
from foveal.data.split import find_units
from foveal.tasks.training import TaskTraining
from foveal.train.distributed import Group
from foveal.train.features import FeatureFile
from foveal.train.logistic import EARLY, STRENGTHS, Rows, fit_regression
from foveal.train.precision import use_threads
from foveal.workflow.prepare import TRAIN, Prepared

logger = logging.getLogger(__name__)

# The strength where none can be tried: what several hundred photographs mostly end with.
_UNTRIED = 0.1


def fit_head(
    model: nn.Module,
    prepared: Prepared,
    training: TaskTraining,
    features: FeatureFile,
    targets: dict[str, Tensor],
    *,
    sample_weights: Tensor | None,
    label_weights: Tensor | None,
    progress: Progress,
    group: Group,
) -> dict[str, float]:
    """Fit the head of a network, and return the losses.

    Process 0 of several computes, and the others take what it found.

    Args:
        model: The network; its head has `rows`.
        prepared: The data.
        training: The task's torch half, which has labels.
        features: Those of the training pictures.
        targets: Theirs.
        sample_weights: (n,) how often each is drawn relative to the others; None for alike.
        label_weights: (C,) factors on the labels' terms of the loss; None for 1 each.
        progress: Told of the strengths that were tried.
        group: The processes that train together.
    """
    head: Any = model.head
    labels, several = training.labels(targets)
    none = np.arange(0, dtype=np.int64)
    # One row for each label, of process 0 alone.
    found = torch.zeros(0, 1 + sum(level.shape[1] for level in _levels(head, features, none)))
    loss = 0.0
    if group.writes:
        use_threads()
        weights = targets.get("weight", torch.ones(len(labels)))
        if sample_weights is not None:
            weights = weights * sample_weights
        fold = torch.from_numpy(_folds(prepared, labels.numpy()))
        views = features.views
        values, early = _rows(head, features)
        rows = Rows(
            values,
            labels.repeat(views, 1),
            weights.repeat(views),
            fold.repeat(views),
            several,
            early,
            label_weights,
        )
        progress.start("head", len(EARLY))
        # Pictures that are all one group cannot be left out in turn.
        strengths = STRENGTHS if fold.any() else (_UNTRIED,)
        fitted = fit_regression(rows, strengths, tried=progress.update)
        progress.finish()
        logger.info(
            "the head: cross-validation on %d pictures chose an L2 penalty of %g, with the "
            "features of earlier levels scaled by %g",
            len(labels),
            fitted.strength,
            fitted.early,
        )
        found = torch.cat([fitted.weight, fitted.bias[:, None]], dim=1)
        loss = fitted.loss
    found = group.joined_rows(found)
    (loss,) = group.decided(loss)
    head.set_map(found[:, :-1], found[:, -1])
    return {"loss": loss}


def _rows(head: Any, features: FeatureFile) -> tuple[Tensor, int]:
    """Return (views * n, D) standardised features in main memory, and how many are early ones."""
    everything = np.arange(features.count * features.views, dtype=np.int64)
    values = torch.empty(0)
    early = 0
    for part in blocks(len(everything)):
        levels = _levels(head, features, everything[part])
        joined = torch.cat([level.cpu() for level in levels], dim=1)
        if not len(values):
            values = torch.empty(len(everything), joined.shape[1])
            early = joined.shape[1] - levels[-1].shape[1]
        values[part] = joined
    return values, early


def _levels(head: Any, features: FeatureFile, rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
    device = next(head.parameters()).device
    levels: tuple[Tensor, ...] = head.rows(tuple(m.to(device) for m in features.read(rows)))
    return levels


def _folds(prepared: Prepared, labels: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return (n,) the fold of each training picture: groups and near-duplicates in one."""
    samples, scan = prepared.source.samples, prepared.cache.scan
    train, distance = prepared.indices(TRAIN), prepared.recipe.data.near_duplicate_distance
    kind = prepared.task.target_kind
    copies = find_copies(samples, scan, train, kind, distance)
    units = find_units(samples, scan, train, distance, kind, copies).first
    # By its rarest label, so that each label is in all folds.
    rarity = labels / np.maximum(labels.sum(axis=0), 1)
    seed = prepared.recipe.seed
    return deal_folds(rarity.argmax(axis=1).astype(np.int64), units[train], seed=seed)
