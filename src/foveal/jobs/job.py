"""A job: work that was handed to another process, a cluster or a cloud."""

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
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Tell whether nothing more will happen."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED)


class Job(ABC):
    """One job, wherever it is; each kind of target has its own.

    Args:
        record: What this machine knows of it.
        register: The jobs that this machine knows.
    """

    def __init__(self, record: Record, register: Register) -> None:
        self.record = record
        self.register = register

    @property
    def name(self) -> str:
        """Name under which it is found again; unique among the jobs that this machine knows."""
        return self.record.name

    @property
    def target(self) -> Target:
        """Where it is."""
        return self.record.target

    @abstractmethod
    def state(self) -> JobState:
        """Ask how far it is."""

    @abstractmethod
    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """Return the lines of its log, each without the newline.

        Args:
            follow: Wait for more until the job has ended.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ask it to end; a training writes a checkpoint before it does.

        One that has ended is left alone.
        """

    @abstractmethod
    def fetch(self, out: str | Path = "runs") -> Path:
        """Bring what came of it to a folder of this machine, and return its path there.

        A second call brings what is new.

        Args:
            out: Folder for runs; made where there is none.

        Raises:
            UsageError: When nothing came of it yet.
        """

    def why(self) -> str:
        """Return what is known of why it failed; empty where nothing is."""
        return ""

    def wait(self) -> JobState:
        """Follow the job until it has ended, and return how it did."""
        for _ in self.logs(follow=True):
            pass
        return self.state()

    def to_json(self) -> JsonObject:
        """Return what is known of it: `name`, `target`, `state`, `created` and what is its own."""
        known = self.record.to_json()
        facts = known.pop("facts")
        state = self.state()
        why = self.why() if state is JobState.FAILED else ""
        return {**known, "state": str(state), **({"why": why} if why else {}), **facts}

    def __repr__(self) -> str:
        """Name the job, where it is and how far."""
        return f"Job({self.name!r}, on={str(self.target)!r}, {self._state_words()})"

    def _repr_html_(self) -> str:
        """Return how far it is and the end of its log, for a notebook."""
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
        """Copy what came of it, which is on this machine, to a folder for runs; see `results`."""
        self.record = self.register.read(self.name)
        path = place(found, Path(out), self.record, self.register)
        self.record = self.register.read(self.name)
        return path

    def _state_words(self) -> str:
        try:
            return str(self.state())
        except FovealError as error:
            return f"unknown: {error.message}"
