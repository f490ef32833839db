"""Run a module in several processes, which end with their parent."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from foveal.machine import available_cores
from foveal.types import JsonObject


@contextlib.contextmanager
def started(
    module: str,
    orders: Sequence[JsonObject],
    *,
    log: IO[bytes] | None = None,
    grace_s: float = 0.0,
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run a module in one process for each order, and end the processes with the block.

    Args:
        module: Its name; it takes its order by `take_order`.
        orders: What each process is told.
        log: Where they write; None lets them write where this process does.
        grace_s: How long they may take to end by themselves, in seconds.
    """
    # They share the cores; each would take all of them otherwise.
    cores = max(1, available_cores() // len(orders))
    environment = {
        "OMP_NUM_THREADS": str(cores),
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]),
    }
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for order in orders:
            process = subprocess.Popen(  # noqa: S603  # our own module
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                # Ctrl-C in a terminal is for this process, which tells the others.
                start_new_session=True,
            )
            processes.append(process)
            if process.stdin is not None:
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.flush()
        yield processes
    finally:
        _end(processes, grace_s)


def _end(processes: Sequence[subprocess.Popen[bytes]], grace_s: float) -> None:
    for process in processes:
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
    until = time.monotonic() + grace_s
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
        process.kill()
        process.wait()


def take_order(when_left: Callable[[], None]) -> Any:
    """Return what this process was told by `started`.

    Args:
        when_left: Called from a thread when the process that started this one has ended, however
            it has, or wants this one to end.
    """
    order = json.loads(sys.stdin.buffer.readline())

    def wait() -> None:
        # Nothing more comes; the input ends with the process that keeps it open. Python cannot end
        # while a thread waits in `sys.stdin` itself.
        while os.read(sys.stdin.fileno(), 1024):
            pass
        when_left()

    threading.Thread(target=wait, name="foveal-left", daemon=True).start()
    return order
