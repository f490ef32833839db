"""The elapsed time of a study, over all commands."""

from __future__ import annotations

import json
import threading
import time
from typing import final

from foveal.tune.folder import StudyFolder

# How much of the budget a killed command may not have counted.
_BEAT_S = 2.0


@final
class Clock:
    """Counts the seconds of a study, which a thread saves while the command runs.

    Args:
        folder: The study.
        begun_s: When the command began, by `time.monotonic`.
    """

    def __init__(self, folder: StudyFolder, begun_s: float) -> None:
        self._folder = folder
        self._begun_s = begun_s
        self._before_s = _read(folder)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="foveal-tune-clock", daemon=True)

    @property
    def seconds(self) -> float:
        """Return how long the study has taken."""
        return self._before_s + time.monotonic() - self._begun_s

    def __enter__(self) -> Clock:
        """Start to write."""
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write for the last time."""
        self._ended.set()
        self._thread.join()
        self._write()

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_S):
            self._write()

    def _write(self) -> None:
        self._folder.write(self._folder.spent, {"seconds": round(self.seconds, 3)})


def _read(folder: StudyFolder) -> float:
    try:
        return float(json.loads(folder.spent.read_text(encoding="utf-8"))["seconds"])
    except FileNotFoundError:
        return 0.0
