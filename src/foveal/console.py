"""Logging set-up and the `Progress` protocol. The library logs and reports; it never draws."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol


class Progress(Protocol):
    """What long work reports to. The command line draws it; the library's default ignores it."""

    def start(self, title: str, total: int | None) -> None:
        """Begin a piece of work of `total` steps (None when unknown)."""

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Say that `done` steps are finished so far, with named values to show."""

    def finish(self) -> None:
        """End the current piece of work."""


class NoProgress:
    """Ignores every report."""

    def start(self, title: str, total: int | None) -> None:
        """Ignore."""

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""


def log_to_file(path: Path) -> logging.Handler:
    """Send foveal's own log lines (INFO and up) to `path` and return the handler.

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
    """Detach and close a handler that `log_to_file` returned."""
    logging.getLogger("foveal").removeHandler(handler)
    handler.close()


class _LogHandler(logging.Handler):
    """Writes to whatever the stream is now, so that a progress bar can keep its place."""

    def __init__(self, level: int, stream: Literal["stderr", "stdout"] = "stderr") -> None:
        super().__init__(level)
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record as a line for people."""
        name = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        getattr(sys, self._stream).write(f"{name}{record.getMessage()}\n")


def show_log(level: int) -> None:
    """Send foveal's messages from `level` up to stderr; the last call counts."""
    logger = logging.getLogger("foveal")
    for handler in [h for h in logger.handlers if isinstance(h, _LogHandler)]:
        logger.removeHandler(handler)
    logger.addHandler(_LogHandler(level))
    # Never above INFO: the log file of a run wants that whatever the terminal shows.
    logger.setLevel(min(level, logging.INFO))


def show_messages(module: str, *, wanted: bool) -> None:
    """Send the messages of one module to stderr from INFO up, or no longer; see `show_log`."""
    logger = logging.getLogger(module)
    logger.handlers = [h for h in logger.handlers if not isinstance(h, _LogHandler)]
    all_of_it = logging.getLogger("foveal").handlers
    # One message is shown once.
    if wanted and all(h.level > logging.INFO for h in all_of_it if isinstance(h, _LogHandler)):
        logger.addHandler(_LogHandler(logging.INFO))


@contextmanager
def log_shown(stream: Literal["stderr", "stdout"]) -> Iterator[None]:
    """Show foveal's messages, from INFO up, while a block runs."""
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
    """Show messages of some modules only, and errors of all, while a block runs.

    Files of log lines still get everything.
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
