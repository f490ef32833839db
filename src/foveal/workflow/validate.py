"""Validate a torch network with the decoding and metrics of its task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveal.metrics import misread
from foveal.recipe import TrainOptions
from foveal.tasks.base import Task
from foveal.tasks.prediction import Prediction
from foveal.tasks.training import TaskTraining
from foveal.train.data import Inputs, move
from foveal.train.distributed import Group
from foveal.train.precision import Precision
from foveal.train.records import Forward, Validated
from foveal.types import Calibration, Frame

Heard: TypeAlias = Callable[[int, Prediction, Any, NDArray[np.float64]], None]


@final
@dataclass(frozen=True, slots=True)
class Truths:
    """The targets of some windows.

    Attributes:
        samples: (n,) int64, positions of the samples that they are of.
        frames: Where the original lies in each.
        targets: The parsed target of each; for masks that of the window, (H, W) uint8.
    """

    samples: NDArray[np.int64]
    frames: Sequence[Frame]
    targets: Sequence[Any]


@final
class Validation:
    """A `Validate` of the trainer. Rows of windows of one sample are added up to the sample's.

    Args:
        task: Decodes and measures.
        training: Gives the loss.
        batches: Gives the inputs, on the device, and the truths of all windows in order, each time
            it is called; of several processes each gives its own batches.
        options: The recipe's train section.
        precision: Number format of the forward pass.
        forward: Function that runs the network on the inputs.
        heard: Told of every window: its place in the order, answer, target and row.
        group: The processes that measure together.
    """

    def __init__(
        self,
        task: Task,
        training: TaskTraining,
        batches: Callable[[], Iterator[tuple[Inputs, Truths, int]]],
        options: TrainOptions,
        precision: Precision,
        forward: Forward,
        heard: Heard | None = None,
        group: Group | None = None,
    ) -> None:
        self._task = task
        self._training = training
        self._batches = batches
        # The plain loss, so that epochs compare however hard training is made.
        self._options = replace(options, label_smoothing=0.0)
        self._precision = precision
        self._forward = forward
        self._heard = heard
        self._group = group or Group()

    def __call__(self, model: nn.Module) -> Validated:
        """Return the task's metrics, the mean loss of a window as `loss`, and what it confused."""
        own: list[NDArray[np.float64]] = []
        losses: list[tuple[int, float, int]] = []
        confused: Counter[str] = Counter()
        model.eval()
        with torch.inference_mode():
            for inputs, truths, first in self._batches():
                with self._precision.autocast():
                    outputs = self._forward(model, inputs)
                outputs = {name: value.float() for name, value in outputs.items()}
                device = next(iter(outputs.values())).device
                targets = self._training.collate(truths.targets)
                targets = {name: move(target, device) for name, target in targets.items()}
                loss = self._training.losses(outputs, targets, self._options, None)["loss"]
                losses.append((first, float(loss), len(truths.targets)))
                own.extend(self._measure(outputs, truths, first, confused))
        return self._joined(own, losses, confused)

    def _joined(
        self,
        own: list[NDArray[np.float64]],
        losses: list[tuple[int, float, int]],
        confused: Counter[str],
    ) -> Validated:
        """Return what all processes measured, added up in the order of the windows."""
        group = self._group
        width = max(group.gather(len(own[0]) if own else 0))
        table = group.joined_rows(torch.from_numpy(np.array(own).reshape(len(own), width))).numpy()
        rows: dict[int, NDArray[np.float64]] = {}
        for _, sample, *row in table[np.argsort(table[:, 0], kind="stable")]:
            values = np.array(row)
            rows[int(sample)] = rows[int(sample)] + values if int(sample) in rows else values
        total, done = torch.zeros(()), 0
        for _, loss, count in sorted(tuple(each) for part in group.gather(losses) for each in part):
            total += loss * count
            done += count
        together: Counter[str] = Counter()
        for part in group.gather(dict(confused)):
            together.update(part)
        metrics = self._task.summarise(np.stack(list(rows.values())))
        return Validated({**metrics, "loss": float(total) / done}, dict(together))

    def _measure(
        self, outputs: dict[str, Tensor], truths: Truths, begin: int, confused: Counter[str]
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the place in the order, the sample and the row of every window."""
        arrays = {name: outputs[name].cpu().numpy() for name in self._task.core_outputs}
        predictions = self._task.decode(arrays, truths.frames, Calibration())
        answered = zip(truths.samples.tolist(), predictions, truths.targets, strict=True)
        for position, (sample, prediction, target) in enumerate(answered, begin):
            row = self._task.measure(prediction, target)
            if self._heard is not None:
                self._heard(position, prediction, target, row)
            if self._task.target_kind == "text":
                confused.update(misread(prediction.text, target))
            yield np.concatenate([np.array([position, sample], np.float64), row])
