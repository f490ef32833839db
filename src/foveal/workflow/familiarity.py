"""Fit the familiarity module of a trained network."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.console import Progress
from foveal.data.cache import Windows
from foveal.models.familiarity import Familiarity, fit_familiarity, pool, roots
from foveal.models.network import Network
from foveal.models.torch_engine import to_images
from foveal.models.weights import digest_of
from foveal.train.folding import FoldedNormalisation
from foveal.train.precision import choose_precision
from foveal.workflow.prepare import TRAIN, VAL
from foveal.workflow.run_features import RunFeatures
from foveal.workflow.units import Units

logger = logging.getLogger(__name__)

# Share of the pictures like those of the training that may be called unfamiliar.
_REFUSED = 0.01
# Windows of each split. More of them would cost as much as an epoch and change little.
_MOST = 1500
_FEWEST = 2


def judge_familiarity(
    network: Network, units: Units, features: RunFeatures, progress: Progress
) -> Familiarity | None:
    """Return the judgement that ships with a trained network.

    Args:
        network: In evaluation mode, without a judgement.
        units: The data.
        features: What was cached of the same data.
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
    sight = _Sight(units, features, progress)
    training = sight.of(TRAIN, network, splits[0])
    held_out = sight.of(VAL, network, splits[1])
    progress.finish()
    return fit_familiarity(training, samples, held_out, refused=_REFUSED)


def judge_folds(
    networks: Sequence[Network],
    shipped: Network,
    units: Units,
    features: RunFeatures,
    fold: NDArray[np.int8],
    progress: Progress,
) -> tuple[list[Familiarity], Familiarity] | None:
    """Return the judgements of the networks of all folds, and of the one that ships.

    That one has no held-out pictures: how much a network learns those that it is trained on is
    the mean over the folds.

    Args:
        networks: The network of each fold, in evaluation mode, without a judgement.
        shipped: The network that is trained on all pictures, likewise.
        units: Data of the shipped network, as batches.
        features: What was cached of the same data.
        fold: (N,) fold of each sample.
        progress: Told how many pictures were looked at.

    Returns:
        The judgements, or None where there are no two windows to compare.
    """
    batches = units.some_windows(TRAIN, _MOST)
    samples = np.concatenate([windows.samples for windows in batches])
    folds = fold[samples]
    if min(int((folds != number).sum()) for number in range(len(networks))) < _FEWEST:
        _warn()
        return None
    looked = [*networks, shipped]
    # Networks of which only the head was trained see the same.
    is_frozen = len({digest_of(network.backbone) for network in looked}) == 1
    looked = looked[-1:] if is_frozen else looked
    progress.start("familiarity", len(looked) * len(samples))
    sight = _Sight(units, features, progress)
    seen = [sight.of(TRAIN, network, batches) for network in looked]
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


@final
class _Sight:
    """What networks see in pictures: from the cached features, or by looking at the pictures.

    Args:
        units: The data.
        features: What was cached of the same data.
        progress: Told how many pictures were looked at.
    """

    def __init__(self, units: Units, features: RunFeatures, progress: Progress) -> None:
        self._units = units
        self._features = features
        self._progress = progress
        self._done = 0

    def of(self, side: int, network: Network, batches: Sequence[Windows]) -> list[Tensor]:
        """Return what each level has of the windows, (N, D_i) float32, on the processor.

        Args:
            side: `TRAIN` or `VAL`, which has the windows.
            network: In evaluation mode.
            batches: The windows, at least one.
        """
        samples = np.concatenate([windows.samples for windows in batches])
        # Tiles of one picture are several windows, and are not cached.
        cached = self._features.statistics(side, network, samples) if self._units.repeats else None
        if cached is None:
            return self._looked(network, batches)
        self._advance(len(samples))
        return [roots(rows) for rows in cached]

    def _looked(self, network: Network, batches: Sequence[Windows]) -> list[Tensor]:
        rows: list[tuple[Tensor, ...]] = []
        folded = FoldedNormalisation()
        extract, device = network.features, network.mean.device
        # As for cached features: what bf16 rounds moves limits by a hundredth (decision 0059).
        precision = choose_precision("auto", device)
        for windows in batches:
            images = to_images(self._units.inputs(windows), device)
            with torch.inference_mode(), precision.autocast(), folded.running(extract, images):
                rows.append(tuple(pooled.cpu() for pooled in pool(extract(images))))
            self._advance(len(windows))
        return [torch.cat(level) for level in zip(*rows, strict=True)]

    def _advance(self, count: int) -> None:
        self._done += count
        self._progress.update(self._done)
