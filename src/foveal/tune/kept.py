"""Studies at a URL, which run in a local folder and are mirrored.

Everything goes up but decoded pictures and locks; see `foveal.workflow.keeper`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from foveal.errors import BundleError, RemoteError
from foveal.remote import open_url
from foveal.tune.folder import StudyFolder
from foveal.urls import MANIFEST_NAME, below, is_url, shown
from foveal.workflow.keeper import Keeper, bring
from foveal.workflow.remote_run import Runs
from foveal.workflow.rundir import REMOTE_NAME, kept_at, note_kept_at

FOLDER = "tune"
"""Of the studies, among the runs."""


def place_for(runs: Runs, task: str, name: str) -> StudyFolder:
    """Return the folder of a study of that name, synchronised with its URL if it has one.

    Raises:
        RemoteError: If it cannot be fetched.
    """
    folder = StudyFolder(runs.folder / FOLDER / task / name)
    folder.path.mkdir(parents=True, exist_ok=True)
    if runs.url is not None:
        url = below(runs.url, FOLDER, task, name)
        with folder.working():
            bring(url, folder.path, state=None, stays=stays)
            note_kept_at(folder.path, url)
    return folder


def study_at(url: str) -> StudyFolder:
    """Return the study at a URL, fetched.

    Raises:
        BundleError: If there is none.
        RemoteError: If it cannot be fetched.
    """
    parts = url.rstrip("/").rsplit("/", 3)
    is_study = len(parts) == 4 and parts[1] == FOLDER and "://" in parts[0]
    if not is_study or open_url(url.rstrip("/")).kind(MANIFEST_NAME) == "missing":
        raise BundleError(
            f"There is no study at {shown(url)}.",
            hint="foveal tune DATA --budget 1h --out URL",
            code="study_missing",
        )
    return place_for(Runs.at(parts[0]), parts[2], parts[3])


@contextmanager
def kept(folder: StudyFolder) -> Iterator[None]:
    """Bring a study to its URL while it is worked on, and whole at the end.

    One that has none is left alone. Enter it with the study locked.

    Raises:
        RemoteError: If it cannot be brought there in the end; it stays on this machine.
        UsageError: `run_busy` when another machine works on it.
    """
    url = kept_at(folder.path)
    if url is None:
        yield
        return
    keeper = Keeper(_Study(folder), open_url(url))
    keeper.begin(is_new=False)
    try:
        yield
    finally:
        keeper.end()
        if not keeper.is_lost:
            _finish(keeper, folder, url)
    if keeper.is_lost:
        raise keeper.lease.busy()


def _finish(keeper: Keeper, folder: StudyFolder, url: str) -> None:
    try:
        keeper.finish()
    except RemoteError as error:
        raise RemoteError(
            f"The study is complete in {folder.path}, but could not be copied to {shown(url)}: "
            f"{error.why}.",
            hint=f"foveal tune --resume {shown(url)}",
            code=error.error_code,
        ) from error


def stays(name: str) -> bool:
    """Return whether a file of a study stays on this machine."""
    parts = name.split("/")
    return parts[0] in ("decoded", REMOTE_NAME) or "cache" in parts or name.endswith(".lock")


def located(study: str | Path) -> StudyFolder:
    """Return the study at a path or URL, or of a name in `runs/tune`.

    Raises:
        BundleError: If there is none at the URL.
        RemoteError: If it cannot be fetched.
    """
    if is_url(study):
        return study_at(str(study))
    path = Path(study)
    if not path.exists() and len(path.parts) == 1:
        found = sorted(Path("runs").glob(f"{FOLDER}/*/{path.name}"))
        path = found[0] if len(found) == 1 else path
    return StudyFolder(path)


@final
class _Study:
    """A study that is mirrored to a URL."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder

    @property
    def path(self) -> Path:
        """The folder of the study."""
        return self._folder.path

    @property
    def stop_request(self) -> Path:
        """Nobody looks for it: a study is stopped where it runs."""
        return self._folder.path / "stop"

    def stays(self, name: str) -> bool:
        """Return whether a file stays on this machine."""
        return stays(name)

    def is_fixed(self, name: str) -> bool:
        """Return whether a file never changes once it is there."""
        return "checkpoints" in name.split("/") or "bundle" in name.split("/")

    def has_begun(self) -> bool:
        """Return whether pictures are decoded and split."""
        return self._folder.about.is_file()

    def marks(self) -> frozenset[str]:
        """Return what is done: a trial that was judged, a training of the comparison."""
        done = [path.name for path in (self.path / "compared").glob("*.json")]
        journal = self._folder.journal
        size = journal.stat().st_size if journal.is_file() else 0
        return frozenset((*done, str(size)))

    def is_done(self) -> bool:
        """Return whether the study has ended."""
        try:
            result = json.loads(self._folder.result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return not result["interrupted"]
