"""Stop requests: Ctrl-C ends the fit after the current step, a second one immediately.

Whoever watches a run asks for its end after the epoch.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType

logger = logging.getLogger(__name__)


class StopSwitch:
    """Flag that asks the fit to stop. Thread-safe.

    Attributes:
        asked: After the current step.
        asked_to_finish: After the current epoch, its validation included.
    """

    def __init__(self) -> None:
        self.asked = False
        self.asked_to_finish = False

    def ask(self) -> None:
        """Ask the fit to stop after its current step."""
        self.asked = True

    def ask_to_finish(self) -> None:
        """Ask the fit to stop after its current epoch."""
        self.asked_to_finish = True

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for Ctrl-C, in the main thread, unless it is ignored (as under nohup)."""
        self.asked = False
        previous = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(previous):
            yield
            return

        def on_signal(number: int, frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.ask()
            # Whoever is just writing to the terminal may not be interrupted by another writer.
            with contextlib.suppress(RuntimeError):
                logger.warning("stopping after this step; press Ctrl-C again to stop at once")

        signal.signal(signal.SIGINT, on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
