"""The samples of a run as batches to train on.

An ordinary picture is one window, its model input; a tiled one is cropped at random. The pipeline's
fit decides, here and in `foveal.workflow.units`, and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.data.cache import Cache
from foveal.errors import TargetError
from foveal.recipe import Recipe, TrainOptions
from foveal.synth import SynthSource
from foveal.tasks import get_training
from foveal.tasks.base import Task
from foveal.tasks.training import TaskTraining
from foveal.train.augmentation import Augmenter
from foveal.train.crops import CropPlan, RandomCrops
from foveal.train.data import (
    Loader,
    PictureReader,
    WindowLoader,
    as_weights,
)
from foveal.train.distributed import Group
from foveal.train.features import FeatureFile, FeatureReader
from foveal.train.precision import Precision, choose_device, choose_precision
from foveal.train.resident import keep_on_device
from foveal.train.sampling import (
    BatchOrder,
    CachedViews,
    Sampler,
    WholePictures,
)
from foveal.types import IGNORED
from foveal.workflow.prepare import TRAIN, Prepared, raw_target

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class TrainSetup:
    """Parameters of training and validation besides the data.

    Attributes:
        training: The task's torch half.
        options: The recipe's train section.
        device: Device to train on.
        precision: Number format of the forward passes.
        group: The processes that train together.
    """

    training: TaskTraining
    options: TrainOptions
    device: torch.device
    precision: Precision
    group: Group = field(default_factory=Group)

    @classmethod
    def of(cls, recipe: Recipe, task: Task, group: Group | None = None) -> Self:
        """Return those of a recipe.

        Args:
            recipe: A resolved recipe.
            task: Bound to the labels.
            group: The processes that train together; None for this one alone.

        Raises:
            RecipeError: If this machine does not have the device.
        """
        options, training = recipe.train, get_training(recipe.task)(task)
        device = choose_device(options.device)
        precision = choose_precision(options.precision, device)
        return cls(training, options, device, precision, group or Group())


@final
class TrainingBatches:
    """Makes the batches of training.

    Args:
        prepared: The data.
    """

    def __init__(self, prepared: Prepared) -> None:
        """Find the samples that are trained on."""
        self._prepared = prepared
        self._cache = prepared.cache
        self._train = prepared.indices(TRAIN)
        self._tensors: dict[str, Tensor] | None = None

    def targets(self, training: TaskTraining) -> dict[str, Tensor]:
        """Return the targets of the training split, first axis the sample.

        They are what `class_counts` and `sample_weights` take. The masks of tiled pictures stay in
        the cache: of them there is `pixels`, (n, C) float32, how much of each class each has.
        """
        if self._tensors is None:
            self._tensors = self._collate(training)
        return self._tensors

    def loader(self, setting: TrainSetup, sample_weights: Tensor | None) -> Loader:
        """Return the batches of training."""
        targets = self.targets(setting.training)
        return self._loader(self._cache, self._train, targets, setting, sample_weights)

    def later_loader(self, setting: TrainSetup) -> Callable[[Cache, SynthSource], Loader]:
        """Return what makes the loader of a later set of drawn pictures."""
        task = self._prepared.task

        def make(cache: Cache, source: SynthSource) -> Loader:
            targets: list[Any] = []
            usable: list[int] = []
            for i, sample in enumerate(source.samples):
                try:
                    targets.append(task.parse_target(raw_target(sample)))
                except TargetError as error:
                    # A character that the first pictures did not have, or a longer text.
                    logger.warning("%s is left out of training: %s", sample.id, error.message)
                else:
                    usable.append(i)
            tensors = setting.training.collate(targets)
            weights = None
            if setting.options.balance == "sampling":
                weights = setting.training.sample_weights(tensors)
            return self._loader(cache, np.array(usable, np.int64), tensors, setting, weights)

        return make

    def feature_loader(
        self, features: FeatureFile, setting: TrainSetup, sample_weights: Tensor | None
    ) -> Loader:
        """Return the batches of training from cached features of `samples`."""
        size = setting.options.batch_size or 1
        seed = self._prepared.recipe.seed
        order = BatchOrder(features.count, size, seed, as_weights(sample_weights))
        sampler = CachedViews(order, features.views)
        targets = self.targets(setting.training)
        return WindowLoader(
            FeatureReader(features),
            sampler,
            targets,
            device=setting.device,
            dealt=setting.group.share,
        )

    @property
    def samples(self) -> NDArray[np.int64]:
        """Return the positions of the samples that are trained on."""
        return self._train

    def _loader(
        self,
        cache: Cache,
        indices: NDArray[np.int64],
        targets: dict[str, Tensor],
        setting: TrainSetup,
        sample_weights: Tensor | None,
    ) -> Loader:
        pipeline, seed = self._prepared.pipeline, self._prepared.recipe.seed
        augment = Augmenter(setting.options.augment, pipeline.pad_color)
        size, weights = setting.options.batch_size or 1, as_weights(sample_weights)
        sampler: Sampler
        if pipeline.is_tiled:
            plan = CropPlan(
                indices=indices,
                size=(pipeline.height, pipeline.width),
                side=augment.margin,
                batch_size=size,
                rare=self._rare,
                foreground=setting.options.foreground,
                seed=seed,
                sample_weights=weights,
            )
            sampler = RandomCrops(cache, plan)
            # The crops' own masks are read with them.
            targets = {name: t for name, t in targets.items() if name == "weight"}
        else:
            sampler = WholePictures(
                cache, indices, batch_size=size, seed=seed, sample_weights=weights
            )
        pictures = PictureReader(cache, augment, seed=seed, classes=self._prepared.classes_of_masks)
        reader = keep_on_device(pictures, cache, indices, setting.device)
        return WindowLoader(
            reader, sampler, targets, device=setting.device, dealt=setting.group.share
        )

    def _collate(self, training: TaskTraining) -> dict[str, Tensor]:
        prepared = self._prepared
        classes = prepared.classes_of_masks
        if classes is None:
            tensors = training.collate(prepared.targets(self._train))
        else:
            found = self._cache.pixels[self._train]
            pixels = np.zeros((len(found), len(prepared.task.labels)), np.float32)
            for column, label in zip(found.T, classes.tolist(), strict=False):
                if label != IGNORED:
                    pixels[:, label] += column
            tensors = {"pixels": torch.from_numpy(pixels)}
        weights = prepared.weights[self._train]
        if np.all(weights == 1.0):
            return tensors
        return {**tensors, "weight": torch.from_numpy(weights)}

    @property
    def _rare(self) -> tuple[int, ...]:
        """Return the positions in the source's classes of all but the most frequent one."""
        totals = self._cache.pixels[self._train].sum(axis=0)
        names, labels = self._prepared.source.classes, self._prepared.task.labels
        known = [i for i, name in enumerate(names) if labels.index(name) is not None]
        return tuple(i for i in known if totals[i] and i != int(totals.argmax()))
