"""Runs at a URL, which are trained in a local folder and mirrored.

The folder is in the user's cache, under a digest of the URL; `remote.json` in it says where the
run is kept. Everything goes up but what can be made again (`cache/`).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import final

from foveal.destination import cache_directory
from foveal.errors import BundleError, RemoteError, TrainingInterrupted
from foveal.mirror import read_state
from foveal.remote import open_url
from foveal.urls import MANIFEST_NAME, below, is_url, local_path, shown
from foveal.workflow.keeper import Keeper, bring
from foveal.workflow.lease import Lease
from foveal.workflow.lock import working_on
from foveal.workflow.rundir import REMOTE_NAME, RunDirectory, kept_at, note_kept_at

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True)
class Runs:
    """The location of runs.

    Attributes:
        folder: A folder on this machine.
        url: Where they are kept; None where that is the folder.
    """

    folder: Path
    url: str | None

    @classmethod
    def at(cls, out: str | Path) -> Runs:
        """Return the place that a path or an fsspec URL names."""
        if not is_url(out):
            return cls(local_path(out), None)
        url = str(out).rstrip("/")
        open_url(url)
        return cls(_folder_of(url), url)

    def create(self, task: str, name: str) -> RunDirectory:
        """Make the directory of a new run; a name that is taken gets the next free number.

        Raises:
            RemoteError: If the URL cannot be written to.
            UsageError: If the folder cannot be written to.
        """
        if self.url is None:
            return RunDirectory.create(self.folder, task, name)
        for number in count(1):
            numbered = name if number == 1 else f"{name}-{number}"
            path, url = self.folder / task / numbered, below(self.url, task, numbered)
            remote = open_url(url)
            if path.exists() or remote.kind(MANIFEST_NAME) != "missing":
                continue
            lease = Lease(remote, path)
            if lease.claim():
                break
        path.mkdir(parents=True)
        note_kept_at(path, url, lease=lease.id)
        if number > 1:
            logger.info("the name %s is taken; this run is named %s", name, shown(url))
        return RunDirectory(path)


def at_hand(location: str | Path) -> Path:
    """Return the folder of this machine in which a run can go on; one at a URL is fetched.

    What this machine already has of it stays where the URL has nothing newer.

    Raises:
        BundleError: If there is no such run.
        RemoteError: If it cannot be fetched.
        UsageError: If another process of this machine works on it.
    """
    if not is_url(location):
        return Path(location)
    url = str(location).rstrip("/")
    out, task, name = url.rsplit("/", 2)
    path = _folder_of(out) / task / name
    remote = open_url(url)
    state = read_state(remote)
    if state is None:
        raise BundleError(
            f"There is no run at {shown(url)}: it has no {MANIFEST_NAME}.",
            hint=f"foveal train DATA --out {shown(out)}",
        )
    path.mkdir(parents=True, exist_ok=True)
    with working_on(RunDirectory(path)):
        bring(url, path, state=state, stays=stays)
    return path


@contextmanager
def kept(run: RunDirectory, *, is_new: bool = False) -> Iterator[None]:
    """Bring a run to its URL in the background while it is worked on, and whole at the end.

    A run that has none is left alone. Enter it with the run locked.

    Args:
        run: The run.
        is_new: Whether it was made for this work: then nothing is left of it when it fails early.

    Raises:
        RemoteError: If it cannot be brought there in the end; it stays on this machine.
        UsageError: `run_busy` when another machine works on it.
    """
    url = kept_at(run.path)
    if url is None:
        yield
        return
    keeper = Keeper(_Run(run), open_url(url))
    keeper.begin(is_new=is_new)
    try:
        yield
    except BaseException as error:
        keeper.end()
        if keeper.is_lost:
            raise keeper.lease.busy() from error
        if not run.path.exists():
            keeper.remote.delete(recursive=True)
            raise
        with no_worse(url):
            keeper.finish()
        if isinstance(error, TrainingInterrupted):
            raise TrainingInterrupted(shown(url)) from error
        raise
    keeper.end()
    try:
        keeper.finish()
    except RemoteError as error:
        raise RemoteError(
            f"The run is complete in {run.path}, but could not be copied to {shown(url)}: "
            f"{error.why}.",
            hint=f"foveal train --resume {shown(url)}",
            code=error.error_code,
        ) from error


@final
class _Run:
    """A run that is mirrored to a URL.

    Args:
        run: The run.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._run.path

    @property
    def stop_request(self) -> Path:
        """Asks for the end of the epoch."""
        return self._run.stop_request

    def stays(self, name: str) -> bool:
        """Return whether a file stays on this machine."""
        return stays(name)

    def is_fixed(self, name: str) -> bool:
        """Return whether a file never changes once it is there."""
        return name.startswith(("checkpoints/", "bundle/", "start/")) or "/checkpoints/" in name

    def has_begun(self) -> bool:
        """Return whether the pictures were looked at."""
        return self._run.findings.is_file()

    def marks(self) -> frozenset[str]:
        """Return the names of the checkpoints, also of folds."""
        path = self._run.path
        found = chain(
            path.glob("checkpoints/checkpoint-*"), path.glob("folds/*/checkpoints/checkpoint-*")
        )
        return frozenset(one.relative_to(path).as_posix() for one in found)

    def is_done(self) -> bool:
        """Return whether the training has ended."""
        try:
            state = json.loads(self._run.state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return state.get("status") in ("done", "interrupted")


def stays(name: str) -> bool:
    """Return whether a file of a run stays on this machine."""
    return name.split("/")[0] in ("cache", "run.lock", REMOTE_NAME) or name == "watch/stop"


@contextmanager
def no_worse(url: str) -> Iterator[None]:
    """Say what failed at a URL where something else matters more."""
    try:
        yield
    except (RemoteError, FileNotFoundError) as error:
        logger.warning("%s is not up to date: %s", shown(url), error)


def _folder_of(out: str) -> Path:
    return cache_directory() / "runs" / digest_of_url(out)


def digest_of_url(url: str) -> str:
    """Return the name of the folder of a URL in the cache."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]
