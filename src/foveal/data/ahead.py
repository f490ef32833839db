"""Prefetch files from slow storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import final

# An object store answers each request after tens of milliseconds, and many requests at a time.
READERS = 16
AHEAD_FILES = 4 * READERS
AHEAD_BYTES = 64 << 20
# However large the files are, some are on their way.
_FEWEST = 2


@final
class ReadAhead:
    """Prefetches files in threads, in the order in which they will be requested.

    Args:
        names: The files, in about that order; each will be asked for once.
        read: Returns the content of a file; what it raises, `take` raises.
    """

    def __init__(self, names: Iterable[str], read: Callable[[str], bytes]) -> None:
        self._read = read
        self._waiting = iter(names)
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="foveal-remote")
        # Insertion order is the order of the names.
        self._begun: dict[str, Future[bytes]] = {}
        self._passed: set[str] = set()
        self._sizes = 0
        self._count = 0
        with self._lock:
            self._begin()

    def take(self, name: str) -> bytes:
        """Return the content of a file; reads it now if it has not been prefetched."""
        with self._lock:
            future = self._begun.pop(name, None)
            if future is None:
                self._passed.add(name)
            self._drop_passed()
            self._begin()
        content = self._read(name) if future is None else future.result()
        with self._lock:
            self._sizes += len(content)
            self._count += 1
        return content

    def close(self) -> None:
        """Stop prefetching."""
        with self._lock:
            self._waiting = iter(())
            self._begun.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self) -> None:
        while len(self._begun) < self._most():
            name = next(self._waiting, None)
            if name is None:
                return
            if name in self._passed:
                self._passed.discard(name)
            elif name not in self._begun:
                self._begun[name] = self._pool.submit(self._read, name)

    def _most(self) -> int:
        """Return the number of files that may be in flight or waiting."""
        if not self._count:
            return READERS
        mean = max(1, self._sizes // self._count)
        return max(_FEWEST, min(AHEAD_FILES, AHEAD_BYTES // mean))

    def _drop_passed(self) -> None:
        """Drop files that were not requested within the window."""
        while len(self._passed) > AHEAD_FILES and self._begun:
            oldest = next(iter(self._begun))
            self._begun.pop(oldest).cancel()
            self._passed.discard(next(iter(self._passed)))
