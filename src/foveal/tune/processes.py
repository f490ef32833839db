"""Workers as processes, which end with their command."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from foveal.console import NoProgress, show_log
from foveal.errors import FovealError, unpacked
from foveal.tune.folder import StudyFolder
from foveal.tune.limits import Limits
from foveal.tune.work import Worker
from foveal.workers import started, take_order

_MODULE = "foveal.tune.processes"
_POLL_S = 0.2
# A worker ends its training after its step; then it writes a checkpoint.
_GRACE_S = 60.0


def work_in_processes(folder: StudyFolder, limits: Limits, *, look: Callable[[], None]) -> None:
    """Run `limits.workers` workers until all have ended.

    Each hears of the end of this process, or of its wish to stop, by its standard input.

    Args:
        folder: The study.
        limits: What the command may take.
        look: Called now and then.

    Raises:
        FovealError: What a worker raised, or when one died.
        KeyboardInterrupt: If Ctrl-C stopped it; the workers have ended then.
    """
    with folder.log.open("ab") as log:
        orders = [
            {"study": str(folder.path), "limits": limits.to_json(), "index": index}
            for index in range(limits.workers)
        ]
        for index in range(limits.workers):
            _failed(folder, index).unlink(missing_ok=True)
        with started(_MODULE, orders, log=log, grace_s=_GRACE_S) as workers:
            while any(worker.poll() is None for worker in workers):
                look()
                if any(worker.poll() for worker in workers):
                    break
                time.sleep(_POLL_S)
        look()
    if any(worker.returncode for worker in workers):
        raise _told(folder, next(w.returncode for w in workers if w.returncode))


def _failed(folder: StudyFolder, index: int) -> Path:
    return folder.path / f"worker-{index}.json"


def _told(folder: StudyFolder, status: int) -> FovealError:
    for path in sorted(folder.path.glob("worker-*.json")):
        return unpacked(json.loads(path.read_text(encoding="utf-8")))
    lines = folder.log.read_text(encoding="utf-8", errors="replace").splitlines()
    last = lines[-1] if lines else "no output"
    return FovealError(
        f"A worker of the study {folder.place} ended with status {status}: {last}",
        hint=f"see {folder.log}; to continue: foveal tune --resume {folder.place}",
        code="worker_died",
    )


def main() -> int:
    """Work as one of the workers; return the exit status."""
    # A shell that starts the command in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    show_log(logging.INFO)
    try:
        # When the command has ended: as Ctrl-C.
        order = take_order(partial(os.kill, os.getpid(), signal.SIGINT))
        folder = StudyFolder(Path(order["study"]))
        Worker(folder, Limits(**order["limits"]), NoProgress(), lambda: False).run()
    except KeyboardInterrupt:
        # The command has ended, or wants this; what was done is kept.
        return 0
    except FovealError as error:
        folder.write(_failed(folder, order["index"]), error.packed())
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
