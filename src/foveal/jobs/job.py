"""Jobs: work that runs in another process, on a cluster or in a cloud."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path

from foveal.errors import FovealError
from foveal.jobs.register import Record, Register
from foveal.jobs.results import place
from foveal.jobs.target import Target
from foveal.types import JsonObject

# Lines of the log that a notebook shows.
_TAIL = 8


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED)


class Job(ABC):
    """A job; each kind of target has its own subclass.

    Args:
        record: Local record of the job.
        register: Register of the jobs of this machine.
    """

    def __init__(self, record: Record, register: Register) -> None:
        self.record = record
        self.register = register

    @property
    def name(self) -> str:
        """Name of the job; unique among the jobs of this machine."""
        return self.record.name

    @property
    def target(self) -> Target:
        """Target that the job runs on."""
        return self.record.target

    @property
    @abstractmethod
    def state(self) -> JobState:
        """State of the job, as queried from the target."""

    @abstractmethod
    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """Yield the lines of the log, without newlines.

        Args:
            follow: Wait for new lines until the job has ended.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop the job; a training writes a checkpoint first. No effect on a finished job."""

    @abstractmethod
    def fetch(self, out: str | Path = "runs") -> Path:
        """Download the results to a folder of this machine, and return their path.

        Repeated calls download only what is new.

        Args:
            out: Folder for runs, which is created if it does not exist.

        Raises:
            UsageError: If there are no results yet.
        """

    def why(self) -> str:
        """Return why the job failed, as far as known; "" if unknown."""
        return ""

    def wait(self) -> JobState:
        """Wait until the job has ended, and return its final state."""
        for _ in self.logs(follow=True):
            pass
        return self.state

    def to_json(self) -> JsonObject:
        """Return `name`, `target`, `state`, `created` and target-specific fields."""
        known = self.record.to_json()
        facts = known.pop("facts")
        state = self.state
        why = self.why() if state is JobState.FAILED else ""
        return {**known, "state": str(state), **({"why": why} if why else {}), **facts}

    def __repr__(self) -> str:
        """Return the name, target and state in one line."""
        return f"Job({self.name!r}, on={str(self.target)!r}, {self._state_words()})"

    def _repr_html_(self) -> str:
        """Return the state and the end of the log as HTML."""
        # Imported late: what draws tables brings numpy.
        from html import escape

        from foveal.render.markup import table_html

        facts = [
            ("on", str(self.target)),
            ("state", self._state_words()),
            ("sent", self.record.created.replace("T", " ").removesuffix("+00:00") + " UTC"),
            ("results", self.record.output),
        ]
        try:
            tail = list(deque(islice(self.logs(), None), maxlen=_TAIL))
        except FovealError as error:
            tail = [error.message]
        log = f"<pre>{escape(chr(10).join(tail))}</pre>" if tail else ""
        return f"<strong>{escape(self.name)}</strong>{table_html(('', ''), facts)}{log}"

    def place(self, found: Path, out: str | Path) -> Path:
        """Copy the results, which are on this machine, to a folder for runs; see `results`."""
        self.record = self.register.read(self.name)
        path = place(found, Path(out), self.record, self.register)
        self.record = self.register.read(self.name)
        return path

    def _state_words(self) -> str:
        try:
            return str(self.state)
        except FovealError as error:
            return f"unknown: {error.message}"
