"""Progress displays: a bar in a terminal or notebook, and occasional lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from html import escape
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.progress import (
    Progress as RichBar,
)
from rich.table import Column
from rich.text import Text

from foveal.console import NoProgress, Progress, ended, log_shown

# Between two lines where there is no terminal: a log should stay short.
LINE_EVERY_S = 10.0
# Columns of the bar on a narrow terminal, where there is just room for the values of a training,
# and on a wide one.
_BAR_WIDTH = (6, 28)
_WIDE = 110
# On fewer columns there is no room for the bar, nor for the percentage beside other values.
_ROOMY = 72
# A notebook sends every change over the network.
DRAW_EVERY_S = 0.2


def make_progress(*, quiet: bool) -> Progress:
    """Return a progress display for stderr: a bar, lines, or none."""
    if quiet:
        return NoProgress()
    return BarProgress() if sys.stderr.isatty() else LineProgress()


def command_progress(*, quiet: bool) -> AbstractContextManager[Progress]:
    """Yield the progress display of a command, and end its task with the block."""
    return ended(make_progress(quiet=quiet))


def live_progress() -> Progress:
    """Return a progress bar in a notebook or terminal, and no display anywhere else."""
    if in_notebook():
        return NotebookProgress()
    return BarProgress() if sys.stderr.isatty() else NoProgress()


@contextmanager
def followed() -> Iterator[Progress]:
    """Show foveal's messages, and yield a progress display that is drawn between them."""
    drawn = live_progress()
    if isinstance(drawn, NoProgress):
        drawn = LineProgress()
    shown = log_shown("stdout" if isinstance(drawn, NotebookProgress) else "stderr")
    with shown, ended(drawn):
        yield drawn


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook, which renders HTML."""
    kernel = sys.modules.get("ipykernel.zmqshell")
    ipython = sys.modules.get("IPython")
    if kernel is None or ipython is None:
        return False
    return isinstance(ipython.get_ipython(), kernel.ZMQInteractiveShell)


class NotebookProgress:
    """A progress bar in the output of a cell; each finished task remains as a line."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._done: list[str] = []
        self._title: str | None = None
        self._total: int | None = None
        self._steps = 0
        self._fields: dict[str, str] = {}
        self._began = self._drawn = 0.0

    def start(self, title: str, total: int | None) -> None:
        """Begin a task of `total` steps; None if the number is unknown."""
        self.finish()
        self._title, self._total, self._steps, self._fields = title, total, 0, {}
        self._began = time.monotonic()
        self._draw(self._bar())

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Report that `done` steps are finished so far, with named values to show."""
        self._steps, self._fields = done, fields or self._fields
        if self._title is not None and time.monotonic() - self._drawn >= DRAW_EVERY_S:
            self._draw(self._bar())

    def finish(self) -> None:
        """End the current task."""
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


class _Share(ProgressColumn):
    """Column with the percentage done, or with the count if the total is unknown.

    Args:
        gives_way: Whether it is empty while there are values to show.
    """

    def __init__(self, *, gives_way: bool) -> None:
        super().__init__(Column(no_wrap=True))
        self._gives_way = gives_way

    def render(self, task: Task) -> Text:
        """Return the text, padded to the width of `100 %`."""
        if self._gives_way and task.fields["shown"]:
            return Text()
        return Text(f"{_share(int(task.completed), task.total):>5}", "progress.percentage")


class _Clock(ProgressColumn):
    """Column with the estimated time left; at the end, the time taken."""

    def render(self, task: Task) -> Text:
        """Return minutes and seconds."""
        if task.fields["ended"]:
            return Text(_minutes(task.elapsed or 0.0), "progress.elapsed")
        left = task.fields["left"]
        if left is None and task.time_remaining is not None:
            left = _minutes(task.time_remaining)
        if left is None:
            return Text(_minutes(task.elapsed or 0.0), "progress.elapsed")
        return Text(f"{left} left", "progress.remaining")


class BarProgress:
    """A bar with the share that is done, named values, and the time left or, at the end, taken."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._is_narrow = self._console.width < _WIDE
        self._is_crowded = self._console.width < _ROOMY
        self._bar: RichBar | None = None
        self._task: TaskID | None = None

    def start(self, title: str, total: int | None) -> None:
        """Begin a task of `total` steps; None if the number is unknown."""
        self.finish()
        bar = BarColumn(bar_width=_BAR_WIDTH[0] if self._is_narrow else _BAR_WIDTH[1])
        self._bar = RichBar(
            *([] if self._is_narrow else [SpinnerColumn()]),
            TextColumn("{task.description}"),
            *([] if self._is_crowded else [bar]),
            _Share(gives_way=self._is_crowded),
            TextColumn("{task.fields[shown]}", table_column=Column(no_wrap=True)),
            _Clock(table_column=Column(no_wrap=True)),
            console=self._console,
        )
        self._task = self._bar.add_task(title, total=total, shown="", left=None, ended=False)
        self._bar.start()

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Report that `done` steps are finished so far, with named values to show."""
        if self._bar is None or self._task is None:
            return
        if fields:
            left = fields.get("left")
            if self._is_narrow:
                fields = {name: value for name, value in fields.items() if name != "rate"}
            self._bar.update(self._task, completed=done, shown=_shown(fields), left=left)
        else:
            self._bar.update(self._task, completed=done)

    def finish(self) -> None:
        """End the current task."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, ended=True)
            self._bar.stop()
            self._bar = self._task = None


class LineProgress:
    """Prints a line when a task begins, every ten seconds, and when it is done."""

    def __init__(self) -> None:
        self._title: str | None = None
        self._total: int | None = None
        self._done = 0
        self._fields: dict[str, str] = {}
        self._began = self._said = 0.0

    def start(self, title: str, total: int | None) -> None:
        """Begin a task of `total` steps; None if the number is unknown."""
        self.finish()
        self._title, self._total, self._done, self._fields = title, total, 0, {}
        self._began = self._said = time.monotonic()

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Report that `done` steps are finished so far, with named values to show."""
        self._done = done
        self._fields = fields or self._fields
        if self._title is not None and time.monotonic() - self._said >= LINE_EVERY_S:
            self._said = time.monotonic()
            self._print("")

    def finish(self) -> None:
        """End the current task."""
        if self._title is not None:
            self._print(f"  ({time.monotonic() - self._began:.1f} s)")
            self._title = None

    def _print(self, end: str) -> None:
        left = self._fields.get("left")
        words = [
            self._title,
            _share(self._done, self._total),
            _shown(self._fields),
            f"{left} left" if left is not None and not end else None,
        ]
        sys.stderr.write("  ".join(word for word in words if word) + end + "\n")


def _share(done: int, total: float | None) -> str:
    """Return `25 %`, or the count if the total is unknown; empty before the first step."""
    if total is None:
        return f"{done:,}" if done else ""
    return f"{100 * done // max(1, int(total))} %"


def _shown(fields: dict[str, str]) -> str:
    """Return the named values as text; a rate is shown with its unit instead of its name."""
    return "  ".join(
        value if name == "rate" else f"{name} {value}"
        for name, value in fields.items()
        if name != "left"
    )


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    shown = f"{minutes}:{whole % 60:02}"
    return f"{hours}:{shown:0>5}" if hours else shown
