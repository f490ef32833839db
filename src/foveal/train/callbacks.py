"""Callbacks of a fit: the protocol, `results.csv` and the progress report."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from torch import nn

from foveal.atomic import write_atomic
from foveal.console import Progress
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord

# Drawing more often is not seen and reading the loss waits for the device.
REPORT_EVERY_S = 0.25


class Callback(Protocol):
    """Interface of callbacks; they must not change the model."""

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        """Before the first step; `history` is not empty when a run is resumed."""

    def step_done(self, step: StepRecord) -> None:
        """After every optimizer step."""

    def epoch_done(self, record: EpochRecord) -> None:
        """After the validation of an epoch."""

    def fit_ended(self, result: FitResult) -> None:
        """After the last step; the model holds the best weights."""


class ResultsCsv:
    """Writes `results.csv`, one row per epoch.

    The file is replaced whole after every epoch: it is never half a row, and after a resume it
    holds each epoch once.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: list[EpochRecord] = []

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        """Start from the epochs of the run that is resumed."""
        self._records = list(history)

    def step_done(self, step: StepRecord) -> None:
        """Ignore."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Add a row."""
        self._records.append(record)
        write_atomic(self._path, results_table(self._records))

    def fit_ended(self, result: FitResult) -> None:
        """Ignore."""


def results_table(records: Sequence[EpochRecord]) -> str:
    """Return the records as CSV: losses as `train_<name>`, metrics as `val_<name>`."""
    rows = [
        {
            "epoch": record.epoch,
            "stage": record.stage,
            "step": record.step,
            "lr": f"{record.lr:.6g}",
            "seconds": f"{record.seconds:.3f}",
            "pictures_per_s": f"{record.samples_per_s:.1f}",
            **{f"train_{name}": f"{value:.6g}" for name, value in record.losses.items()},
            **{f"val_{name}": f"{value:.6g}" for name, value in record.metrics.items()},
            "best": int(record.is_best),
        }
        for record in records
    ]
    # Stages may differ in their losses: the columns are those of all rows, in order of appearance.
    columns = list(dict.fromkeys(name for row in rows for name in row if name != "best"))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*columns, "best"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


class ProgressReport:
    """Reports each stage to a `Progress`: loss, metric, pictures per second, time left.

    Args:
        progress: Progress to report to.
        metric: The validation metric to show.
        clock: Seconds; replaced in tests.
    """

    def __init__(
        self, progress: Progress, metric: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._progress = progress
        self._metric = metric
        self._clock = clock
        self._stage: str | None = None
        self._last: StepRecord | None = None
        self._shown_s = 0.0
        self._samples = 0
        self._rate = ""
        self._value = ""

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        """Show the metric of the run that is resumed."""
        if history:
            self._note(history[-1])

    def step_done(self, step: StepRecord) -> None:
        """Report when the last report is old enough."""
        if step.stage != self._stage:
            self._close()
            self._open(step.stage)
        self._last = step
        self._samples += step.samples
        now = self._clock()
        if now - self._shown_s < REPORT_EVERY_S:
            return
        self._rate = f"{self._samples / (now - self._shown_s):.0f}/s"
        self._shown_s, self._samples = now, 0
        self._report(step)

    def _report(self, step: StepRecord) -> None:
        fields = {"epoch": str(step.epoch), "loss": f"{float(step.loss):.3f}"}
        if self._value:
            fields[self._metric] = self._value
        if self._rate:
            fields["rate"] = self._rate
        if step.left_s is not None:
            fields["left"] = format_seconds(step.left_s)
        self._progress.update(round(step.progress * 1000), fields)

    def epoch_done(self, record: EpochRecord) -> None:
        """Keep the metric for the next report."""
        self._note(record)
        # The validation is not counted into the rate.
        self._shown_s, self._samples = self._clock(), 0

    def fit_ended(self, result: FitResult) -> None:
        """Close the last stage."""
        self._close()

    def _close(self) -> None:
        """Leave the bar of a stage where its last step was, however soon that came."""
        if self._last is not None:
            self._report(self._last)
            self._progress.finish()
        self._stage = self._last = None

    def _open(self, stage: str) -> None:
        self._stage = stage
        self._shown_s, self._samples = self._clock(), 0
        # Thousandths: under a budget the number of steps is not known beforehand.
        self._progress.start(f"train ({stage})", 1000)

    def _note(self, record: EpochRecord) -> None:
        if self._metric in record.metrics:
            self._value = f"{record.metrics[self._metric]:.3f}"


def format_seconds(seconds: float) -> str:
    """Return `1:02:03` or `2:03`."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
