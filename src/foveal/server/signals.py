"""Signal handling of the supervisor."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

from foveal.server.run import has_terminal

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@final
class Signals:
    """Collects SIGTERM, SIGINT and SIGHUP while it is entered.

    Attributes:
        wake: Can be read when one has come.
    """

    def __init__(self) -> None:
        self._heard: list[int] = []
        self.wake, self._ours = socket.socketpair()
        self.wake.setblocking(False)
        self._ours.setblocking(False)

    def end(self) -> int | None:
        """Return the next signal that asks for the end, once."""
        for position, number in enumerate(self._heard):
            if number != signal.SIGHUP:
                return self._heard.pop(position)
        return None

    def hangup(self) -> bool:
        """Return whether SIGHUP has come since this was asked; however often, it is one."""
        count = self._heard.count(signal.SIGHUP)
        for _ in range(count):
            self._heard.remove(signal.SIGHUP)
        return count > 0

    def rest(self) -> None:
        """Let `wake` be readable only when another one comes."""
        with contextlib.suppress(BlockingIOError):
            self.wake.recv(4096)

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Hear signals. When the terminal is closed, which sends SIGHUP too, it is as Ctrl-C."""
        had_terminal = has_terminal()

        def on_signal(number: int, _: FrameType | None) -> None:
            is_closed = number == signal.SIGHUP and had_terminal and not has_terminal()
            self._heard.append(signal.SIGINT if is_closed else number)

        before_fd = signal.set_wakeup_fd(self._ours.fileno())
        before = {number: signal.signal(number, on_signal) for number in _NUMBERS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before_fd)
            self.wake.close()
            self._ours.close()
