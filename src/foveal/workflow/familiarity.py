"""Fit the familiarity module of a trained network."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.console import Progress
from foveal.data.cache import Windows
from foveal.models.familiarity import Familiarity, fit_familiarity, pool
from foveal.models.network import Network
from foveal.models.torch_engine import to_images
from foveal.train.folding import FoldedNormalisation
from foveal.workflow.prepare import TRAIN, VAL
from foveal.workflow.units import Units

logger = logging.getLogger(__name__)

# Share of the pictures like those of the training that may be called unfamiliar.
_REFUSED = 0.01
# Windows of each split. More of them would cost as much as an epoch and change little.
_MOST = 1500
_FEWEST = 2


def judge_familiarity(network: Network, units: Units, progress: Progress) -> Familiarity | None:
    """Return the judgement that ships with a trained network.

    Args:
        network: In evaluation mode, without a judgement.
        units: The data.
        progress: Told how many pictures were looked at.

    Returns:
        The judgement, or None where there are no two windows to compare.
    """
    splits = [units.some_windows(side, _MOST) for side in (TRAIN, VAL)]
    samples = np.concatenate([windows.samples for windows in splits[0]])
    if len(samples) < _FEWEST:
        _warn()
        return None
    progress.start("familiarity", sum(len(windows) for split in splits for windows in split))
    training = _look(network, units, splits[0], progress, 0)
    held_out = _look(network, units, splits[1], progress, len(samples))
    progress.finish()
    return fit_familiarity(training, samples, held_out, refused=_REFUSED)


def judge_folds(
    networks: Sequence[Network],
    shipped: Network,
    units: Units,
    fold: NDArray[np.int8],
    progress: Progress,
    *,
    is_frozen: bool,
) -> tuple[list[Familiarity], Familiarity] | None:
    """Return the judgements of the networks of all folds, and of the one that ships.

    That one has no held-out pictures: how much a network learns those that it is trained on is
    the mean over the folds.

    Args:
        networks: The network of each fold, in evaluation mode, without a judgement.
        shipped: The network that is trained on all pictures, likewise.
        units: Data of the shipped network, as batches.
        fold: (N,) fold of each sample.
        progress: Told how many pictures were looked at.
        is_frozen: Whether all have the same backbone.

    Returns:
        The judgements, or None where there are no two windows to compare.
    """
    batches = units.some_windows(TRAIN, _MOST)
    samples = np.concatenate([windows.samples for windows in batches])
    folds = fold[samples]
    if min(int((folds != number).sum()) for number in range(len(networks))) < _FEWEST:
        _warn()
        return None
    looked = [shipped] if is_frozen else [*networks, shipped]
    progress.start("familiarity", len(looked) * len(samples))
    seen = [
        _look(network, units, batches, progress, number * len(samples))
        for number, network in enumerate(looked)
    ]
    progress.finish()
    judged = []
    for number in range(len(networks)):
        rows, is_out = seen[0 if is_frozen else number], torch.from_numpy(folds == number)
        training, held_out = ([level[chosen] for level in rows] for chosen in (~is_out, is_out))
        of_training = samples[folds != number]
        judged.append(fit_familiarity(training, of_training, held_out, refused=_REFUSED))
    learnt = np.mean([one.learnt for one in judged], axis=0).tolist()
    none = [level[:0] for level in seen[-1]]
    last = fit_familiarity(seen[-1], samples, none, refused=_REFUSED, learnt=learnt)
    return judged, last


def _warn() -> None:
    logger.warning(
        "the familiarity of pictures will not be judged, because there is only one picture to "
        "compare with"
    )


def _look(
    network: Network, units: Units, batches: Sequence[Windows], progress: Progress, done: int
) -> list[Tensor]:
    """Return what each level has of the windows, (N, C_i) float32, on the processor."""
    rows: list[tuple[Tensor, ...]] = []
    folded = FoldedNormalisation()
    for windows in batches:
        images = to_images(units.inputs(windows), network.mean.device)
        with torch.inference_mode(), folded.running(network.features, images):
            rows.append(tuple(pooled.cpu() for pooled in pool(network.features(images))))
        done += len(windows)
        progress.update(done)
    return [torch.cat(level) for level in zip(*rows, strict=True)]
