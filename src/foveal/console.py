"""Logging and the `Progress` protocol. The library reports progress but never displays it."""

from __future__ import annotations

import logging
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, TextIO

# Below this many columns, broken lines are no easier to read.
_LEAST_COLUMNS = 20


class Progress(Protocol):
    """Receives the progress of long-running work, which the command line displays."""

    def start(self, title: str, total: int | None) -> None:
        """Begin a task of `total` steps; None if the number is unknown."""

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Report that `done` steps are finished so far, with named values to show."""

    def finish(self) -> None:
        """End the current task."""


class NoProgress:
    """A `Progress` that ignores all reports."""

    def start(self, title: str, total: int | None) -> None:
        """Ignore."""

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""


def log_to_file(path: Path) -> logging.Handler:
    """Write foveal's log records of level INFO and above to `path`, and return the handler.

    The caller removes the handler with `stop_logging` when the run ends.
    """
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("foveal")
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    return handler


def stop_logging(handler: logging.Handler) -> None:
    """Detach and close a handler returned by `log_to_file`."""
    logging.getLogger("foveal").removeHandler(handler)
    handler.close()


def fitted(text: str, stream: TextIO) -> str:
    """Return text broken between words to the width of a terminal, with indented continuations.

    Text for a file or a pipe is returned as it is. So are hints, whose commands are copied: a line
    that is broken by the terminal itself is still copied as one line.
    """
    if not stream.isatty():
        return text
    columns = os.get_terminal_size(stream.fileno()).columns
    if columns < _LEAST_COLUMNS:
        return text
    return "\n".join(_broken(line, columns) for line in text.split("\n"))


def _broken(line: str, columns: int) -> str:
    bare = line.lstrip()
    if len(line) <= columns or bare.startswith("hint: "):
        return line
    indent = " " * (len(line) - len(bare) + 2)
    return textwrap.fill(
        line,
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


class _LogHandler(logging.Handler):
    """Writes to the current standard error stream, so that a progress bar stays in place."""

    def __init__(self, level: int, stream: Literal["stderr", "stdout"] = "stderr") -> None:
        super().__init__(level)
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record as a readable line."""
        name = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        stream: TextIO = getattr(sys, self._stream)
        stream.write(f"{fitted(name + record.getMessage(), stream)}\n")


def show_log(level: int) -> None:
    """Write foveal's messages of `level` and above to stderr; the last call takes effect."""
    logger = logging.getLogger("foveal")
    for handler in [h for h in logger.handlers if isinstance(h, _LogHandler)]:
        logger.removeHandler(handler)
    logger.addHandler(_LogHandler(level))
    # Never above INFO: the log file of a run wants that whatever the terminal shows.
    logger.setLevel(min(level, logging.INFO))


def show_messages(module: str, *, wanted: bool) -> None:
    """Start or stop writing the INFO messages of one module to stderr; see `show_log`."""
    logger = logging.getLogger(module)
    logger.handlers = [h for h in logger.handlers if not isinstance(h, _LogHandler)]
    all_of_it = logging.getLogger("foveal").handlers
    # One message is shown once.
    if wanted and all(h.level > logging.INFO for h in all_of_it if isinstance(h, _LogHandler)):
        logger.addHandler(_LogHandler(logging.INFO))


@contextmanager
def ended(progress: Progress) -> Iterator[Progress]:
    """Yield a display of progress, and end its task with the block."""
    try:
        yield progress
    finally:
        progress.finish()


@contextmanager
def log_shown(stream: Literal["stderr", "stdout"]) -> Iterator[None]:
    """Show foveal's messages of level INFO and above within a block."""
    logger = logging.getLogger("foveal")
    others = [handler for handler in logger.handlers if isinstance(handler, _LogHandler)]
    handler, before = _LogHandler(logging.INFO, stream), logger.level
    # One message is shown once.
    for other in others:
        logger.removeHandler(other)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        for other in others:
            logger.addHandler(other)


@contextmanager
def only_shown(*modules: str) -> Iterator[None]:
    """Show only the messages of some modules, and errors of all modules, within a block.

    Log files still receive all messages.
    """

    def is_wanted(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or record.name.startswith(modules)

    logger = logging.getLogger("foveal")
    handlers = [handler for handler in logger.handlers if isinstance(handler, _LogHandler)]
    for handler in handlers:
        handler.addFilter(is_wanted)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_wanted)
