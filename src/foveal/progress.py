"""Progress for people: a bar on a terminal, a line now and then everywhere else."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as RichBar,
)

from foveal.console import NoProgress, Progress

# Between two lines where there is no terminal: a log should stay short.
LINE_EVERY_S = 10.0


def make_progress(*, quiet: bool) -> Progress:
    """Return what draws progress on stderr: a bar, lines, or nothing."""
    if quiet:
        return NoProgress()
    return BarProgress() if sys.stderr.isatty() else LineProgress()


class BarProgress:
    """A bar with its named values, the rate's consequence (time left) and the time so far."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar: RichBar | None = None
        self._task: TaskID | None = None
        self._total: int | None = None

    def start(self, title: str, total: int | None) -> None:
        """Begin a piece of work of `total` steps (None when unknown)."""
        self.finish()
        self._bar = RichBar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=self._console,
        )
        self._total = total
        self._task = self._bar.add_task(title, total=total, shown="")
        self._bar.start()

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Say that `done` steps are finished so far, with named values to show."""
        if self._bar is None or self._task is None:
            return
        if fields:
            self._bar.update(self._task, completed=done, shown=_shown(fields))
        else:
            self._bar.update(self._task, completed=done)

    def finish(self) -> None:
        """End the current piece of work."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None


class LineProgress:
    """One line when work begins, one every ten seconds, one when it is done."""

    def __init__(self) -> None:
        self._title: str | None = None
        self._total: int | None = None
        self._done = 0
        self._fields: dict[str, str] = {}
        self._began = self._said = 0.0

    def start(self, title: str, total: int | None) -> None:
        """Begin a piece of work of `total` steps (None when unknown)."""
        self.finish()
        self._title, self._total, self._done, self._fields = title, total, 0, {}
        self._began = self._said = time.monotonic()

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Say that `done` steps are finished so far, with named values to show."""
        self._done = done
        self._fields = fields or self._fields
        if self._title is not None and time.monotonic() - self._said >= LINE_EVERY_S:
            self._said = time.monotonic()
            self._print("")

    def finish(self) -> None:
        """End the current piece of work."""
        if self._title is not None:
            self._print(f"  ({time.monotonic() - self._began:.1f} s)")
            self._title = None

    def _print(self, end: str) -> None:
        steps = f"{self._done}/{self._total}" if self._total is not None else str(self._done)
        sys.stderr.write(f"{self._title}  {steps}  {_shown(self._fields)}".rstrip() + end + "\n")


def _shown(fields: dict[str, str]) -> str:
    return "  ".join(f"{name} {value}" for name, value in fields.items())
