"""The CPU cores of this machine, and parallel work on them."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import platform
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TypeVar

from foveal.extras import install_extra

S = TypeVar("S")
T = TypeVar("T")

logger = logging.getLogger(__name__)

_CPUINFO = Path("/proc/cpuinfo")
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
# Of x86 and of Arm, as Linux calls them.
_SMALL_NUMBERS = (
    *("avx2", "avx512bw", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimddp", "i8mm", "bf16"),
)
# Each worker has one batch in hand and one waiting, and the reader has some in store.
_BATCHES_AHEAD = 3
# One in each process: the threads of libraries would fight over the cores.
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# Niceness of Unix: a ninth of the share of a core that an ordinary process takes beside it.
_BACKGROUND = 10
# An epoch's evaluation may take so long; starting processes anew costs a second.
_IDLE_S = 120
# Parameters of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_KEEPING = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
# What glibc itself comes to where blocks of 32 MiB are freed.
_USUAL = {_MMAP_MAX: 65536, _TRIM_THRESHOLD: 64 << 20, _MMAP_THRESHOLD: 32 << 20}
# Processes that share the cores. A fact about this process, set once when it starts.
_sharing = 1


def resident_bytes(table: Path = Path("/proc/self/statm")) -> int:
    """Return how much memory this process holds; 0 where the system does not say."""
    try:
        return int(table.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def return_memory() -> None:
    """Give memory that is free back to the system, where the C library can: glibc.

    It keeps a heap for each thread, and gives back only the free end of it: a few large pictures
    in several threads leave hundreds of megabytes behind.
    """
    if (trim := _of_libc("malloc_trim")) is not None:
        trim(0)


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Have the C library reuse large blocks of memory, where it is glibc.

    It gives blocks over 32 MiB back to the system when they are freed. Each step of a training
    allocates the same tensors again, and the system would fill new pages with zeros each time.
    At the end, what is free is given back.
    """
    set_option = _of_libc("mallopt") if platform.libc_ver()[0] == "glibc" else None
    if set_option is None:
        yield
        return
    for name, value in _KEEPING.items():
        set_option(name, value)
    try:
        yield
    finally:
        for name, value in _USUAL.items():
            set_option(name, value)
        return_memory()


@lru_cache
def _of_libc(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):
        return None
    return found


def share_cores(processes: int) -> None:
    """Let `available_cores` count this process's share from now on, of several that do the same.

    Args:
        processes: How many they are, with this one.
    """
    global _sharing
    _sharing = processes


def available_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many processor cores this process may use: affinity and control group.

    A part of a core is not counted: threads beyond the quota are held up, and the others wait
    for them. Processes that share the cores count their shares; see `share_cores`.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [cores or 1]
    # Without the file, with another form, or with `max` in it there is no limit.
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        allowed, period = quota.read_text(encoding="ascii").split()
        limits.append(int(allowed) // int(period))
    return max(1, min(limits) // _sharing)


def has_bf16(cpuinfo: Path = _CPUINFO) -> bool:
    """Return whether the processor multiplies bf16 numbers in hardware."""
    return not _BF16_FLAGS.isdisjoint(_features(cpuinfo))


def processor(cpuinfo: Path = _CPUINFO) -> dict[str, str | list[str]]:
    """Return the processor's name, and what it can do that matters to small numbers."""
    known = _features(cpuinfo)
    return {
        "name": processor_name(cpuinfo),
        "features": [flag for flag in _SMALL_NUMBERS if flag in known],
    }


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """Return the processor's name as the operating system gives it."""
    name = _listed(cpuinfo, ("model name",))
    return name or platform.processor() or platform.machine()


def _features(cpuinfo: Path) -> frozenset[str]:
    return frozenset(_listed(cpuinfo, ("flags", "Features")).split())


def _listed(cpuinfo: Path, keys: tuple[str, ...]) -> str:
    """Return the first value under one of these names, "" where there is none."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in keys:
            return value.strip()
    return ""


def read_ahead(
    work: Callable[[S], T], items: Iterable[S], *, workers: int, ahead: int
) -> Generator[T, None, None]:
    """Yield `work(item)` for every item, in order, done in threads before it is asked for.

    What has not begun is cancelled when the generator is closed or `work` raises.

    Args:
        work: Called in threads.
        items: What to work on; taken only as far as the threads are ahead.
        workers: Threads.
        ahead: Items begun beyond the one that the caller has; bounds the memory.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="foveal-ahead") as pool:
        yield from _in_order(pool, work, items, ahead)


def over_cores(
    work: Callable[[Sequence[S]], list[T]],
    items: Sequence[S],
    *,
    batch: int,
    workers: int,
    pool: Executor | None = None,
) -> Iterator[T]:
    """Yield the results of `work` on batches of the items, in order, from several processes.

    For work that holds Python's lock; without the package loky it is done in threads, aloud.

    Args:
        work: Called in other processes with some of the items; must be picklable.
        items: What to work on; a range costs no memory, however long.
        batch: Most items in one call.
        workers: Processes; 0 takes all cores.
        pool: Runs the calls; None takes processes that are shared by all calls without one.
    """
    wanted = workers or available_cores()
    # A process for every batch that there is; none at all for a single batch.
    used = min(wanted, -(-len(items) // batch))
    batches = (items[start : start + batch] for start in range(0, len(items), batch))
    if used <= 1 and pool is None:
        for part in batches:
            yield from work(part)
        return
    with _pool(wanted) if pool is None else nullcontext(pool) as running:
        with closing(_in_order(running, work, batches, _BATCHES_AHEAD * used)) as results:
            for result in results:
                yield from result


@contextmanager
def background_pool(workers: int) -> Iterator[Executor]:
    """Run processes that others precede where they want the same core; they end with the block.

    Not on Windows, nor without the package loky: there, they share the cores evenly.

    Args:
        workers: Processes, at least 1.
    """
    try:
        import loky
    except ImportError:
        with _pool(workers) as threads:
            yield threads
        return
    # Of their own: the priority of a process can be lowered, but not raised again.
    with loky.ProcessPoolExecutor(
        workers, timeout=_IDLE_S, env=_ONE_THREAD, initializer=_step_back
    ) as own:
        yield own


def _step_back() -> None:
    if hasattr(os, "nice"):
        os.nice(_BACKGROUND)


def _in_order(
    pool: Executor, work: Callable[[S], T], items: Iterable[S], ahead: int
) -> Generator[T, None, None]:
    iterator = iter(items)
    pending: deque[Future[T]] = deque()
    try:
        pending.extend(pool.submit(work, item) for item in islice(iterator, ahead))
        while pending:
            result = pending.popleft().result()
            # Not before: there would be one result more in memory.
            pending.extend(pool.submit(work, item) for item in islice(iterator, 1))
            yield result
            # Nor is this one kept while the next is waited for.
            del result
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
    # As many as wanted, not as needed now: the processes are kept for the next call.
    yield loky.get_reusable_executor(max_workers=workers, timeout=_IDLE_S, env=_ONE_THREAD)


@lru_cache(maxsize=1)
def _say_threads() -> None:
    logger.warning(
        "The package loky is not installed; using threads, which is slower. %s",
        install_extra("synth"),
    )
