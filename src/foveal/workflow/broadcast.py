"""Exchange progress and stop requests through the run directory."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import final

from foveal.atomic import write_atomic
from foveal.console import Progress
from foveal.types import JsonObject
from foveal.workflow.rundir import RunDirectory

logger = logging.getLogger(__name__)

# Often enough for a page that is looked at, and for a stop that is waited for.
BEAT_S = 1.0


@final
class Broadcast:
    """A `Progress` that forwards reports, and writes the latest to `watch/progress.json`.

    A thread writes the file once a second while the process lives, even when nothing is reported:
    a file that grows old says that the process has died. The same thread looks for the request to
    stop. The file is removed at the end. Enter it around the whole run.

    Args:
        progress: Draws the progress in this process.
        run: The run that is worked on.
    """

    def __init__(self, progress: Progress, run: RunDirectory) -> None:
        self._progress = progress
        self._run = run
        self._shown: JsonObject = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="foveal-broadcast", daemon=True)
        self._on_stop: Callable[[], None] | None = None
        self._is_asked = False

    def __enter__(self) -> Broadcast:
        """Forget a request that an earlier process did not live to hear, and start."""
        self._run.watch.mkdir(exist_ok=True)
        self._run.stop_request.unlink(missing_ok=True)
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the thread and remove what only a running process has."""
        self._ended.set()
        self._thread.join()
        self._run.progress.unlink(missing_ok=True)
        self._run.stop_request.unlink(missing_ok=True)

    def when_asked_to_stop(self, action: Callable[[], None]) -> None:
        """Call `action`, from another thread, once the run is asked to stop."""
        self._on_stop = action

    def start(self, title: str, total: int | None) -> None:
        """Begin a task of `total` steps; None if the number is unknown."""
        self._progress.start(title, total)
        self._shown = {"title": title, "total": total, "done": 0, "fields": {}}

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Report that `done` steps are finished so far, with named values to show."""
        self._progress.update(done, fields)
        known = self._shown.get("fields", {}) if fields is None else dict(fields)
        self._shown = {**self._shown, "done": done, "fields": known}

    def finish(self) -> None:
        """End the current task."""
        self._progress.finish()
        self._shown = {}

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                self._write()
            except OSError as error:
                # A full disk ends the training by itself; nobody needs to watch for that.
                logger.debug("cannot write the progress: %s", error)
            if not self._is_asked and self._on_stop and self._run.stop_request.exists():
                self._is_asked = True
                logger.info("asked to stop at the end of the epoch")
                self._on_stop()

    def _write(self) -> None:
        value = {**self._shown, "at": time.time(), "stopping": self._is_asked}
        write_atomic(self._run.progress, json.dumps(value))
