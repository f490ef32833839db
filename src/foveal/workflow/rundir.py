"""The paths of a run directory. See docs/architecture.md."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import final

from foveal.atomic import write_atomic
from foveal.data.names import without_archive_suffix
from foveal.destination import check_folder
from foveal.errors import BundleError, UsageError, nearest
from foveal.names import is_name
from foveal.types import JsonObject
from foveal.urls import shown
from foveal.workflow.names import located, runs

logger = logging.getLogger(__name__)

STUDY_NAME = "study.json"
"""The file by which a study of `foveal tune`, which has a recipe too, is told from a run."""

REMOTE_NAME = "remote.json"
"""The URL of a run, in a local copy of it."""

_EPOCH_FILE = re.compile(r"epoch-(\d+)\.json")


@final
@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The paths of one run, or of one fold of a run.

    Attributes:
        path: `runs/<task>/<name>`, or for a fold `folds/<number>` in it.
        main: Path of the run that this is a fold of, whose cache it shares; None for a run.
    """

    path: Path
    main: Path | None = None

    @staticmethod
    def check(out: Path, name: str) -> None:
        """Raise where no run of this name can be made in `out`.

        Raises:
            UsageError: If the name cannot be a folder's and a route's name, or `out` cannot be
                written to.
        """
        if not is_name(name):
            raise UsageError(
                f"Invalid run name {name!r}. Expected letters, digits, '.', '_', '-'.",
                hint="foveal train DATA --name first-try",
            )
        check_folder(out)

    @classmethod
    def create(cls, out: Path, task: str, name: str) -> RunDirectory:
        """Make the directory of a new run.

        A name that is taken gets the next free number: `photos`, `photos-2`, `photos-3`.

        Raises:
            UsageError: If `out` cannot be written to.
        """
        check_folder(out / task)
        number = 1
        while True:
            path = out / task / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                number += 1
                continue
            if number > 1:
                logger.info("the name %s is taken; this run is named %s", out / task / name, path)
            return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Return the existing run at `path`, or of that name.

        Raises:
            BundleError: If there is no run.
        """
        run = cls(located(path))
        if (run.path / STUDY_NAME).is_file():
            raise BundleError(
                f"{run.path} is a study of foveal tune, not a run.", hint=again(run.path)
            )
        if not run.recipe.is_file():
            near = nearest(path.name, (other.name for other in runs()))
            why = ": it has no recipe.yaml" if path.exists() else ""
            raise BundleError(
                f"There is no run at {path}{why}.", hint=f"did you mean {near}?" if near else None
            )
        return run

    def fold(self, number: int) -> RunDirectory:
        """Return the directory of a fold, counted from 1."""
        return RunDirectory(self.path / "folds" / str(number), self.path)

    @property
    def under_way(self) -> RunDirectory:
        """Return the latest training of a run that has an epoch: the run itself, or a fold."""
        folds = sorted(
            self.path.glob("folds/*/results.csv"), key=lambda path: int(path.parent.name)
        )
        if self.results.is_file() or not folds:
            return self
        return RunDirectory(folds[-1].parent, self.path)

    @property
    def is_begun(self) -> bool:
        """Whether there is a checkpoint, of the run or of one of its folds."""
        return self.checkpoints.is_dir() or any(self.path.glob("folds/*/checkpoints"))

    @property
    def place(self) -> str:
        """Return where the run is kept, for people: its URL, or else its path."""
        url = kept_at(self.path)
        return str(self.path) if url is None else shown(url)

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.path.name

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def state(self) -> Path:
        """Location of the data and state of the run, which `--resume` reads."""
        return self.path / "run.json"

    @property
    def key(self) -> Path:
        """The key that the run was begun with, if with any; see `workflow.begun`."""
        return self.path / "resume-key.txt"

    @property
    def lock(self) -> Path:
        """Locked by the process that works on the run; see `workflow.lock`."""
        return self.path / "run.lock"

    @property
    def data(self) -> str:
        """Where the data is.

        Raises:
            BundleError: If `run.json` cannot be read.
        """
        try:
            return str(json.loads(self.state.read_text(encoding="utf-8"))["data"])
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{self.state} does not say where the data is: {error!r}") from error

    @property
    def findings(self) -> Path:
        """Report of the checks."""
        return self.path / "findings.json"

    @property
    def features(self) -> Path:
        """Cached activations of a frozen backbone; deleted when the run ends."""
        return self.cache / "features"

    @property
    def split(self) -> Path:
        """The split."""
        return self.path / "split.csv"

    @property
    def results(self) -> Path:
        """A row an epoch."""
        return self.path / "results.csv"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints, from which `--resume` starts."""
        return self.path / "checkpoints"

    @property
    def bundle(self) -> Path:
        """What ships."""
        return self.path / "bundle"

    @property
    def start(self) -> Path:
        """The model that the training started from, if from any."""
        return self.path / "start"

    @property
    def before(self) -> Path:
        """The model beside the one that the training started from, on validation."""
        return self.path / "before.json"

    @property
    def draft(self) -> Path:
        """The bundle before its evaluation; deleted when the run ends."""
        return self.cache / "bundle"

    @property
    def sets(self) -> Path:
        """Return the folder of the pictures that are drawn while training goes on."""
        return self.cache / "sets"

    @property
    def cache(self) -> Path:
        """Decoded pictures; deleted when the run ends."""
        return (self.main or self.path) / "cache"

    @property
    def contact_sheet(self) -> Path:
        """Contact sheet of the network inputs."""
        return self.path / "contact_sheet.png"

    @property
    def environment(self) -> Path:
        """Versions and machine."""
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        """foveal's own log lines."""
        return self.path / "train.log"

    @property
    def watch(self) -> Path:
        """Files for `foveal watch`."""
        return self.path / "watch"

    @property
    def progress(self) -> Path:
        """Progress of a running process; see `workflow.broadcast`."""
        return self.watch / "progress.json"

    @property
    def stop_request(self) -> Path:
        """Asks a running process to stop at the end of the epoch, when it exists."""
        return self.watch / "stop"

    @property
    def pictures(self) -> Path:
        """Some validation pictures; see `workflow.watched`."""
        return self.watch / "pictures.json"

    @property
    def report(self) -> Path:
        """The evaluation of the bundle on validation, for people."""
        return self.path / "report.html"

    @property
    def metrics(self) -> Path:
        """Metrics of the bundle on validation."""
        return self.path / "metrics.json"


