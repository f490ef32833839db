"""Fit the familiarity module of a trained network."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from foveal.console import Progress
from foveal.data.cache import Windows
from foveal.models.familiarity import Familiarity, fit_familiarity, pool
from foveal.models.network import Network
from foveal.models.torch_engine import to_images
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
        logger.warning(
            "the familiarity of pictures will not be judged, because there is only one picture to "
            "compare with"
        )
        return None
    progress.start("familiarity", sum(len(windows) for split in splits for windows in split))
    training = _look(network, units, splits[0], progress, 0)
    held_out = _look(network, units, splits[1], progress, len(samples))
    progress.finish()
    return fit_familiarity(training, samples, held_out, refused=_REFUSED)


def _look(
    network: Network, units: Units, batches: Sequence[Windows], progress: Progress, done: int
) -> list[Tensor]:
    """Return what each level has of the windows, (N, C_i) float32, on the processor."""
    rows: list[tuple[Tensor, ...]] = []
    with torch.inference_mode():
        for windows in batches:
            images = to_images(units.inputs(windows), network.mean.device)
            rows.append(tuple(pooled.cpu() for pooled in pool(network.features(images))))
            done += len(windows)
            progress.update(done)
    return [torch.cat(level) for level in zip(*rows, strict=True)]
