"""A job: work that was handed to another process, a cluster or a cloud."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from foveal.jobs.target import Target
from foveal.types import JsonObject


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

    Attributes:
        name: Under which it is found again; unique among the jobs that this machine knows.
        target: Where it is.
    """

    name: str
    target: Target

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
        """Ask it to end; a training writes a checkpoint before it does."""

    @abstractmethod
    def fetch(self, out: Path) -> Path:
        """Bring what came of it to a folder of this machine, and return its path there.

        A second call brings what is new.

        Args:
            out: Folder for runs; made where there is none.

        Raises:
            UsageError: When nothing came of it yet.
        """

    @abstractmethod
    def to_json(self) -> JsonObject:
        """Return what is known of it: `name`, `target`, `state`, `created` and what is its own."""

    def wait(self) -> JobState:
        """Follow the job until it has ended, and return how it did."""
        for _ in self.logs(follow=True):
            pass
        return self.state()
