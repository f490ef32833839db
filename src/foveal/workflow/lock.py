"""The lock of a run: one process at a time works on it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from foveal.atomic import owned
from foveal.errors import UsageError
from foveal.workflow.rundir import RunDirectory


def working_on(run: RunDirectory) -> AbstractContextManager[None]:
    """Lock the run against other processes.

    The lock ends with the process, however that ends.

    Raises:
        UsageError: `run_busy` when another process works on it.
    """

    def busy(other: str) -> UsageError:
        return UsageError(
            f"Another process (process id {other}) is working on the run {run.path}.",
            hint=f"wait for it; to follow it: foveal watch {run.path}",
            code="run_busy",
        )

    return owned(run.lock, busy)
