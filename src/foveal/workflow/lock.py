"""One process at a time works on a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from foveal.atomic import hold
from foveal.errors import UsageError
from foveal.workflow.rundir import RunDirectory

_LONGEST_PID = 20


@contextmanager
def working_on(run: RunDirectory) -> Iterator[None]:
    """Keep other processes from working on the run too.

    The lock ends with the process, however that ends.

    Raises:
        UsageError: `run_busy` when another process works on it.
    """
    descriptor = os.open(run.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not hold(descriptor, wait=False):
            other = os.read(descriptor, _LONGEST_PID).decode("ascii", "replace")
            raise UsageError(
                f"Another process (process id {other or 'unknown'}) works on the run {run.path}.",
                hint=f"wait for it; to see how far it is: foveal watch {run.path}",
                code="run_busy",
            )
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)
