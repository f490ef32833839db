"""What a strategy means: which stages, on what batches, with which learning rates."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.console import Progress
from foveal.data.cache import Cache
from foveal.errors import TargetError
from foveal.models.network import Network
from foveal.recipe import TrainOptions
from foveal.synth import SynthSource
from foveal.tasks.training import TaskTraining
from foveal.train.augmentation import Augmenter
from foveal.train.data import CacheLoader, Loader
from foveal.train.defaults import label_weights
from foveal.train.features import FeatureFile, FeatureLoader, cache_features
from foveal.train.precision import choose_precision
from foveal.train.records import Stage, forward_all, forward_head, head_only
from foveal.workflow.endless import EndlessLoader
from foveal.workflow.prepare import TRAIN, VAL, Prepared, limits_of, raw_target
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.validate import Validation

logger = logging.getLogger(__name__)

# Validation runs without gradients: larger batches fit.
_VALIDATION_BATCH = 128
# An extension starts from trained weights; a full rate would throw them away.
_EXTENSION_LR = 0.3
# Pictures that the spread of the features is measured on.
_STANDARDISE_ON = 20_000
# Of a time budget, head first: on cached features it converges long before this.
_HEAD_SHARE = 0.15


@final
@dataclass(frozen=True)
class Plan:
    """What the trainer is given.

    Attributes:
        stages: In order.
        validation: Measures the whole network.
        label_weights: (C,) float32, or None.
    """

    stages: tuple[Stage, ...]
    validation: Validation
    label_weights: Tensor | None


@final
class Planner:
    """Makes the stages of a run.

    Args:
        prepared: The data.
        network: The network to be trained.
        training: The task's torch half.
        run: Holds the cached activations.
        device: Where to train.
        progress: Told of the caching of activations.
    """

    def __init__(
        self,
        prepared: Prepared,
        network: Network,
        training: TaskTraining,
        run: RunDirectory,
        device: torch.device,
        progress: Progress,
    ) -> None:
        """Keep the parts."""
        self._prepared = prepared
        self._network = network
        self._training = training
        self._run = run
        self._device = device
        self._progress = progress
        self._options: TrainOptions = prepared.recipe.train
        self._precision = choose_precision(self._options.precision, device)
        cache = prepared.cache
        val = cache.batches(prepared.indices(VAL), _VALIDATION_BATCH)
        self._sides = {TRAIN: prepared.indices(TRAIN), VAL: np.concatenate(val)}
        self._parsed = {side: prepared.targets(self._sides[side]) for side in (TRAIN, VAL)}
        self._endless: list[EndlessLoader] = []
        self._tensors = {side: self._collate(side) for side in (TRAIN, VAL)}

    def plan(self, extensions: tuple[int, ...] = ()) -> Plan:
        """Return the stages of the recipe's strategy, and one for each extension.

        Args:
            extensions: Epochs that the run was extended by, in order.
        """
        options = self._options
        stages: list[Stage] = []
        if options.strategy in ("frozen", "staged"):
            stages.append(self._head_stage("head", options.head_epochs, options.head_lr))
        if options.strategy != "frozen":
            stages.append(self._full_stage("full", options.epochs, options.lr))
        for number, epochs in enumerate(extensions, 1):
            name = "more" if number == 1 else f"more{number}"
            if options.strategy == "frozen":
                rate = (options.head_lr or 0.0) * _EXTENSION_LR
                stage = self._head_stage(name, epochs, rate)
            else:
                rate = (options.lr or 0.0) * _EXTENSION_LR
                stage = self._full_stage(name, epochs, rate)
            # Its epochs were asked for after the budget was spent.
            stages.append(replace(stage, budget_share=None))
        return Plan(tuple(stages), self._validation(), self._label_weights())

    def _collate(self, side: int) -> dict[str, Tensor]:
        indices = self._sides[side]
        tensors = self._training.collate(self._parsed[side], self._prepared.task)
        weights = self._prepared.weights[indices]
        if side == TRAIN and not np.all(weights == 1.0):
            tensors = {**tensors, "weight": torch.from_numpy(weights)}
        return tensors

    def _widths(self, side: int) -> NDArray[np.int64] | None:
        if not self._prepared.pipeline.is_ragged:
            return None
        widths: NDArray[np.int64] = self._prepared.cache.widths[self._sides[side]].astype(np.int64)
        return widths

    def _sample_weights(self) -> Tensor | None:
        if self._options.balance != "sampling":
            return None
        return self._training.sample_weights(self._tensors[TRAIN], self._prepared.task)

    def _label_weights(self) -> Tensor | None:
        if self._options.balance != "weights":
            return None
        counts = self._training.class_counts(self._tensors[TRAIN], self._prepared.task)
        return label_weights(counts)

    def _full_stage(self, name: str, epochs: int | None, rate: float | None) -> Stage:
        loader: Loader = self._loader(
            self._prepared.cache, self._sides[TRAIN], self._tensors[TRAIN], self._sample_weights()
        )
        source, every = self._prepared.source, self._prepared.recipe.data.fresh_every
        if isinstance(source, SynthSource) and every:
            endless = EndlessLoader(
                loader,
                source,
                self._later_loader,
                pipeline=self._prepared.pipeline,
                limits=limits_of(self._prepared.recipe),
                directory=self._run.sets,
                every=every,
                epochs=epochs,
            )
            self._endless.append(endless)
            loader = endless
        skip_from = self._options.head_is_enough if name == "full" and self._is_staged else None
        return Stage(name, loader, epochs, _required(rate), skip_from=skip_from)

    def _loader(
        self,
        cache: Cache,
        indices: NDArray[np.int64],
        tensors: dict[str, Tensor],
        sample_weights: Tensor | None,
    ) -> CacheLoader:
        is_ragged = self._prepared.pipeline.is_ragged
        return CacheLoader(
            cache,
            indices,
            tensors,
            batch_size=_required(self._options.batch_size),
            seed=self._prepared.recipe.seed,
            augment=Augmenter(self._options.augment, self._prepared.pipeline.pad_color),
            sample_weights=sample_weights,
            device=self._device,
            widths=cache.widths[indices].astype(np.int64) if is_ragged else None,
        )

    def close(self) -> None:
        """Stop what still draws pictures."""
        for loader in self._endless:
            loader.close()

    def _later_loader(self, cache: Cache, source: SynthSource) -> CacheLoader:
        task = self._prepared.task
        targets: list[Any] = []
        usable: list[int] = []
        for i, sample in enumerate(source.samples):
            try:
                targets.append(task.parse_target(raw_target(sample)))
            except TargetError as error:
                # A character that the first pictures did not have, or a longer text.
                logger.warning("%s is not trained on: %s", sample.id, error.message)
            else:
                usable.append(i)
        tensors = self._training.collate(targets, task)
        weights = None
        if self._options.balance == "sampling":
            weights = self._training.sample_weights(tensors, task)
        return self._loader(cache, np.array(usable, np.int64), tensors, weights)

    @property
    def _is_staged(self) -> bool:
        return self._options.strategy == "staged"

    def _head_stage(self, name: str, epochs: int | None, rate: float | None) -> Stage:
        train = self._features(TRAIN, "train")
        val = self._features(VAL, "val")
        if name == "head":
            known = np.arange(min(train.count, _STANDARDISE_ON), dtype=np.int64)
            self._network.head.standardise(tuple(m.float() for m in train.read(known)))
        batch = _required(self._options.batch_size)
        loader = FeatureLoader(
            train,
            self._tensors[TRAIN],
            batch_size=batch,
            seed=self._prepared.recipe.seed,
            sample_weights=self._sample_weights(),
            device=self._device,
        )
        in_order = FeatureLoader(
            val, self._tensors[VAL], batch_size=_VALIDATION_BATCH, device=self._device
        )
        validation = Validation(
            self._prepared.task,
            self._training,
            in_order.in_order,
            self._parsed[VAL],
            self._prepared.cache.frames(self._sides[VAL]),
            self._options,
            self._precision,
            forward_head,
        )
        return Stage(
            name,
            loader,
            epochs,
            _required(rate),
            lr_factor=head_only,
            forward=forward_head,
            validate=validation,
            budget_share=_HEAD_SHARE,
        )

    def _features(self, side: int, name: str) -> FeatureFile:
        prepared = self._prepared
        recipe = prepared.recipe
        self._run.features.mkdir(parents=True, exist_ok=True)
        augment = recipe.train.augment
        views = recipe.train.feature_views if side == TRAIN and augment.enabled is not False else 1
        network = self._network.to(self._device).eval()
        return cache_features(
            network.reduced_features,
            prepared.cache,
            self._sides[side],
            self._run.features / name,
            key=f"{recipe.digest()}:{name}",
            # Without gradients bf16 is faster wherever the processor has it.
            precision=choose_precision("auto", self._device),
            device=self._device,
            progress=self._progress,
            augment=Augmenter(augment, prepared.pipeline.pad_color) if views > 1 else None,
            views=views,
            seed=recipe.seed,
        )

    def _validation(self) -> Validation:
        loader = CacheLoader(
            self._prepared.cache,
            self._sides[VAL],
            self._tensors[VAL],
            batch_size=_VALIDATION_BATCH,
            device=self._device,
            widths=self._widths(VAL),
        )
        return Validation(
            self._prepared.task,
            self._training,
            loader.in_order,
            self._parsed[VAL],
            self._prepared.cache.frames(self._sides[VAL]),
            self._options,
            self._precision,
            forward_all,
        )


def _required(value: Any) -> Any:
    if value is None:
        raise ValueError("the recipe is not resolved")
    return value


def sample_ids(prepared: Prepared, indices: NDArray[np.int64]) -> list[str]:
    """Return the ids of some samples."""
    return [prepared.source.samples[i].id for i in indices]
