"""The folder of a study: its paths, and the original settings."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from foveal.atomic import owned, write_atomic
from foveal.errors import BundleError, UsageError
from foveal.types import JsonObject
from foveal.urls import shown
from foveal.workflow.rundir import STUDY_NAME, RunDirectory, kept_at

SCHEMA_VERSION = 1


@final
@dataclass(frozen=True, slots=True)
class StudyFolder:
    """The paths of a study; `path` is `runs/tune/<task>/<name>`."""

    path: Path

    @property
    def place(self) -> str:
        """Location of the study for messages: its URL, or else its path."""
        url = kept_at(self.path)
        return str(self.path) if url is None else shown(url)

    @property
    def about(self) -> Path:
        """Original settings of the study; written last, so it marks a complete study."""
        return self.path / STUDY_NAME

    @property
    def given(self) -> Path:
        """The recipe as it was given."""
        return self.path / "given.yaml"

    @property
    def space(self) -> Path:
        """The search space, for people."""
        return self.path / "space.yaml"

    @property
    def journal(self) -> Path:
        """All trials, in Optuna's journal."""
        return self.path / "journal.log"

    @property
    def lock(self) -> Path:
        """Locked by the command that works on the study."""
        return self.path / "study.lock"

    @property
    def picking(self) -> Path:
        """Locked while a worker chooses what to do next."""
        return self.path / "picking.lock"

    @property
    def spent(self) -> Path:
        """Seconds that the study has taken so far."""
        return self.path / "spent.json"

    @property
    def fixed(self) -> RunDirectory:
        """Data shared by all trials: the split and the check report."""
        return RunDirectory(self.path / "fixed")

    @property
    def decoded(self) -> Path:
        """Decoded pictures, a folder for each pre-processing that was tried."""
        return self.path / "decoded"

    @property
    def log(self) -> Path:
        """The log lines of workers that are processes of their own."""
        return self.path / "workers.log"

    @property
    def chosen(self) -> Path:
        """The trial that is compared with the default recipe, after the search."""
        return self.path / "chosen.json"

    @property
    def recipe(self) -> Path:
        """The recipe that came out."""
        return self.path / "recipe.yaml"

    @property
    def bundle(self) -> Path:
        """A model trained by the recipe that came out."""
        return self.path / "bundle"

    @property
    def table(self) -> Path:
        """A row for each trial."""
        return self.path / "trials.csv"

    @property
    def report(self) -> Path:
        """The result, for people."""
        return self.path / "report.html"

    @property
    def result(self) -> Path:
        """The result, for programs."""
        return self.path / "result.json"

    def trial(self, number: int) -> RunDirectory:
        """Return where a trial is trained."""
        return RunDirectory(self.path / "trials" / f"{number:04d}")

    def comparison(self, name: str) -> RunDirectory:
        """Return where a training of the comparison lies, such as `default-1`."""
        return RunDirectory(self.path / "compared" / name)

    def compared(self, name: str) -> Path:
        """Return the file that says that such a training is done, and how long it took."""
        return self.path / "compared" / f"{name}.json"

    def read_about(self) -> JsonObject:
        """Return what the study was begun with.

        Raises:
            BundleError: If there is no study.
        """
        try:
            about: JsonObject = json.loads(self.about.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(
                f"There is no study at {self.path}: {self.about.name} cannot be read.",
                hint="foveal tune DATA --budget 1h",
                code="study_missing",
            ) from error
        return about

    def write(self, path: Path, value: JsonObject) -> None:
        """Write a JSON file of the study whole or not at all."""
        write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False), durable=True)

    def working(self) -> AbstractContextManager[None]:
        """Keep other commands from working on the study too; ends with the process.

        Raises:
            UsageError: `study_busy` when another one works on it.
        """

        def busy(other: str) -> UsageError:
            return UsageError(
                f"Another process (process id {other}) is working on the study {self.place}.",
                hint="wait for it, or choose another --name; --workers N lets several processes "
                "share a study",
                code="study_busy",
            )

        return owned(self.lock, busy)
