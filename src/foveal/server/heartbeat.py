"""Heartbeat of a worker process in memory shared with its supervisor."""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable
from typing import final

BEAT_S = 1.0
"""How often a worker counts, and its supervisor looks."""

_COUNT = struct.Struct("Q")


@final
class Heartbeat:
    """A shared counter, created by the supervisor before it forks the worker.

    Args:
        clock: Clock that returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._memory = mmap.mmap(-1, _COUNT.size)
        self._clock = clock
        self._seen, self._at, self._silent_s = 0, clock(), 0.0

    def beat(self) -> None:
        """Increment the counter. Called in the worker."""
        _COUNT.pack_into(self._memory, 0, self._count() + 1)

    def silent_s(self) -> float:
        """Return for how long the worker has been silent. Called in the supervisor, each `BEAT_S`.

        Only time is counted in which the supervisor itself ran: after a machine was suspended or a
        container paused, nobody is late.
        """
        count, now = self._count(), self._clock()
        passed_s, self._at = now - self._at, now
        if count != self._seen:
            self._seen, self._silent_s = count, 0.0
        else:
            self._silent_s += min(passed_s, 2 * BEAT_S)
        return self._silent_s

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()

    def _count(self) -> int:
        count: int = _COUNT.unpack_from(self._memory, 0)[0]
        return count
