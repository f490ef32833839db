"""TensorBoard events: curves, the first pictures, the graph and the hyper-parameters."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

# Where tensorboard finds TensorFlow it imports all of it, to write files: seconds at the start of
# every training. This is its own switch, a module that it looks for, to do without.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))

from torch.utils.tensorboard import SummaryWriter  # noqa: E402
from torch.utils.tensorboard.summary import hparams  # noqa: E402

from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord  # noqa: E402

logger = logging.getLogger(__name__)

# Every step of a long run would make files of hundreds of megabytes.
STEPS_BETWEEN_SCALARS = 10
PICTURES_SHOWN = 16


class TensorBoard:
    """Writes events for `tensorboard --logdir`.

    Args:
        directory: Folder of the event files.
        settings: Dotted recipe key → value, shown as hyper-parameters.
        graph: Whether to trace the network for the graph tab.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, bool | str | float | int] | None = None,
        graph: bool = True,
    ) -> None:
        self._directory = directory
        self._settings = dict(settings or {})
        self._graph = graph
        self._writer: SummaryWriter | None = None
        self._model: nn.Module | None = None
        self._shows_pictures = True

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        """Open the files; the events of epochs that will be repeated are hidden."""
        step = history[-1].step + 1 if history else None
        self._writer = SummaryWriter(str(self._directory), purge_step=step)
        self._model = model
        self._shows_pictures = not history

    def step_done(self, step: StepRecord) -> None:
        """Write the first batch of pictures, and now and then loss and learning rate."""
        if self._shows_pictures and isinstance(step.inputs, Tensor):
            self._shows_pictures = False
            self._show(step.inputs)
        if step.step % STEPS_BETWEEN_SCALARS == 0:
            self._scalar("step/loss", float(step.loss), step.step)
            self._scalar("step/lr", step.lr, step.step)

    def epoch_done(self, record: EpochRecord) -> None:
        """Write the losses and the metrics."""
        for name, value in record.losses.items():
            self._scalar(f"train/{name}", value, record.step)
        for name, value in record.metrics.items():
            self._scalar(f"val/{name}", value, record.step)
        self._scalar("speed/pictures_per_s", record.samples_per_s, record.step)

    def fit_ended(self, result: FitResult) -> None:
        """Write the hyper-parameters beside the best metrics, and close."""
        if self._writer is None:
            return
        metrics = {f"best/{name}": value for name, value in result.best_metrics.items()}
        # Not SummaryWriter.add_hparams: that opens a second run beside this one.
        file_writer: Any = self._writer._get_file_writer()  # type: ignore[no-untyped-call]  # torch
        for summary in hparams(self._settings, metrics):  # type: ignore[no-untyped-call]  # torch
            file_writer.add_summary(summary)
        for name, value in metrics.items():
            self._scalar(name, value, result.steps)
        self._writer.close()
        self._writer = None

    def _scalar(self, name: str, value: float, step: int) -> None:
        if self._writer is not None:
            self._writer.add_scalar(name, value, step)

    def _show(self, images: Tensor) -> None:
        if self._writer is None or self._model is None:
            return
        shown = images[:PICTURES_SHOWN].detach().round().to(torch.uint8).cpu()
        self._writer.add_images("train/first_batch", shown)
        if not self._graph:
            return
        was_training = self._model.training
        modes = {module: module.training for module in self._model.modules()}
        self._model.eval()
        try:
            with warnings.catch_warnings(), torch.no_grad():
                # Tracing warns of every Python value that it fixes: the graph is only looked at.
                warnings.simplefilter("ignore")
                self._writer.add_graph(self._model, images[:1], use_strict_trace=False)
        except RuntimeError as error:
            logger.warning("TensorBoard cannot show the graph of this network: %s", error)
        finally:
            self._model.train(was_training)
            for module, mode in modes.items():
                module.training = mode
