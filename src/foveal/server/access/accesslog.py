"""The access log: one JSON line per finished request.

It says who asked what and what became of it, and never has the key, the picture, the name of a file
or what stood in the query. Lines are written by a thread, so that a slow disk holds up no request;
those of the last tenth of a second are lost when the process is killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import orjson

from foveal.errors import UsageError

logger = logging.getLogger(__name__)

STDOUT = "-"
_STDOUT_FILE = 1
_EVERY_S = 0.1
# A disk that is this far behind will not catch up: memory matters more. 20 MB of lines.
_MOST_WAITING = 100_000


@final
class AccessLog:
    """Appends lines to a file, and reopens it if it is renamed or removed.

    Several processes may write to the same file; a line is never broken up.

    Args:
        target: Path of the file, or `-` for standard output.

    Raises:
        UsageError: If the file cannot be written.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._failing = False
        # A process that was killed, or a full disk, leaves the beginning of a line.
        self._may_be_torn = True
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._file = self._open()
        self._thread = threading.Thread(target=self._write_on, name="foveal-access-log")
        self._thread.daemon = True
        self._thread.start()

    def add(self, entry: dict[str, Any]) -> None:
        """Queue a line. Called on the event loop; never blocks."""
        if len(self._waiting) >= _MOST_WAITING:
            self._dropped += 1
        else:
            self._waiting.append(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Write what is waiting, and end the thread."""
        self._ended.set()
        self._thread.join()
        if self._target != STDOUT:
            os.close(self._file)

    def flush(self) -> None:
        """Write what is waiting."""
        with self._writing:
            self._write()

    def _write_on(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.flush()
        self.flush()

    def _write(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        dropped = self._dropped
        if dropped:
            lines.insert(0, orjson.dumps({"dropped": dropped}) + b"\n")
            self._dropped -= dropped
        if not lines:
            return
        left = memoryview(b"".join(lines))
        try:
            self._follow()
            if self._may_be_torn and self._ends_within_line():
                os.write(self._file, b"\n")
            while left:
                left = left[os.write(self._file, left) :]
            self._failing = self._may_be_torn = False
        except OSError as error:
            # Said once: the server goes on, and so does the next attempt.
            if not self._failing:
                logger.error("the access log cannot be written: %s", error.strerror)
            self._failing = self._may_be_torn = True
            lost = bytes(left).count(b"\n")
            is_count_lost = dropped > 0 and lost == len(lines)
            self._dropped += lost + dropped - 1 if is_count_lost else lost

    def _ends_within_line(self) -> bool:
        """Return whether the file ends within a line, which what is added would become part of."""
        if self._target == STDOUT:
            return False
        with contextlib.suppress(OSError), Path(self._target).open("rb") as file:
            # An empty file has no such place, nor has a pipe.
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
        return False

    def _follow(self) -> None:
        """Reopen the file if it was renamed or removed."""
        if self._target == STDOUT:
            return
        with contextlib.suppress(FileNotFoundError):
            there, ours = os.stat(self._target), os.fstat(self._file)  # noqa: PTH116
            if (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev):
                return
        opened = os.open(self._target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        os.close(self._file)
        self._file = opened

    def _open(self) -> int:
        if self._target == STDOUT:
            return _STDOUT_FILE
        try:
            return os.open(self._target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        except OSError as error:
            raise UsageError(
                f"Cannot write the access log {self._target}: {error.strerror}.",
                hint="--access-log - writes it to standard output",
            ) from error


def utc(seconds: float) -> str:
    """Return a time since the epoch in UTC, ISO 8601, to the millisecond."""
    whole = int(seconds)
    return f"{_second(whole)}.{int(1000 * (seconds - whole)):03d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
