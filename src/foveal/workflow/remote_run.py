"""Runs behind a URL: worked on in a folder of this machine, and brought there as they go on.

The folder is in the user's cache, under a digest of the URL; `remote.json` in it says where the
run is kept. Everything goes up but what can be made again (`cache/`).
"""

from __future__ import annotations

import _thread
import hashlib
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import final

from foveal.destination import cache_directory
from foveal.errors import BundleError, RemoteError, TrainingInterrupted
from foveal.mirror import Upload, read_state, sweep, sync_down
from foveal.remote import Remote, open_url
from foveal.urls import MANIFEST_NAME, below, is_url, local_path, shown
from foveal.workflow.lease import RENEW_S, Lease
from foveal.workflow.lock import working_on
from foveal.workflow.rundir import REMOTE_NAME, RunDirectory, kept_at, note_kept_at, noted

logger = logging.getLogger(__name__)

STOP_NAME = "foveal.stop"
# How often the folder is looked at for a new checkpoint, and how old the log behind the URL gets.
LOOK_S = 1.0
SEND_S = 30.0


@final
@dataclass(frozen=True, slots=True)
class Runs:
    """Where runs are made.

    Attributes:
        folder: On this machine.
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
            RemoteError: When the URL cannot be written to.
            UsageError: When the folder cannot be written to.
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
            logger.info("there is a run %s already: this one is %s", name, shown(url))
        return RunDirectory(path)


def at_hand(location: str | Path) -> Path:
    """Return the folder of this machine in which a run can go on; one at a URL is fetched.

    What this machine already has of it stays where the URL has nothing newer.

    Raises:
        BundleError: When there is no such run.
        RemoteError: When it cannot be fetched.
        UsageError: When another process of this machine works on it.
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
        if noted(path).get("state") != state.digest:
            logger.info("fetching the run %s", shown(url))
            state = sync_down(url, path, keeps=stays)
            note_kept_at(path, url, state=state.digest)
    return path


@contextmanager
def kept(run: RunDirectory, *, is_new: bool = False) -> Iterator[None]:
    """Bring a run behind its URL in the background while it is worked on, and whole at the end.

    A run that has none is left alone. Enter it with the run locked.

    Args:
        run: The run.
        is_new: Whether it was made for this work: then nothing is left of it when it fails early.

    Raises:
        RemoteError: When it cannot be brought there in the end; it stays on this machine.
        UsageError: `run_busy` when another machine works on it.
    """
    url = kept_at(run.path)
    if url is None:
        yield
        return
    keeper = _Keeper(run, open_url(url))
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
            f"The run is whole in {run.path}, but did not get to {shown(url)}: {error.why}.",
            hint=f"foveal train --resume {shown(url)}",
            code=error.error_code,
        ) from error


@final
class _Keeper:
    """The thread that brings a run behind its URL.

    Args:
        run: The run.
        remote: Its URL.
    """

    def __init__(self, run: RunDirectory, remote: Remote) -> None:
        self.run = run
        self.remote = remote
        self.lease = Lease(remote, run.path)
        # Of a new run it is taken already, with the name.
        self.lease.id = noted(run.path).get("lease", self.lease.id)
        self.is_lost = False
        self._upload = Upload(run.path, remote, skips=stays, is_fixed=_is_fixed)
        self._ended = Event()
        self._thread = Thread(target=self._work, name="foveal-keeper", daemon=True)
        self._sent: set[str] = set()

    def begin(self, *, is_new: bool) -> None:
        """Take the run and start the thread."""
        if not is_new:
            self.lease.take()
            sweep(self.remote)
        self._thread.start()

    def end(self) -> None:
        """Stop the thread; what it does is finished first."""
        self._ended.set()
        self._thread.join()

    def finish(self) -> None:
        """Send the last state, under the files' own names where the run has ended, and let go."""
        self._send(final=self._is_done())
        # What attempts left that did not get as far as a manifest.
        sweep(self.remote)
        self.lease.release()

    def _is_done(self) -> bool:
        try:
            state = json.loads(self.run.state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return state.get("status") in ("done", "interrupted")

    def _work(self) -> None:
        renewed = sent = time.monotonic()
        while not self._ended.wait(LOOK_S):
            now = time.monotonic()
            try:
                if now - renewed > RENEW_S:
                    renewed = now
                    self._renew()
                names = self._checkpoints()
                # What is written before that is written again by whoever goes on.
                if self.run.findings.is_file() and (names - self._sent or now - sent > SEND_S):
                    sent = now
                    self._send()
                    self._sent = names
            except RemoteError as error:
                sent = now
                logger.warning("%s The training goes on; it is tried again.", error.message)
            if self.is_lost:
                _thread.interrupt_main()
                return

    def _checkpoints(self) -> set[str]:
        if not self.run.checkpoints.is_dir():
            return set()
        return {path.name for path in self.run.checkpoints.glob("checkpoint-*")}

    def _renew(self) -> None:
        self.is_lost = not self.lease.renew()
        if self.remote.kind(STOP_NAME) == "file":
            self.run.stop_request.touch()
            self.remote.delete(STOP_NAME)

    def _send(self, *, final: bool = False) -> None:
        state = self._upload.send(final=final, is_ours=self.lease.is_ours)
        if state is None:
            self.is_lost = True
        else:
            note_kept_at(self.run.path, self.remote.url, lease=self.lease.id, state=state.digest)


def stays(name: str) -> bool:
    """Tell whether a file of a run stays on this machine."""
    return name.split("/")[0] in ("cache", "run.lock", REMOTE_NAME) or name == "watch/stop"


def _is_fixed(name: str) -> bool:
    return name.startswith(("checkpoints/", "bundle/", "start/"))


@contextmanager
def no_worse(url: str) -> Iterator[None]:
    """Say what failed behind a URL where something else matters more."""
    try:
        yield
    except (RemoteError, FileNotFoundError) as error:
        logger.warning("%s is not up to date: %s", shown(url), error)


def _folder_of(out: str) -> Path:
    return cache_directory() / "runs" / digest_of_url(out)


def digest_of_url(url: str) -> str:
    """Return the name of the folder of a URL in the cache."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]
