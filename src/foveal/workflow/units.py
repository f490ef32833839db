"""The samples of a run as windows, for training, validation and verification.

An ordinary picture is one window, its model input; a tiled one is covered by tiles.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from foveal.data.cache import Windows
from foveal.export.job import Pictures
from foveal.export.joined import joined_maps
from foveal.export.prove import ProofBatch
from foveal.predict.engine import Engine
from foveal.tasks.base import OutputBatch
from foveal.train.data import (
    batches_ahead,
    plain_inputs,
)
from foveal.train.features import FeatureFile
from foveal.train.records import Validate, forward_all, forward_head
from foveal.train.sampling import (
    windows_in_order,
)
from foveal.workflow.batches import TrainingBatches, TrainSetup
from foveal.workflow.prepare import VAL, Prepared
from foveal.workflow.sheet import write_sheet
from foveal.workflow.sources import limits_of
from foveal.workflow.validate import Heard, Truths, Validation

logger = logging.getLogger(__name__)

# Windows and pixels that are run together without gradients: more than with them fit.
_VALIDATION_BATCH = 128
_VALIDATION_PIXELS = 1 << 20


@final
@dataclass(frozen=True, slots=True)
class ValidationBatch:
    """Some windows of the validation split.

    Attributes:
        ids: Names in messages: the sample's id, and the place of a tile.
        inputs: (n, H, W, 3) uint8 RGB, the model inputs.
        truths: Targets and frames of the windows.
    """

    ids: Sequence[str]
    inputs: NDArray[np.uint8]
    truths: Truths


@final
class Units:
    """The samples of a run.

    Attributes:
        batches: Makes the batches of training.

    Args:
        prepared: The data.
    """

    def __init__(self, prepared: Prepared) -> None:
        """Lay the windows of the validation split out."""
        self._prepared = prepared
        self._cache = prepared.cache
        self.batches = TrainingBatches(prepared)
        val = prepared.indices(VAL)
        # A network that is trained on all pictures has none; see `workflow.folds`.
        self._val = self._in_order(val) if len(val) else []
        self._known: dict[bytes, Truths] = {}

    @property
    def repeats(self) -> bool:
        """Whether every epoch has the same windows, so that their features can be kept."""
        return not self._prepared.pipeline.is_tiled

    @property
    def validation_samples(self) -> NDArray[np.int64]:
        """Return the position of the sample of each window of validation, in order."""
        return np.concatenate([windows.samples for windows in self._val])

    @property
    def is_validated(self) -> bool:
        """Whether there are pictures to validate on."""
        return bool(self._val)

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
        batches = self._in_order(chosen)
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
        logger.info(
            "predicting the validation pictures again for calibration, because maps are not stored"
        )
        prepared = self._prepared
        val = [prepared.source.samples[i] for i in prepared.indices(VAL)]
        pictures = Pictures(prepared.source, val, (), limits_of(prepared.recipe))
        return joined_maps(pictures, prepared.task, prepared.pipeline, engine)

    def write_sheet(self, path: Path) -> None:
        """Write a picture of some training samples as the network gets them."""
        write_sheet(self._prepared, self.batches.samples, path)

    def _in_order(self, samples: NDArray[np.int64]) -> list[Windows]:
        return windows_in_order(
            self._cache, samples, pixels=_VALIDATION_PIXELS, most=_VALIDATION_BATCH
        )

    def _read(self, windows: Windows) -> ValidationBatch:
        ids = [self._prepared.source.samples[i].id for i in windows.samples]
        if self._prepared.pipeline.is_tiled:
            places = zip(ids, windows.lefts, windows.tops, strict=True)
            ids = [f"{name} at {left},{top}" for name, left, top in places]
        return ValidationBatch(ids, self._cache.read(windows), self._truths(windows))

    def _truths(self, windows: Windows) -> Truths:
        if (classes := self._prepared.classes_of_masks) is not None:
            masks = list(classes[self._cache.read_masks(windows)])
            return Truths(windows.samples, self._cache.frames(windows), masks)
        # Ordinary pictures make the same batches in every epoch: their labels are parsed once.
        key = windows.samples.tobytes()
        if key not in self._known:
            targets = self._prepared.targets(windows.samples)
            self._known[key] = Truths(windows.samples, self._cache.frames(windows), targets)
        return self._known[key]
