"""Units of one model input each: a row of the cache."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.data.cache import Cache
from foveal.errors import TargetError
from foveal.export.prove import ProofBatch
from foveal.predict.engine import Engine
from foveal.render import contact_sheet, encode_png
from foveal.synth import SynthSource
from foveal.tasks.base import OutputBatch
from foveal.tasks.training import TaskTraining
from foveal.train.augmentation import Augmenter
from foveal.train.data import CacheLoader, Loader
from foveal.train.records import Validate, forward_all
from foveal.workflow.prepare import TRAIN, VAL, Prepared, raw_target
from foveal.workflow.units import VALIDATION_BATCH, Setting, Units
from foveal.workflow.validate import Validation

logger = logging.getLogger(__name__)

_PROOF_BATCH = 64
_SHEET_PICTURES = 48


@final
class RowUnits(Units):
    """One model input for each sample.

    Args:
        prepared: The data.
        cache: Its pictures.
    """

    def __init__(self, prepared: Prepared, cache: Cache) -> None:
        self._prepared = prepared
        self.cache = cache
        val = cache.batches(prepared.indices(VAL), VALIDATION_BATCH)
        self.sides = {TRAIN: prepared.indices(TRAIN), VAL: np.concatenate(val)}
        self._tensors: dict[int, dict[str, Tensor]] = {}

    @cached_property
    def parsed(self) -> dict[int, list[Any]]:
        """Return the targets of both sides."""
        return {side: self._prepared.targets(self.sides[side]) for side in (TRAIN, VAL)}

    def tensors(self, training: TaskTraining, side: int) -> dict[str, Tensor]:
        """Return the targets of one side as the losses take them; every stage takes the same."""
        if side not in self._tensors:
            self._tensors[side] = self._collate(training, side)
        return self._tensors[side]

    def _collate(self, training: TaskTraining, side: int) -> dict[str, Tensor]:
        tensors = training.collate(self.parsed[side])
        weights = self._prepared.weights[self.sides[side]]
        if side == TRAIN and not np.all(weights == 1.0):
            tensors = {**tensors, "weight": torch.from_numpy(weights)}
        return tensors

    def targets_of_training(self, training: TaskTraining) -> dict[str, Tensor]:
        """Return the targets of the training split."""
        return self.tensors(training, TRAIN)

    def loader(self, setting: Setting, sample_weights: Tensor | None) -> Loader:
        """Return the pictures of the training split, each once an epoch."""
        tensors = self.tensors(setting.training, TRAIN)
        return self.loader_of(self.cache, self.sides[TRAIN], tensors, setting, sample_weights)

    def loader_of(
        self,
        cache: Cache,
        indices: NDArray[np.int64],
        tensors: dict[str, Tensor],
        setting: Setting,
        sample_weights: Tensor | None,
    ) -> CacheLoader:
        """Return augmented pictures of any cache; see `CacheLoader`."""
        return CacheLoader(
            cache,
            indices,
            tensors,
            batch_size=setting.options.batch_size or 1,
            seed=self._prepared.recipe.seed,
            augment=Augmenter(setting.options.augment, self._prepared.pipeline.pad_color),
            sample_weights=sample_weights,
            device=setting.device,
            widths=self._widths(cache, indices),
        )

    def later_loader(self, setting: Setting) -> Callable[[Cache, SynthSource], Loader]:
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
            indices = np.array(usable, np.int64)
            return self.loader_of(cache, indices, tensors, setting, weights)

        return make

    def validation(self, setting: Setting) -> Validate:
        """Return what measures a network on the pictures of the validation split."""
        indices = self.sides[VAL]
        loader = CacheLoader(
            self.cache,
            indices,
            self.tensors(setting.training, VAL),
            batch_size=VALIDATION_BATCH,
            device=setting.device,
            widths=self._widths(self.cache, indices),
        )
        return Validation(
            self._prepared.task,
            setting.training,
            loader.in_order,
            self.parsed[VAL],
            self.cache.frames(indices),
            setting.options,
            setting.precision,
            forward_all,
        )

    def proofs(self) -> Iterator[ProofBatch]:
        """Yield the pictures of the validation split."""
        for part in self._parts():
            ids = [self._prepared.source.samples[i].id for i in part]
            yield ProofBatch(ids, self.cache.read(part), self.cache.frames(part))

    def to_calibrate(
        self, engine: Engine, proven: Iterable[OutputBatch]
    ) -> tuple[Iterable[OutputBatch], Sequence[Any]]:
        """Return what was proven: each picture is one model input."""
        return proven, [t for part in self._parts() for t in self._prepared.targets(part)]

    def write_sheet(self, path: Path) -> None:
        """Write some training pictures, evenly spread over the source, with their labels."""
        indices = self.sides[TRAIN]
        step = max(1, len(indices) // _SHEET_PICTURES)
        chosen = indices[::step][:_SHEET_PICTURES]
        captions = ["|".join(self._prepared.source.samples[i].raw or ()) for i in chosen]
        path.write_bytes(encode_png(contact_sheet(list(self.cache.read(chosen)), captions)))

    def _parts(self) -> list[NDArray[np.int64]]:
        return self.cache.batches(self._prepared.indices(VAL), _PROOF_BATCH)

    def _widths(self, cache: Cache, indices: NDArray[np.int64]) -> NDArray[np.int64] | None:
        if not self._prepared.pipeline.is_ragged:
            return None
        widths: NDArray[np.int64] = cache.widths[indices].astype(np.int64)
        return widths
