"""Threads with a fair queue before them."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import final

from foveal.machine import return_memory
from foveal.server.scheduling.fair import FairQueue
from foveal.server.scheduling.jobs import Job

logger = logging.getLogger(__name__)

# Decoded, they fill so much memory that giving it back is worth the milliseconds.
_LARGE_PIXELS = 4_000_000


@final
class Lane:
    """Threads that take pictures in fair order and work on them.

    Args:
        name: What the threads are called.
        threads: How many.
        work: Called in a thread with pictures of one model.
        most: Most pictures of one call.
        pixels: Pixels of all pictures that may be in work at once; one is always taken. None for
            any number.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        work: Callable[[Sequence[Job]], None],
        most: int,
        pixels: int | None = None,
    ) -> None:
        self._name, self._work, self._most, self._pixels = name, work, most, pixels
        self._count = threads
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._queue: FairQueue[Job] = FairQueue()
        self._in_work = 0
        # Rung for each picture; False ends a thread. A queue of the standard library's C code is
        # the cheapest thing that a thread can wait for.
        self._bell: SimpleQueue[bool] = SimpleQueue()

    def __len__(self) -> int:
        """Return how many pictures no thread has taken yet."""
        return len(self._queue)

    def start(self, niceness: int = 0) -> None:
        """Start the threads.

        Args:
            niceness: How much the system shall prefer other threads; only Linux can do that.
        """
        self._threads = [
            threading.Thread(
                target=self._loop, args=(niceness,), name=f"{self._name}-{i}", daemon=True
            )
            for i in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is queued, then end the threads."""
        for _ in self._threads:
            self._bell.put(False)
        for thread in self._threads:
            thread.join()

    def put(self, job: Job) -> None:
        """Queue a picture."""
        with self._lock:
            self._queue.put(job)
        self._bell.put(True)

    def remove(self, job: Job) -> bool:
        """Take a picture out of the queue; return whether no thread had taken it."""
        with self._lock:
            return self._queue.remove(job)

    def _loop(self, niceness: int) -> None:
        if niceness and sys.platform == "linux":
            with contextlib.suppress(OSError):
                now = os.getpriority(os.PRIO_PROCESS, 0)
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), now + niceness)
        while self._bell.get():
            # A bell may ring for what another thread took along, or for what had to wait for room.
            while jobs := self._take():
                try:
                    self._work(jobs)
                except Exception:  # The thread must live; who waits is told by the deadline.
                    logger.exception("a picture could not be answered")
                pixels = sum(job.pixels for job in jobs)
                with self._lock:
                    self._in_work -= pixels
                # Or they would live as long as the pause.
                del jobs
                if pixels > _LARGE_PIXELS:
                    return_memory()

    def _take(self) -> list[Job]:
        with self._lock:
            first = self._queue.first()
            if first is None:
                return []
            if self._pixels is not None and self._in_work:
                if self._in_work + first.pixels > self._pixels:
                    return []
            # Not all, or the other threads would have nothing to do.
            share = -(-len(self._queue) // self._count)
            jobs = self._queue.take(min(self._most, share))
            self._in_work += sum(job.pixels for job in jobs)
            return jobs
