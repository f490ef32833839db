"""Jobs in the background of this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from foveal.atomic import hold, is_held, write_atomic
from foveal.jobs.job import Job, JobState
from foveal.jobs.process import started_at
from foveal.jobs.register import Record, Register
from foveal.jobs.results import runs_in
from foveal.jobs.supervise import COMMAND, ENDED, PROCESS
from foveal.jobs.target import Target
from foveal.jobs.work import OUTPUT_VARIABLE, Work

LOG = "log.txt"
_LOCK, _STOP, _FILES, _OUTPUT = "lock", "stop", "files", "output"
_POLL_S = 0.2
# What a command that was interrupted ends with: foveal's own, and what Python gives for a signal.
_INTERRUPTED = (130, 143, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)


@final
class LocalJob(Job):
    """A process of this machine that outlives the terminal."""

    @classmethod
    def submit(cls, work: Work, register: Register, output: str | None = None) -> LocalJob:
        """Start the work, and return at once.

        Args:
            work: What to do.
            register: Where the job is kept.
            output: Folder for its results; None takes one in the job's own folder.

        Raises:
            UsageError: If the user's state folder cannot be written to.
        """
        record = register.add(Record.new(work.name, Target("local")))
        folder = register.path(record.name).absolute()
        try:
            files = folder / _FILES
            files.mkdir()
            work.write_files(files)
            results = output or str(folder / _OUTPUT)
            argv = work.command(results, sys.executable)
            record = replace(record, command=argv, output=results)
            register.change(record)
            about = json.dumps({"argv": argv, "cwd": str(files)})
            write_atomic(folder / COMMAND, about, durable=True)
            _start(folder, results)
        except BaseException:
            register.remove(record.name)
            raise
        return cls(record, register)

    @property
    def folder(self) -> Path:
        """Folder of the log and the state."""
        return self.register.path(self.name)

    @property
    def state(self) -> JobState:
        """State of the job, as its files say it."""
        # The lock first: a job that ends in between has written how before it lets the lock go.
        is_running = is_held(self.folder / _LOCK)
        ended = _read(self.folder / ENDED)
        if ended is None:
            return JobState.RUNNING if is_running else JobState.FAILED
        if ended["status"] == 0:
            return JobState.SUCCEEDED
        return JobState.STOPPED if ended["status"] in _INTERRUPTED else JobState.FAILED

    def why(self) -> str:
        """Return how its process ended."""
        ended = _read(self.folder / ENDED)
        if ended is None:
            return "its process was killed, or the machine was shut down"
        status: int = ended["status"]
        if status >= 0:
            return f"its process ended with status {status}"
        known = {one.value: one.name for one in signal.Signals}
        name = known.get(-status, f"signal {-status}")
        why = ", perhaps because memory ran out" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{why}"

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """Yield the lines of its log."""
        with (self.folder / LOG).open(encoding="utf-8", errors="replace", newline="\n") as file:
            begun = ""
            while True:
                has_ended = not follow or self.state.is_final
                while line := file.readline():
                    begun += line
                    if line.endswith("\n"):
                        yield begun.rstrip("\r\n")
                        begun = ""
                if has_ended:
                    break
                time.sleep(_POLL_S)
            if begun:
                yield begun

    def stop(self) -> None:
        """Do what Ctrl-C would do in a terminal."""
        if self.state.is_final:
            return
        process = self._process()
        # The number of a process that has ended may be another's by now.
        if process and started_at(process["pid"]) == process["started"]:
            with suppress(ProcessLookupError):
                os.kill(process["pid"], signal.SIGINT)

    def _process(self) -> Any:
        """Return the process that works, once it is there."""
        while (process := _read(self.folder / PROCESS)) is None and not self.state.is_final:
            time.sleep(_POLL_S)
        return process

    def fetch(self, out: str | Path = "runs") -> Path:
        """Return where the run is; another folder than it was made for gets a copy."""
        output = Path(self.record.output)
        process = _read(self.folder / PROCESS)
        own = [run for run in runs_in(output) if process and _pid(run) == process["pid"]]
        if own and Path(out).resolve() == output.resolve():
            return own[0]
        if own:
            shown = self.folder / "own"
            shutil.rmtree(shown, ignore_errors=True)
            link = shown / own[0].relative_to(output)
            link.parent.mkdir(parents=True)
            link.symlink_to(own[0].resolve())
            return self.place(shown, out)
        return self.place(self.folder / _OUTPUT, out)


def _start(folder: Path, output: str) -> None:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        hold(lock)
        subprocess.run(  # noqa: S603  # our own module
            [sys.executable, "-m", "foveal.jobs.supervise", str(folder), str(lock)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],
            env=_environment(output),
            check=True,
        )
    finally:
        os.close(lock)
        os.close(log)


def _environment(output: str) -> dict[str, str]:
    """Return the variables of the job: it finds the modules that this process finds."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # The current folder last: networks of the user's own are found there.
    here = [Path(__file__).parents[2], *map(Path, filter(None, given)), Path.cwd()]
    paths = dict.fromkeys(str(path.absolute()) for path in here)
    return {
        **os.environ,
        OUTPUT_VARIABLE: output,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
    }


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _pid(run: Path) -> int | None:
    """Return the number of the process that last worked on a run."""
    try:
        return int((run / "run.lock").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