def kept_at(path: Path) -> str | None:
    """Return the URL behind which a run is kept that this machine has a copy of, or None."""
    return noted(path).get("url")


def note_kept_at(path: Path, url: str, **more: str) -> None:
    """Note in the copy of a run behind which URL it is kept, and more, beside what is noted."""
    write_atomic(path / REMOTE_NAME, json.dumps({**noted(path), "url": url, **more}))


def noted(path: Path) -> dict[str, str]:
    """Return what `note_kept_at` noted; nothing for a run that is kept where it is."""
    try:
        found: dict[str, str] = json.loads((path / REMOTE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def answered_epochs(run: RunDirectory) -> dict[int, Path]:
    """Return epoch → the file with its answers to the pictures that are watched, in order."""
    found = ((_EPOCH_FILE.fullmatch(path.name), path) for path in run.watch.glob("epoch-*.json"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def default_name(location: str) -> str:
    """Return a run name for a source: the last part of its location, made safe."""
    path = location.partition("?")[0].rstrip("/\\").replace("\\", "/")
    stem = without_archive_suffix(path.rsplit("/", 1)[-1].rsplit("://", 1)[-1])
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")
    return safe[:48] or "run"


def write_json(path: Path, value: JsonObject) -> None:
    """Write a JSON file whole or not at all."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False), durable=True)


def again(path: Path) -> str:
    """Return the command that continues the run, or the study, in a folder or its copy."""
    verb = "tune" if (path / STUDY_NAME).is_file() else "train"
    return f"foveal {verb} --resume {shown(kept_at(path) or path)}"
