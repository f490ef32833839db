"""Workers that are processes of their own: started, followed, and ended with their command."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from foveal.console import NoProgress, show_log
from foveal.errors import FovealError, UsageError
from foveal.machine import available_cores
from foveal.tune.folder import StudyFolder
from foveal.tune.limits import Limits
from foveal.tune.work import Worker
from foveal.types import JsonObject

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
        KeyboardInterrupt: When Ctrl-C stopped it; the workers have ended then.
    """
    with folder.log.open("ab") as log:
        workers = [_start(folder, limits, index, log) for index in range(limits.workers)]
        try:
            while any(worker.poll() is None for worker in workers):
                look()
                if any(worker.poll() for worker in workers):
                    break
                time.sleep(_POLL_S)
        finally:
            _end(workers)
        look()
    if any(worker.returncode for worker in workers):
        raise _told(folder, next(w.returncode for w in workers if w.returncode))


def _start(
    folder: StudyFolder, limits: Limits, index: int, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    _failed(folder, index).unlink(missing_ok=True)
    environment = dict(os.environ)
    # Workers share the cores; each would take all of them otherwise.
    cores = max(1, available_cores() // limits.workers)
    environment.setdefault("OMP_NUM_THREADS", str(cores))
    return subprocess.Popen(  # noqa: S603  # our own module
        [
            sys.executable,
            "-m",
            "foveal.tune.processes",
            str(folder.path),
            json.dumps(limits.to_json()),
            str(index),
        ],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=environment,
        # Ctrl-C is for the command, which tells its workers.
        start_new_session=True,
    )


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.stdin is not None:
            worker.stdin.close()
    until = time.monotonic() + _GRACE_S
    for worker in workers:
        try:
            worker.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _failed(folder: StudyFolder, index: int) -> Path:
    return folder.path / f"worker-{index}.json"


def _told(folder: StudyFolder, status: int) -> FovealError:
    for path in sorted(folder.path.glob("worker-*.json")):
        told: JsonObject = json.loads(path.read_text(encoding="utf-8"))
        kind = UsageError if told["status"] == UsageError.exit_status else FovealError
        return kind(told["message"], hint=told["hint"], code=told["code"])
    lines = folder.log.read_text(encoding="utf-8", errors="replace").splitlines()
    last = lines[-1] if lines else "it said nothing"
    return FovealError(
        f"A worker of the study {folder.path} ended with status {status}: {last}",
        hint=f"see {folder.log}; to continue: foveal tune --resume {folder.path}",
        code="worker_died",
    )


def _listen() -> None:
    """Take the end of standard input for Ctrl-C, however its other side has ended."""
    # A shell that starts the command in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, name="foveal-tune-listener", daemon=True).start()


def main(arguments: list[str]) -> int:
    """Work as one of the workers; return the exit status."""
    path, limits, index = Path(arguments[0]), Limits(**json.loads(arguments[1])), int(arguments[2])
    show_log(logging.INFO)
    folder = StudyFolder(path)
    try:
        _listen()
        Worker(folder, limits, NoProgress(), lambda: False).run()
    except KeyboardInterrupt:
        # The command has ended, or wants this; what was done is kept.
        return 0
    except FovealError as error:
        folder.write(
            _failed(folder, index),
            {
                "message": error.message,
                "hint": error.hint,
                "code": error.error_code,
                "status": error.exit_status,
            },
        )
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
