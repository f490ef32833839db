"""Pictures drawn over the cores of this machine, in order and the same for every number of them."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TypeVar

from foveal.synth.kinds import Drawn, Kind

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Each worker has one batch in hand and one waiting, and the reader has some in store.
_BATCHES_AHEAD = 3
# An epoch's evaluation may take so long; starting processes anew costs a second.
_IDLE_S = 120


def draw_all(kind: Kind, seed: int, indices: Sequence[int], *, workers: int) -> Iterator[Drawn]:
    """Yield pictures in order; the next ones are drawn while the caller works.

    Args:
        kind: What to draw.
        seed: Of the stream.
        indices: Which pictures of the stream; a range costs no memory, however long.
        workers: Processes; 0 takes all cores. Does not change the pictures.

    Raises:
        DataError: When this machine has no font that can draw them.
    """
    draw = partial(_draw_batch, kind.prepared(), seed)
    yield from over_cores(draw, indices, batch=kind.batch, workers=workers)


def _draw_batch(kind: Kind, seed: int, indices: Sequence[int]) -> list[Drawn]:
    return [kind.draw(seed, index) for index in indices]


def over_cores(
    work: Callable[[Sequence[int]], list[T]], indices: Sequence[int], *, batch: int, workers: int
) -> Iterator[T]:
    """Yield the results of `work` on batches of the indices, in order.

    Args:
        work: Called in other processes with some of the indices; must be picklable.
        indices: What to work on.
        batch: Most indices in one call.
        workers: Processes; 0 takes all cores.
    """
    wanted = workers or count_cores()
    # A process for every batch that there is; none at all for a single batch.
    used = min(wanted, -(-len(indices) // batch))
    batches = (indices[start : start + batch] for start in range(0, len(indices), batch))
    if used <= 1:
        for part in batches:
            yield from work(part)
        return
    with _pool(wanted) as pool:
        yield from _in_order(pool, work, batches, ahead=_BATCHES_AHEAD * used)


def _in_order(
    pool: Executor,
    work: Callable[[Sequence[int]], list[T]],
    batches: Iterable[Sequence[int]],
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
        # The reader may stop early: what has not begun is not drawn.
        for future in pending:
            future.cancel()


def count_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _pool(workers: int) -> Iterator[Executor]:
    try:
        # Its processes need no `if __name__ == "__main__"` in the user's script.
        import loky
    except ImportError:
        _say_threads()
        with ThreadPoolExecutor(workers, thread_name_prefix="synth") as threads:
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
        "The package loky is not installed: drawing in threads, which is slower. "
        "pip install 'foveal[synth]'"
    )
