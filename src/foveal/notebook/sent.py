"""A job submitted from a notebook, whose card is updated while it runs."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from foveal.errors import FovealError
from foveal.jobs.job import Job, JobState
from foveal.jobs.results import NothingYet
from foveal.notebook.job_card import Snapshot, run_in

_TAIL = 15
_EVERY_S = 1.0


class JobFailed(FovealError):
    """Raised if a job that a notebook waited for did not succeed."""

    code = "job_failed"


@final
class SentJob:
    """A job as the value of a cell: state, end of the log, and results.

    Every display is updated until the job has ended. Then the results are fetched.

    Args:
        job: The job.
        out: Folder to which results are fetched.
    """

    def __init__(self, job: Job, out: Path) -> None:
        self.job = job
        self._out = out
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._outputs: Path | None = None
        self._trouble = ""
        self._fetching = threading.Lock()
        self._reader: threading.Thread | None = None
        self._cards: list[threading.Thread] = []
        self._is_shown = False

    @property
    def name(self) -> str:
        """Name of the job in `foveal jobs`."""
        return self.job.name

    @property
    def state(self) -> JobState:
        """State of the job, as queried from the target."""
        return self.job.state

    @property
    def outputs(self) -> Path | None:
        """Local path of the results; None until they are fetched."""
        return self._outputs

    @property
    def run(self) -> Path | None:
        """The run among the results, for `foveal.load`, or None."""
        return run_in(self._outputs) if self._outputs else None

    def logs(self) -> str:
        """Return the log so far."""
        return "\n".join(self.job.logs())

    def stop(self) -> None:
        """Stop the job; a training writes a checkpoint first."""
        self.job.stop()

    def fetch(self) -> Path:
        """Fetch the results, again if the job is still running, and return their path.

        Raises:
            UsageError: If there are no results yet.
        """
        with self._fetching:
            self._outputs = self.job.fetch(self._out)
        return self._outputs

    def wait(self) -> SentJob:
        """Wait until the job has ended, and fetch the results.

        Interrupting the kernel stops waiting, but not the job.

        Raises:
            JobFailed: If the job did not succeed, or cannot be reached.
        """
        reader = self._following()
        while reader.is_alive():
            reader.join(_EVERY_S)
        # The notebook may end now, and would keep a card of a job that runs.
        for card in self._cards:
            card.join()
        self._cards.clear()
        state = self.state
        if state is JobState.SUCCEEDED:
            return self
        where = f"The job {self.name} on {self.job.target}"
        if not state.is_final:
            # The next call asks again.
            self._reader = None
            raise JobFailed(f"{where} cannot be followed: {self._trouble}", hint="job.wait()")
        reasons = [*filter(None, [self.job.why()]), *list(self._tail)[-1:]]
        how = "failed" if state is JobState.FAILED else "was stopped"
        raise JobFailed(
            f"{where} {how}" + (f": {'; '.join(reasons)}" if reasons else "."),
            hint=f"!foveal jobs logs {self.name}",
        )

    def watched(self) -> SentJob:
        """Show the card, wait, and return the job, of which the cell shows no second card.

        Raises:
            JobFailed: As for `wait`.
        """
        self._ipython_display_()
        self.wait()
        self._is_shown = True
        return self

    def snapshot(self) -> Snapshot:
        """Return the current state."""
        state, trouble = None, self._trouble
        try:
            state = self.state
        except FovealError as error:
            trouble = error.message
        return Snapshot(
            self.name,
            str(self.job.target),
            state,
            tuple(map(self._as_here, self._tail)),
            self._outputs,
            trouble,
        )

    def _as_here(self, line: str) -> str:
        """Return a line of the log with paths of results replaced by local ones."""
        there = self.job.record.output
        return line.replace(there, str(self._outputs)) if there and self._outputs else line

    def __repr__(self) -> str:
        """Return the state and the end of the log."""
        return repr(self.snapshot())

    def _ipython_display_(self) -> None:
        """Show the card, and update it until the job has ended."""
        if self._is_shown:
            self._is_shown = False
            return
        # Imported late: IPython is there when this is called.
        from IPython.display import display

        reader = self._following()
        handle = display(self.snapshot(), display_id=True)  # type: ignore[no-untyped-call]
        if handle is not None:
            refresh = threading.Thread(
                target=self._refresh, args=(handle, reader), name="foveal-card", daemon=True
            )
            refresh.start()
            self._cards.append(refresh)

    def _following(self) -> threading.Thread:
        """Return the thread that reads the log, and fetches the results when the job has ended."""
        if self._reader is None:
            # The log is read from its beginning.
            self._tail.clear()
            self._trouble = ""
            self._reader = threading.Thread(target=self._follow, name="foveal-log", daemon=True)
            self._reader.start()
        return self._reader

    def _follow(self) -> None:
        try:
            for line in self.job.logs(follow=True):
                self._tail.append(line)
            # Many a job prints what it found, and writes nothing.
            with suppress(NothingYet):
                self.fetch()
        except FovealError as error:
            # It stands in the card: nobody would see an error of this thread.
            self._trouble = error.message

    def _refresh(self, handle: Any, reader: threading.Thread) -> None:
        shown = self.snapshot()
        while reader.is_alive():
            reader.join(_EVERY_S)
            if (now := self.snapshot()) != shown:
                handle.update(now)
                shown = now
        handle.update(self.snapshot())
