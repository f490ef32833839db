"""What training and proof take from prepared data, whatever shape the pictures have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from foveal.export.prove import ProofBatch
from foveal.predict.engine import Engine
from foveal.recipe import TrainOptions
from foveal.tasks.base import OutputBatch
from foveal.tasks.training import TaskTraining
from foveal.train.data import Loader
from foveal.train.precision import Precision
from foveal.train.records import Validate

# Validation runs without gradients: larger batches fit.
VALIDATION_BATCH = 128


@final
@dataclass(frozen=True)
class Setting:
    """What units need beside the data.

    Attributes:
        training: The task's torch half.
        options: The recipe's train section.
        device: Where to train.
        precision: Precision of forward passes.
    """

    training: TaskTraining
    options: TrainOptions
    device: torch.device
    precision: Precision


class Units(ABC):
    """The samples of a run as batches: one model input each, or crops and tiles of large ones."""

    @abstractmethod
    def targets_of_training(self, training: TaskTraining) -> dict[str, Tensor]:
        """Return what `class_counts` and `sample_weights` of the task's training take."""

    @abstractmethod
    def loader(self, setting: Setting, sample_weights: Tensor | None) -> Loader:
        """Return the batches of training."""

    @abstractmethod
    def validation(self, setting: Setting) -> Validate:
        """Return what measures a network on the validation split."""

    @abstractmethod
    def proofs(self) -> Iterator[ProofBatch]:
        """Yield the model inputs of the validation split."""

    @abstractmethod
    def to_calibrate(
        self, engine: Engine, proven: Iterable[OutputBatch]
    ) -> tuple[Iterable[OutputBatch], Sequence[Any]]:
        """Return outputs for the validation split, and the targets in their order.

        Both may be computed each time they are read.

        Args:
            engine: Computes what the proof did not.
            proven: The outputs of `proofs`.
        """

    @abstractmethod
    def write_sheet(self, path: Path) -> None:
        """Write a picture of some training samples as the network gets them."""
