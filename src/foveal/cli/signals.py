"""SIGTERM, as sent by schedulers and `docker stop`, taken for Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

# 128 + the number of the signal, as shells report it.
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


@dataclass
class Ending:
    """The exit status of a command that was stopped: by Ctrl-C, until SIGTERM arrives."""

    status: int = EXIT_INTERRUPTED


@contextlib.contextmanager
def termination_as_interrupt() -> Iterator[Ending]:
    """Answer SIGTERM as Ctrl-C is answered at that moment, in the main thread.

    Where Ctrl-C is ignored, as by what a shell script starts in the background, SIGTERM is not.
    """
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        ending.status = EXIT_TERMINATED
        if not callable(signal.getsignal(signal.SIGINT)):
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    previous = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield ending
    finally:
        signal.signal(signal.SIGTERM, previous)
