"""Progress for people: a bar on a terminal or in a notebook, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

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

from foveal.console import NoProgress, Progress, log_shown

# Between two lines where there is no terminal: a log should stay short.
LINE_EVERY_S = 10.0
# A notebook sends every change over the network.
DRAW_EVERY_S = 0.2


def make_progress(*, quiet: bool) -> Progress:
    """Return what draws progress on stderr: a bar, lines, or nothing."""
    if quiet:
        return NoProgress()
    return BarProgress() if sys.stderr.isatty() else LineProgress()


def live_progress() -> Progress:
    """Return what draws a bar in a notebook or on a terminal, and nothing anywhere else."""
    if in_notebook():
        return NotebookProgress()
    return BarProgress() if sys.stderr.isatty() else NoProgress()


@contextmanager
def followed() -> Iterator[Progress]:
    """Show foveal's messages, and give what draws the progress between them."""
    drawn = live_progress()
    if isinstance(drawn, NoProgress):
        drawn = LineProgress()
    with log_shown("stdout" if isinstance(drawn, NotebookProgress) else "stderr"):
        try:
            yield drawn
        finally:
            drawn.finish()


def in_notebook() -> bool:
    """Return whether this is the kernel of a notebook, which shows HTML."""
    kernel = sys.modules.get("ipykernel.zmqshell")
    ipython = sys.modules.get("IPython")
    if kernel is None or ipython is None:
        return False
    return isinstance(ipython.get_ipython(), kernel.ZMQInteractiveShell)


class NotebookProgress:
    """A bar in the output of a cell: what was done stays, a line for each piece of work."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._done: list[str] = []
        self._title: str | None = None
        self._total: int | None = None
        self._steps = 0
        self._fields: dict[str, str] = {}
        self._began = self._drawn = 0.0

    def start(self, title: str, total: int | None) -> None:
        """Begin a piece of work of `total` steps (None when unknown)."""
        self.finish()
        self._title, self._total, self._steps, self._fields = title, total, 0, {}
        self._began = time.monotonic()
        self._draw(self._bar())

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Say that `done` steps are finished so far, with named values to show."""
        self._steps, self._fields = done, fields or self._fields
        if self._title is not None and time.monotonic() - self._drawn >= DRAW_EVERY_S:
            self._draw(self._bar())

    def finish(self) -> None:
        """End the current piece of work."""
        if self._title is not None:
            words = [_shown(self._fields), f"{time.monotonic() - self._began:.0f} s"]
            self._done.append("  ".join([self._title, *filter(None, words)]))
            self._title = None
            self._draw("")

    def _bar(self) -> str:
        most = "" if self._total is None else f' max="{max(1, self._total)}"'
        words = escape(f"{self._title}  {_shown(self._fields)}")
        return f'<progress value="{self._steps}"{most}></progress> {words}'

    def _draw(self, bar: str) -> None:
        # Imported late: IPython is there when this is used.
        from IPython.display import display

        self._drawn = time.monotonic()
        lines = "<br>".join([*map(escape, self._done), *filter(None, [bar])])
        shown = {
            "text/html": f'<div style="white-space:pre-wrap">{lines}</div>',
            "text/plain": "\n".join(self._done),
        }
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown, raw=True)


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
