"""The cores of this machine: how many there are, and Python work spread over them."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

logger = logging.getLogger(__name__)

# Each worker has one batch in hand and one waiting, and the reader has some in store.
_BATCHES_AHEAD = 3
# An epoch's evaluation may take so long; starting processes anew costs a second.
_IDLE_S = 120


def available_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many processor cores this process may use: affinity and control group.

    A part of a core is not counted: threads beyond the quota are held up, and the others wait
    for them.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [cores or 1]
    # Without the file, with another form, or with `max` in it there is no limit.
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        allowed, period = quota.read_text(encoding="ascii").split()
        limits.append(int(allowed) // int(period))
    return max(1, min(limits))


def over_cores(
    work: Callable[[Sequence[S]], list[T]], items: Sequence[S], *, batch: int, workers: int
) -> Iterator[T]:
    """Yield the results of `work` on batches of the items, in order, from several processes.

    For work that holds Python's lock; without the package loky it is done in threads, aloud.

    Args:
        work: Called in other processes with some of the items; must be picklable.
        items: What to work on; a range costs no memory, however long.
        batch: Most items in one call.
        workers: Processes; 0 takes all cores.
    """
    wanted = workers or available_cores()
    # A process for every batch that there is; none at all for a single batch.
    used = min(wanted, -(-len(items) // batch))
    batches = (items[start : start + batch] for start in range(0, len(items), batch))
    if used <= 1:
        for part in batches:
            yield from work(part)
        return
    with _pool(wanted) as pool:
        yield from _in_order(pool, work, batches, ahead=_BATCHES_AHEAD * used)


def _in_order(
    pool: Executor,
    work: Callable[[Sequence[S]], list[T]],
    batches: Iterable[Sequence[S]],
    *,
    ahead: int,
) -> Iterator[T]:
    pending: deque[Future[list[T]]] = deque()
    try:
        for part in batches:
            pending.append(pool.submit(work, part))
            if len(pending) >= ahead:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        # The reader may stop early: what has not begun is not done.
        for future in pending:
            future.cancel()


@contextmanager
def _pool(workers: int) -> Iterator[Executor]:
    try:
        # Its processes need no `if __name__ == "__main__"` in the user's script.
        import loky
    except ImportError:
        _say_threads()
        with ThreadPoolExecutor(workers, thread_name_prefix="cores") as threads:
            yield threads
        return
    # As many as wanted, not as needed now: the processes are kept for the next call. One thread
    # in each: the libraries' own threads would fight over the cores.
    yield loky.get_reusable_executor(
        max_workers=workers, timeout=_IDLE_S, env={"OMP_NUM_THREADS": "1"}
    )


@lru_cache(maxsize=1)
def _say_threads() -> None:
    logger.warning(
        "The package loky is not installed: working in threads, which is slower. "
        "pip install 'foveal[synth]'"
    )
