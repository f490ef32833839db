"""The end of interrupted trainings: the state of the run, and messages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from foveal.errors import FovealError, TrainingInterrupted, is_disk_full
from foveal.workflow.rundir import RunDirectory


@contextmanager
def ending(run: RunDirectory, *, is_new: bool) -> Iterator[None]:
    """Say how an interrupted run goes on; leave no run behind in which nothing was trained.

    Args:
        run: The run that is worked on.
        is_new: Whether it was made for this work, and is removed when the work fails before the
            first checkpoint.

    Raises:
        TrainingInterrupted: In place of `KeyboardInterrupt`.
        FovealError: In place of what the system says when space or memory run out.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        raise TrainingInterrupted(run.path) from stop
    except Exception as error:
        begun = run.is_begun
        if is_new and not begun:
            shutil.rmtree(run.path, ignore_errors=True)
            with suppress(OSError):
                run.path.parent.rmdir()
        known = told(error, run, begun=begun)
        if known is None:
            raise
        raise known from error


def told(error: Exception, run: RunDirectory, *, begun: bool) -> FovealError | None:
    """Return an error for people in place of one that is no bug, or None."""
    again = f"foveal train --resume {run.place}" if begun else "foveal train DATA"
    if isinstance(error, OSError) and error.errno is not None:
        where = error.filename or run.path
        return FovealError(
            f"The training stopped. {error.strerror}: {where}.",
            hint=_after(error, again) if begun else f"{again} --out DIR",
            code="stopped_by_system",
        )
    # Of the processor's memory, torch says so in a plain RuntimeError.
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate" in str(error):
        return FovealError(
            "There is not enough memory for this training.",
            hint="foveal train DATA --batch-size 8, or a smaller --image-size",
            code="out_of_memory",
        )
    return None


def _after(error: OSError, again: str) -> str:
    return f"free some disk space, then: {again}" if is_disk_full(error) else again
