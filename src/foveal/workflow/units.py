"""The samples of a run as windows: batches to train on, windows to validate and prove on.

An ordinary picture is one window, its model input. A tiled one is cropped at random for training,
and covered by tiles for validation. The pipeline's fit decides, here and nowhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.data.cache import Cache, Windows
from foveal.errors import TargetError
from foveal.export.job import Pictures
from foveal.export.joined import joined_maps
from foveal.export.prove import ProofBatch
from foveal.predict.engine import Engine
from foveal.recipe import TrainOptions
from foveal.synth import SynthSource
from foveal.tasks.base import OutputBatch
from foveal.tasks.training import TaskTraining
from foveal.train.augmentation import Augmenter
from foveal.train.crops import CropPlan, RandomCrops
from foveal.train.data import (
    Loader,
    PictureReader,
    WindowLoader,
    as_weights,
    batches_ahead,
    plain_inputs,
)
from foveal.train.distributed import Group
from foveal.train.features import FeatureFile, FeatureReader
from foveal.train.precision import Precision
from foveal.train.records import Validate, forward_all, forward_head
from foveal.train.resident import keep_on_device
from foveal.train.sampling import (
    BatchOrder,
    CachedViews,
    Sampler,
    WholePictures,
    windows_in_order,
)
from foveal.types import IGNORED
from foveal.workflow.prepare import TRAIN, VAL, Prepared, raw_target
from foveal.workflow.sheet import write_sheet
from foveal.workflow.sources import limits_of
from foveal.workflow.validate import Heard, Truths, Validation

logger = logging.getLogger(__name__)

# Windows and pixels that are run together without gradients: more than with them fit.
_VALIDATION_BATCH = 128
_VALIDATION_PIXELS = 1 << 20


@final
@dataclass(frozen=True)
class TrainSetup:
    """What units need beside the data.

    Attributes:
        training: The task's torch half.
        options: The recipe's train section.
        device: Where to train.
        precision: Number format of the forward passes.
        group: The processes that train together.
    """

    training: TaskTraining
    options: TrainOptions
    device: torch.device
    precision: Precision
    group: Group = field(default_factory=Group)


@final
@dataclass(frozen=True, slots=True)
class ValidationBatch:
    """Some windows of the validation split.

    Attributes:
        ids: What messages call them: the sample's id, and the place of a tile.
        inputs: (n, H, W, 3) uint8 RGB, the model inputs.
        truths: What is true of them.
    """

    ids: Sequence[str]
    inputs: NDArray[np.uint8]
    truths: Truths


@final
class Units:
    """The samples of a run.

    Args:
        prepared: The data.
    """

    def __init__(self, prepared: Prepared) -> None:
        """Lay the windows of the validation split out."""
        self._prepared = prepared
        self._cache = prepared.cache
        self._train = prepared.indices(TRAIN)
        self._val = windows_in_order(
            self._cache,
            prepared.indices(VAL),
            pixels=_VALIDATION_PIXELS,
            most=_VALIDATION_BATCH,
        )
        self._tensors: dict[str, Tensor] | None = None
        self._known: dict[bytes, Truths] = {}

    @property
    def repeats(self) -> bool:
        """Whether every epoch has the same windows, so that their features can be kept."""
        return not self._prepared.pipeline.is_tiled

    def targets_of_training(self, training: TaskTraining) -> dict[str, Tensor]:
        """Return the targets of the training split, first axis the sample.

        They are what `class_counts` and `sample_weights` take. The masks of tiled pictures stay in
        the cache: of them there is `pixels`, (n, C) float32, how much of each class each has.
        """
        if self._tensors is None:
            self._tensors = self._collate(training)
        return self._tensors

    def loader(self, setting: TrainSetup, sample_weights: Tensor | None) -> Loader:
        """Return the batches of training."""
        targets = self.targets_of_training(setting.training)
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
                    logger.warning("%s is not trained on: %s", sample.id, error.message)
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
        """Return the batches of training from cached features of `training_samples`."""
        size = setting.options.batch_size or 1
        seed = self._prepared.recipe.seed
        order = BatchOrder(features.count, size, seed, as_weights(sample_weights))
        sampler = CachedViews(order, features.views)
        targets = self.targets_of_training(setting.training)
        return WindowLoader(
            FeatureReader(features),
            sampler,
            targets,
            device=setting.device,
            dealt=setting.group.share,
        )

    @property
    def training_samples(self) -> NDArray[np.int64]:
        """Return the positions of the samples that are trained on."""
        return self._train

    @property
    def validation_samples(self) -> NDArray[np.int64]:
        """Return the position of the sample of each window of validation, in order."""
        return np.concatenate([windows.samples for windows in self._val])

    @property
    def validation_windows(self) -> Sequence[Windows]:
        """Return the windows of the validation split, in order."""
        return self._val

    def validation(
        self, setting: TrainSetup, heard: Heard, features: FeatureFile | None = None
    ) -> Validate:
        """Return what measures a network on the validation split.

        Args:
            setting: Gives loss, device and precision.
            heard: Told of every answer.
            features: Cached features of `validation_samples`, which the head is run on.
        """

        # Whole batches are dealt out, so that each is answered as by one process alone.
        group = setting.group
        starts = np.cumsum([0, *(len(windows) for windows in self._val)]).tolist()
        own = list(zip(starts, self._val, strict=False))[group.rank :: group.world]

        def pictures() -> Iterator[tuple[Tensor, Truths, int]]:
            read = batches_ahead(self._read, [windows for _, windows in own])
            for (first, _), batch in zip(own, read, strict=True):
                yield plain_inputs(batch.inputs, setting.device), batch.truths, first

        def from_features(file: FeatureFile) -> Iterator[tuple[tuple[Tensor, ...], Truths, int]]:
            for first, windows in own:
                maps = file.read(np.arange(first, first + len(windows), dtype=np.int64))
                inputs = tuple(m.to(setting.device).float() for m in maps)
                yield inputs, self._truths(windows), first

        return Validation(
            self._prepared.task,
            setting.training,
            pictures if features is None else lambda: from_features(features),
            setting.options,
            setting.precision,
            forward_all if features is None else forward_head,
            heard,
            group,
        )

    def windows(self) -> Iterator[ValidationBatch]:
        """Yield the windows of the validation split in order, read ahead."""
        yield from batches_ahead(self._read, self._val)

    def proofs(self) -> Iterator[ProofBatch]:
        """Yield the model inputs of the validation split."""
        for batch in self.windows():
            yield ProofBatch(batch.ids, batch.inputs, batch.truths.frames)

    def some_windows(self, side: int, most: int) -> list[Windows]:
        """Return windows of a split that are chosen at random, in batches.

        Args:
            side: `TRAIN` or `VAL`.
            most: About how many at most.
        """
        rng = np.random.default_rng(self._prepared.recipe.seed)
        # Enough pictures for as many windows, whatever their sizes.
        chosen = np.sort(rng.permutation(self._prepared.indices(side))[:most])
        batches = windows_in_order(
            self._cache, chosen, pixels=_VALIDATION_PIXELS, most=_VALIDATION_BATCH
        )
        kept = min(1.0, most / max(1, sum(len(windows) for windows in batches)))
        parts = [w.at(np.flatnonzero(rng.random(len(w)) < kept)) for w in batches]
        return [part for part in parts if len(part)]

    def inputs(self, windows: Windows) -> NDArray[np.uint8]:
        """Return (n, H, W, 3) uint8 RGB, the model inputs of windows of one size."""
        return self._cache.read(windows)

    def to_calibrate(
        self, engine: Engine, proven: Iterable[OutputBatch]
    ) -> tuple[Iterable[OutputBatch], Sequence[Any]]:
        """Return outputs for the validation split, and the targets in their order.

        Both are computed each time they are read where pictures are tiled: the tiles of the proof
        do not overlap, and joined maps may be larger than the pictures.

        Args:
            engine: Computes what the proof did not.
            proven: The outputs of `proofs`.
        """
        if self.repeats:
            return proven, self._prepared.targets(self.validation_samples)
        logger.info("calibration answers the validation pictures once more: maps are not kept")
        prepared = self._prepared
        val = [prepared.source.samples[i] for i in prepared.indices(VAL)]
        pictures = Pictures(prepared.source, val, (), limits_of(prepared.recipe))
        return joined_maps(pictures, prepared.task, prepared.pipeline, engine)

    def write_sheet(self, path: Path) -> None:
        """Write a picture of some training samples as the network gets them."""
        write_sheet(self._prepared, self._train, path)

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
        pictures = PictureReader(cache, augment, seed=seed, classes=self._classes)
        reader = keep_on_device(pictures, cache, indices, setting.device)
        return WindowLoader(
            reader, sampler, targets, device=setting.device, dealt=setting.group.share
        )

    def _collate(self, training: TaskTraining) -> dict[str, Tensor]:
        prepared = self._prepared
        if self._classes is None:
            tensors = training.collate(prepared.targets(self._train))
        else:
            found = self._cache.pixels[self._train]
            pixels = np.zeros((len(found), len(prepared.task.labels)), np.float32)
            for column, label in zip(found.T, self._classes.tolist(), strict=False):
                if label != IGNORED:
                    pixels[:, label] += column
            tensors = {"pixels": torch.from_numpy(pixels)}
        weights = prepared.weights[self._train]
        if np.all(weights == 1.0):
            return tensors
        return {**tensors, "weight": torch.from_numpy(weights)}

    @cached_property
    def _classes(self) -> NDArray[np.uint8] | None:
        """Return (256,) position in the source's classes → class of the task, for tiles alone."""
        if not self._prepared.pipeline.is_tiled:
            return None
        classes = np.full(256, IGNORED, np.uint8)
        for i, name in enumerate(self._prepared.source.classes):
            position = self._prepared.task.labels.index(name)
            if position is not None:
                classes[i] = position
        return classes

    @property
    def _rare(self) -> tuple[int, ...]:
        """Return the positions in the source's classes of all but the most frequent one."""
        totals = self._cache.pixels[self._train].sum(axis=0)
        names, labels = self._prepared.source.classes, self._prepared.task.labels
        known = [i for i, name in enumerate(names) if labels.index(name) is not None]
        return tuple(i for i in known if totals[i] and i != int(totals.argmax()))

    def _read(self, windows: Windows) -> ValidationBatch:
        ids = [self._prepared.source.samples[i].id for i in windows.samples]
        if self._prepared.pipeline.is_tiled:
            places = zip(ids, windows.lefts, windows.tops, strict=True)
            ids = [f"{name} at {left},{top}" for name, left, top in places]
        return ValidationBatch(ids, self._cache.read(windows), self._truths(windows))

    def _truths(self, windows: Windows) -> Truths:
        if self._classes is not None:
            masks = list(self._classes[self._cache.read_masks(windows)])
            return Truths(windows.samples, self._cache.frames(windows), masks)
        # Ordinary pictures make the same batches in every epoch: their labels are parsed once.
        key = windows.samples.tobytes()
        if key not in self._known:
            targets = self._prepared.targets(windows.samples)
            self._known[key] = Truths(windows.samples, self._cache.frames(windows), targets)
        return self._known[key]
