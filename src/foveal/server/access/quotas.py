"""Rate and concurrency limits, counted over all worker processes of a server.

A rate is a token bucket (Turner, "New directions in communications", 1986): as many requests as the
rate allows in its time may come at once, and tokens come back evenly. The counts are exact, in a
table in shared memory that one process at a time changes: a file in the folder that the workers
share, or memory of the process when it is the only one. Used on one thread of a process.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import final

from foveal.access import Rate

WORKERS = 64
"""Most processes that count in one table."""

# A row: the name's digest, tokens left, when that was, and requests in work in each process.
_ROW = struct.Struct(f"=16sdd{WORKERS}H")
_FIXED = struct.Struct("=16sdd")
_COUNT = struct.Struct("=H")
# Where a name's row may be. A name that was not seen for long makes room for another; its bucket
# is full again by then, as a new one's is.
_SETS, _ROWS_IN_SET = 1024, 16
_TABLE = _SETS * _ROWS_IN_SET * _ROW.size
_NO_NAME = bytes(16)
# In the file, before what is locked for each worker: the lock of the table.
_TABLE_LOCK, _FIRST_WORKER_LOCK = 0, 1


@final
class Quotas:
    """The counts of many names.

    Args:
        file: In a folder that all workers share, made by the first; None when there is one process.
        clock: Returns seconds that all processes of the machine agree on.
    """

    def __init__(self, file: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._file: int | None = None
        self._mine = 0
        if file is None:
            # Memory that is only taken where it is written to.
            self._table = mmap.mmap(-1, _TABLE)
            return
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _TABLE)
        self._table = mmap.mmap(self._file, _TABLE)
        self._mine = self._claim()

    def enter(self, name: str, rate: Rate | None, concurrent: int | None) -> float:
        """Count a request in, unless it is one too many.

        Args:
            name: Whose it is.
            rate: How often it may ask; None for no limit.
            concurrent: How many may be in work at once, to be counted out by `leave`; None for no
                limit, and nothing to count out.

        Returns:
            0 when it was counted in; else after how many seconds it may be tried again.
        """
        own = _digest(name)
        with self._locked():
            now = self._clock()
            row = self._row(own)
            digest, tokens, stamp = _FIXED.unpack_from(self._table, row)
            # A time to come is one from before the machine was started again.
            if rate is None or digest == _NO_NAME or stamp > now:
                tokens = math.inf if rate is None else rate.count
            if rate is not None:
                gained = max(0.0, now - stamp) * rate.per_second
                tokens = min(rate.count, tokens + gained)
                if tokens < 1:
                    return float(1 - tokens) / rate.per_second
                tokens -= 1
            if concurrent is not None:
                if self._in_work(row) >= concurrent and self._alive_in_work(row) >= concurrent:
                    # When one of them ends is not known.
                    return 1.0
                self._add(row, 1)
            _FIXED.pack_into(self._table, row, own, tokens, now)
        return 0.0

    def leave(self, name: str) -> None:
        """Count a request out."""
        with self._locked():
            row = self._find(_digest(name))
            if row is not None:
                self._add(row, -1)

    def _add(self, row: int, change: int) -> None:
        place = row + _FIXED.size + self._mine * _COUNT.size
        (count,) = _COUNT.unpack_from(self._table, place)
        _COUNT.pack_into(self._table, place, max(0, count + change))

    def _in_work(self, row: int) -> int:
        return sum(_ROW.unpack_from(self._table, row)[3:])

    def _alive_in_work(self, row: int) -> int:
        """Drop the counts of dead processes, and return the rest."""
        for worker, count in enumerate(_ROW.unpack_from(self._table, row)[3:]):
            if count and worker != self._mine and self._lock_worker(worker):
                _COUNT.pack_into(self._table, row + _FIXED.size + worker * _COUNT.size, 0)
                self._unlock_worker(worker)
        return self._in_work(row)

    def _rows(self, digest: bytes) -> range:
        first = int.from_bytes(digest[:8], "little") % _SETS * _ROWS_IN_SET * _ROW.size
        return range(first, first + _ROWS_IN_SET * _ROW.size, _ROW.size)

    def _find(self, digest: bytes) -> int | None:
        for row in self._rows(digest):
            if self._table[row : row + 16] == digest:
                return row
        return None

    def _row(self, digest: bytes) -> int:
        """Return the row of a name, or the one that makes room for it."""
        found = self._find(digest)
        if found is not None:
            return found
        oldest, oldest_stamp = 0, math.inf
        for row in self._rows(digest):
            name, _, stamp = _FIXED.unpack_from(self._table, row)
            if name == _NO_NAME:
                return row
            if stamp < oldest_stamp:
                oldest, oldest_stamp = row, stamp
        self._table[oldest : oldest + _ROW.size] = bytes(_ROW.size)
        return oldest

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._file is None:
            yield
            return
        _lock(self._file, _TABLE_LOCK, wait=True)
        try:
            yield
        finally:
            _unlock(self._file, _TABLE_LOCK)

    def _claim(self) -> int:
        """Return a column of the table that no living process has, emptied."""
        with self._locked():
            for worker in range(WORKERS):
                if self._lock_worker(worker):
                    for row in range(0, _TABLE, _ROW.size):
                        place = row + _FIXED.size + worker * _COUNT.size
                        if self._table[row : row + 16] != _NO_NAME:
                            _COUNT.pack_into(self._table, place, 0)
                    return worker
        raise OSError(f"More than {WORKERS} processes cannot share one table of counts.")

    def _lock_worker(self, worker: int) -> bool:
        """Take the lock that a living process holds on its column; the system ends it with it."""
        return self._file is not None and _lock(self._file, _FIRST_WORKER_LOCK + worker)

    def _unlock_worker(self, worker: int) -> None:
        if self._file is not None:
            _unlock(self._file, _FIRST_WORKER_LOCK + worker)


@lru_cache(maxsize=4096)
def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16).digest()


if sys.platform == "win32":

    def _lock(file: int, place: int, *, wait: bool = False) -> bool:
        raise OSError("Several worker processes cannot share counts on Windows.")

    def _unlock(file: int, place: int) -> None:
        pass

else:
    import fcntl

    def _lock(file: int, place: int, *, wait: bool = False) -> bool:
        """Lock one byte for this process; return whether it is locked now."""
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except OSError:
            return False
        return True

    def _unlock(file: int, place: int) -> None:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, place)
