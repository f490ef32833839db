"""Mirror a folder to its URL in a thread while it is being changed."""

from __future__ import annotations

import _thread
import logging
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Protocol, final

from foveal.errors import RemoteError
from foveal.mirror import State, Upload, read_state, sweep, sync_down
from foveal.remote import Remote, open_url
from foveal.urls import shown
from foveal.workflow.lease import RENEW_S, Lease
from foveal.workflow.rundir import note_kept_at, noted

logger = logging.getLogger(__name__)

STOP_NAME = "foveal.stop"
# How often the folder is looked at for something to send at once, and how old all else gets.
LOOK_S = 1.0
SEND_S = 30.0


class Mirrored(Protocol):
    """A local folder mirrored to a URL: a run or a study."""

    @property
    def path(self) -> Path:
        """The folder."""

    @property
    def stop_request(self) -> Path:
        """The file that requests a stop."""

    def stays(self, name: str) -> bool:
        """Return whether a file stays on this machine."""

    def is_fixed(self, name: str) -> bool:
        """Return whether a file never changes once it is there."""

    def has_begun(self) -> bool:
        """Return whether there is anything that another machine would not do again."""

    def marks(self) -> frozenset[str]:
        """Return what makes the folder be sent at once when there is another."""

    def is_done(self) -> bool:
        """Return whether it has ended, so that every file gets its own name."""


@final
class Keeper:
    """The thread that mirrors a folder to its URL.

    Args:
        work: Folder to mirror.
        remote: Storage at the URL.
    """

    def __init__(self, work: Mirrored, remote: Remote) -> None:
        self.work = work
        self.remote = remote
        self.lease = Lease(remote, work.path)
        # Of a new run it is taken already, with the name.
        self.lease.id = noted(work.path).get("lease", self.lease.id)
        self.is_lost = False
        self._upload = Upload(work.path, remote, skips=work.stays, is_fixed=work.is_fixed)
        self._ended = Event()
        self._thread = Thread(target=self._work, name="foveal-keeper", daemon=True)
        self._sent: frozenset[str] = frozenset()

    def begin(self, *, is_new: bool) -> None:
        """Take the lease and start the thread."""
        if not is_new:
            self.lease.take()
            sweep(self.remote)
        self._thread.start()

    def end(self) -> None:
        """Stop the thread; what it does is finished first."""
        self._ended.set()
        self._thread.join()

    def finish(self) -> None:
        """Send the last state, under the files' own names where the work has ended, and let go."""
        self._send(final=self.work.is_done())
        # What attempts left that did not get as far as a manifest.
        sweep(self.remote)
        self.lease.release()

    def _work(self) -> None:
        renewed = sent = time.monotonic()
        while not self._ended.wait(LOOK_S):
            now = time.monotonic()
            try:
                if now - renewed > RENEW_S:
                    renewed = now
                    self._renew()
                marks = self.work.marks()
                # What is written before that is written again by whoever goes on.
                if self.work.has_begun() and (marks - self._sent or now - sent > SEND_S):
                    sent = now
                    self._send()
                    self._sent = marks
            except RemoteError as error:
                sent = now
                logger.warning(
                    "%s The training continues; the copy will be retried.", error.message
                )
            if self.is_lost:
                _thread.interrupt_main()
                return

    def _renew(self) -> None:
        self.is_lost = not self.lease.renew()
        if self.remote.kind(STOP_NAME) == "file":
            self.work.stop_request.touch()
            self.remote.delete(STOP_NAME)

    def _send(self, *, final: bool = False) -> None:
        state = self._upload.send(final=final, is_ours=self.lease.is_ours)
        if state is None:
            self.is_lost = True
        else:
            note_kept_at(self.work.path, self.remote.url, lease=self.lease.id, state=state.digest)


def bring(url: str, path: Path, *, state: State | None, stays: Callable[[str], bool]) -> None:
    """Bring what is at a URL to a folder, where that has another state; its lock is held.

    What this machine already has of it stays where the URL has nothing newer.

    Args:
        url: Where it is kept.
        path: The folder.
        state: State at the URL; None asks for it.
        stays: Tells which files are of this machine alone.

    Raises:
        RemoteError: If it cannot be fetched.
    """
    state = state or read_state(open_url(url))
    if state is not None and noted(path).get("state") != state.digest:
        logger.info("fetching %s", shown(url))
        state = sync_down(url, path, keeps=stays)
        note_kept_at(path, url, state=state.digest)
