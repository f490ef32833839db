"""The list of jobs, as Python and notebooks show it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import final

from foveal.errors import FovealError, UsageError, unknown_name
from foveal.jobs.job import Job

# Asked at once: a cluster that is gone takes its time.
_THREADS = 8


@final
class Jobs:
    """A sequence of jobs, indexed by position or by name.

    Args:
        jobs: The jobs, oldest first.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = tuple(jobs)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        """Iterate over the jobs, oldest first."""
        return iter(self._jobs)

    def __getitem__(self, key: int | str) -> Job:
        """Return the job at a position or with a name.

        Raises:
            UsageError: If there is no job with that name.
        """
        if isinstance(key, int):
            return self._jobs[key]
        for job in self._jobs:
            if job.name == key:
                return job
        raise UsageError(unknown_name("job", key, [job.name for job in self._jobs]))

    def states(self) -> list[str]:
        """Query the state of each job; jobs that cannot be queried are `unknown`."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="foveal-jobs") as pool:
            return list(pool.map(_state, self._jobs))

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return name, target, state and time of submission (UTC) of each job."""
        return [
            (job.name, str(job.target), state, job.record.created[:16].replace("T", " "))
            for job, state in zip(self._jobs, self.states(), strict=True)
        ]

    def __repr__(self) -> str:
        """Return one line per job."""
        return "\n".join("  ".join(row) for row in self.rows()) or "no jobs"

    def _repr_html_(self) -> str:
        """Return the jobs as an HTML table."""
        # Imported late: what draws tables brings numpy.
        from foveal.render.markup import table_html

        return table_html(("job", "on", "state", "sent (UTC)"), self.rows())


def _state(job: Job) -> str:
    try:
        return str(job.state)
    except FovealError:
        return "unknown"
