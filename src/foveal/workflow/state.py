"""The state of a run in `run.json`, which `--resume` reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from torch import nn

from foveal.bundle.bundle import MANIFEST_NAME
from foveal.errors import BundleError, reason
from foveal.synth import is_synth
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord
from foveal.types import JsonObject
from foveal.workflow.rundir import RunDirectory, write_json


def write_state(run: RunDirectory, data: str, extensions: tuple[int, ...], **more: Any) -> None:
    """Write it whole or not at all; `more` is what the end of the fit adds."""
    write_json(
        run.state,
        {"data": _place(data), "extensions": list(extensions), "status": "running", **more},
    )


def move_data(run: RunDirectory, data: str) -> None:
    """Write where the pictures are by now; all else stays, as that the run is finished."""
    write_json(run.state, {**read_state(run), "data": _place(data)})


def _place(data: str) -> str:
    # Absolute, so that the run can be resumed from another working directory.
    return data if "://" in data or is_synth(data) else str(Path(data).resolve())


def read_state(run: RunDirectory) -> JsonObject:
    """Return what `write_state` wrote; a finished run without its bundle counts as running.

    Raises:
        BundleError: If it cannot be read.
    """
    try:
        state: JsonObject = json.loads(run.state.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(
            f"The run {run.path} cannot be resumed. {run.state.name}: {reason(error)}."
        ) from error
    if state["status"] == "done" and not (run.bundle / MANIFEST_NAME).is_file():
        return {**state, "status": "running"}
    return state


@final
class Begun:
    """Writes that a run is under way, with what it is extended by.

    Heard once everything is open: a run whose extension cannot start stays finished as it was.
    """

    def __init__(self, run: RunDirectory, extensions: tuple[int, ...]) -> None:
        self._run = run
        self._extensions = extensions

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        """Write it, before the first step and its checkpoint."""
        write_state(self._run, read_state(self._run)["data"], self._extensions)

    def step_done(self, step: StepRecord) -> None:
        """Ignore."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Ignore."""

    def fit_ended(self, result: FitResult) -> None:
        """Ignore."""
