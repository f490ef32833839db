"""Measure a torch network on the validation pictures, by the task's own decoding and metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from foveal.metrics import misread
from foveal.recipe import TrainOptions
from foveal.tasks.base import Task
from foveal.tasks.training import TaskTraining
from foveal.train.data import Batch
from foveal.train.precision import Precision
from foveal.train.records import Forward, Measured
from foveal.types import Calibration, Frame


@final
class Validation:
    """A `Validate` of the trainer.

    Args:
        task: Decodes and measures.
        training: Gives the loss.
        batches: Gives the batches of all validation samples in order, each time it is called.
        targets: Targets of all validation samples, in the same order.
        frames: Frames of all validation samples, in the same order.
        options: The recipe's train section.
        precision: Precision of the forward pass.
        forward: How the network is run on the batches.
    """

    def __init__(
        self,
        task: Task,
        training: TaskTraining,
        batches: Callable[[], Iterator[Batch]],
        targets: Sequence[Any],
        frames: Sequence[Frame],
        options: TrainOptions,
        precision: Precision,
        forward: Forward,
    ) -> None:
        self._task = task
        self._training = training
        self._batches = batches
        self._targets = targets
        self._frames = frames
        # The plain loss, so that epochs compare however hard training is made.
        self._options = replace(options, label_smoothing=0.0)
        self._precision = precision
        self._forward = forward

    def __call__(self, model: nn.Module) -> Measured:
        """Return the task's metrics, the mean loss as `loss`, and the labels it confused."""
        rows: list[Any] = []
        confused: Counter[str] = Counter()
        total = torch.zeros(())
        model.eval()
        with torch.inference_mode():
            for inputs, targets in self._batches():
                with self._precision.autocast():
                    outputs = self._forward(model, inputs)
                outputs = {name: value.float() for name, value in outputs.items()}
                losses = self._training.losses(outputs, targets, self._options, None)
                start = len(rows)
                rows += self._measure(outputs, start, confused)
                total += losses["loss"].cpu() * (len(rows) - start)
        metrics = self._task.summarise(np.stack(rows))
        return Measured({**metrics, "loss": float(total) / len(rows)}, dict(confused))

    def _measure(self, outputs: dict[str, Tensor], start: int, confused: Counter[str]) -> list[Any]:
        arrays = {name: outputs[name].cpu().numpy() for name in self._task.core_outputs}
        count = len(next(iter(arrays.values())))
        frames = self._frames[start : start + count]
        predictions = self._task.decode(arrays, frames, Calibration())
        targets = self._targets[start : start + count]
        pairs = list(zip(predictions, targets, strict=True))
        if self._task.target_kind == "text":
            for prediction, target in pairs:
                confused.update(misread(prediction.text, target))
        return [self._task.measure(prediction, target) for prediction, target in pairs]
