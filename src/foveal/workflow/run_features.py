"""The features of a run's pictures under its backbone, in files that last until the run ends."""

from __future__ import annotations

from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.console import Progress
from foveal.models.network import Network
from foveal.models.weights import digest_of
from foveal.train.augmentation import Augmenter
from foveal.train.features import FeatureFile, cache_features
from foveal.train.precision import choose_precision
from foveal.workflow.batches import TrainSetup
from foveal.workflow.prepare import TRAIN, VAL, Prepared
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.units import Units

# Pixels that are run together. Maps of more do not stay in the caches of a processor: on one with
# bf16, EfficientNet-Lite0 takes a fifth longer for batches of 32 pictures of 224 px than for 12.
_CPU_PIXELS, _GPU_PIXELS = 1 << 19, 1 << 21
_MOST = 128
# Raised whenever heads reduce features to something else: a run may be resumed by a later version.
_CONTENT = 2


@final
class RunFeatures:
    """The cached features of a run.

    Args:
        prepared: The data.
        units: The same as batches.
        run: Holds the files. All folds and the network of all pictures read one file, each what it
            needs of it.
    """

    def __init__(self, prepared: Prepared, units: Units, run: RunDirectory) -> None:
        self._prepared = prepared
        self._units = units
        self._directory = run.features
        self._has_folds = prepared.recipe.train.folds is not None

    def compute(
        self, side: int, network: Network, setting: TrainSetup, progress: Progress
    ) -> FeatureFile:
        """Return the features of one side of the split, computed where they are not cached yet.

        Args:
            side: `TRAIN` or `VAL`. Only training pictures have views beside the plain one.
            network: Is moved to the device of the training, and set to evaluation mode.
            setting: Gives the device and the processes that train together.
            progress: Told of the pictures done.
        """
        recipe = self._prepared.recipe
        self._directory.mkdir(parents=True, exist_ok=True)
        augment = recipe.train.augment
        name = self._name(side)
        views = recipe.train.feature_views if augment.is_on and name != "val" else 1
        network.to(setting.device).eval()
        features = cache_features(
            network.reduced_features,
            self._prepared.cache,
            self._stored(side),
            self._path(side),
            key=self._key(side, network),
            # Without gradients bf16 is faster wherever the processor has it.
            precision=choose_precision("auto", setting.device),
            device=setting.device,
            progress=progress,
            augment=Augmenter(augment, self._prepared.pipeline.pad_color) if views > 1 else None,
            views=views,
            seed=recipe.seed,
            batch_size=self._batch_size(setting.device),
            group=setting.group,
        )
        if not self._has_folds:
            return features
        rows = self._rows(side, self._own(side))
        return features.some(rows, views=views if side == TRAIN else 1)

    def statistics(
        self, side: int, network: Network, samples: NDArray[np.int64]
    ) -> tuple[Tensor, ...] | None:
        """Return the `statistics` of the feature maps of some pictures, where they are cached.

        Args:
            side: `TRAIN` or `VAL`, which has the pictures.
            network: The network whose features are wanted. It has others than those in the file
                once its backbone was trained.
            samples: (n,) the pictures.

        Returns:
            Tensors of (n, D_i); None where a network has to look at the pictures.
        """
        if not network.head.reduces_to_statistics:
            return None
        file = FeatureFile.open(self._path(side), self._key(side, network))
        if file is None:
            return None
        # The first rows of a file are the plain views.
        return tuple(rows.flatten(1).float() for rows in file.read(self._rows(side, samples)))

    def _batch_size(self, device: torch.device) -> int:
        height, width = self._prepared.pipeline.example_size
        most = _CPU_PIXELS if device.type == "cpu" else _GPU_PIXELS
        return max(1, min(_MOST, most // (height * width)))

    def _own(self, side: int) -> NDArray[np.int64]:
        return self._units.batches.samples if side == TRAIN else self._units.validation_samples

    def _stored(self, side: int) -> NDArray[np.int64]:
        """Return the pictures of a file, in its order."""
        if not self._has_folds:
            return self._own(side)
        split = self._prepared.split
        return np.flatnonzero((split == TRAIN) | (split == VAL))

    def _rows(self, side: int, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places of some pictures in a file."""
        stored = self._stored(side)
        order = np.argsort(stored)
        return order[np.searchsorted(stored, samples, sorter=order)]

    def _name(self, side: int) -> str:
        if self._has_folds:
            return "folds"
        return "train" if side == TRAIN else "val"

    def _path(self, side: int) -> Path:
        return self._directory / self._name(side)

    def _key(self, side: int, network: Network) -> str:
        weights = digest_of(network.backbone)
        return f"{self._prepared.recipe.digest()}:{self._name(side)}:{weights}:{_CONTENT}"
