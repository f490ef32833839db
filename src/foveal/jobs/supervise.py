"""Run a job of this machine in the background: `python -m foveal.jobs.supervise FOLDER LOCK`.

It leaves the terminal, starts the command, hands it the signals that it gets itself, and writes
down how it ended. The lock on the job's folder comes from the process that sent the job and is
handed on to the command: it is held until the last of them is gone, whatever ends them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from foveal.atomic import write_atomic
from foveal.jobs.process import started_at

COMMAND, PROCESS, ENDED = "command.json", "process.json", "ended.json"


def main(folder: Path, lock: int) -> None:
    """Run the job in `folder`, whose lock is the open file `lock`."""
    if os.fork() > 0:
        # Whoever sent the job waits for this process only: nobody has to wait for the other one.
        os._exit(0)
    os.setsid()
    about = json.loads((folder / COMMAND).read_text(encoding="utf-8"))
    try:
        child = subprocess.Popen(  # noqa: S603  # foveal's own command
            about["argv"], cwd=about["cwd"], pass_fds=[lock]
        )
    except OSError as error:
        print(f"error: the job cannot be started: {error}", flush=True)
        _end(folder, 127)
        return

    def hand_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            child.send_signal(number)

    # Handlers, not SIG_IGN: a command inherits what is ignored, and would not hear Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, hand_on)
    process = {"pid": child.pid, "started": started_at(child.pid)}
    write_atomic(folder / PROCESS, json.dumps(process), durable=True)
    _end(folder, child.wait())


def _end(folder: Path, status: int) -> None:
    ended = {"status": status, "ended": datetime.now(UTC).isoformat(timespec="seconds")}
    write_atomic(folder / ENDED, json.dumps(ended), durable=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
