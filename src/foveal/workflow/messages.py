"""Messages between the processes of a training and their parent.

They meet at a key-value store of torch.distributed that the starting process keeps. Keys begin
with a word that only they know, so that nobody else on the machine can take part.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, final

from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from foveal.console import Progress
from foveal.errors import FovealError, unpacked
from foveal.types import JsonObject

logger = logging.getLogger(__name__)

# How often a process asks whether it shall stop.
ASKED_EVERY_S = 0.2
_TIMEOUT = timedelta(seconds=60)
# Exit status of a process that the one that started it has left alone.
_ORPHANED = 76


@final
@dataclass(frozen=True, slots=True)
class Address:
    """Where the store is.

    Attributes:
        host: Name or address of the starting process's machine.
        port: Port of the store.
        word: Prefix of the keys.
    """

    host: str
    port: int
    word: str

    def store(self, part: str) -> Store:
        """Return a connection of its own to the store, for the keys of one part."""
        store = TCPStore(self.host, self.port, is_master=False, timeout=_TIMEOUT)
        return PrefixStore(f"{self.word}/{part}", store)


@final
class Inbox:
    """The starting process's end.

    Args:
        host: Address that it listens on.
    """

    def __init__(self, host: str) -> None:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
            listening.bind((host, 0))
            listening.listen()
            # The store closes what it is given; by itself it would listen on every address.
            self._server = TCPStore(
                host,
                listening.getsockname()[1],
                is_master=True,
                wait_for_workers=False,
                timeout=_TIMEOUT,
                master_listen_fd=os.dup(listening.fileno()),
            )
        self.address = Address(host, self._server.port, secrets.token_hex(16))
        self._store = PrefixStore(f"{self.address.word}/messages", self._server)
        self._read = 0
        self.error: FovealError | None = None

    def pump(self, progress: Progress) -> None:
        """Hand on what was reported since the last time: progress, lines of the log, an error."""
        while self._store.check([key := f"message/{self._read}"]):
            message = json.loads(self._store.get(key))
            self._store.delete_key(key)
            self._read += 1
            self._take(message, progress)

    def ask(self, *, after_epoch: bool) -> None:
        """Ask the training to stop, after its step or its epoch."""
        self._store.set("stop/epoch" if after_epoch else "stop/step", "1")

    def _take(self, message: JsonObject, progress: Progress) -> None:
        kind: str = message["is"]
        values: list[Any] = message["values"]
        if kind == "log":
            name, level, text = values
            logging.getLogger(name).log(level, "%s", text)
        elif kind == "error":
            self.error = unpacked(*values)
        else:
            getattr(progress, kind)(*values)


@final
class Outbox:
    """A process's end; a `Progress`.

    Args:
        address: Where the store is.
    """

    def __init__(self, address: Address) -> None:
        self._store = address.store("messages")
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def start(self, title: str, total: int | None) -> None:
        """Begin a piece of work."""
        self._send("start", title, total)

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Say how much of it is done."""
        self._send("update", done, fields)

    def finish(self) -> None:
        """End it."""
        self._send("finish")

    def log(self, record: logging.LogRecord) -> None:
        """Hand on a line of the log."""
        self._send("log", record.name, record.levelno, record.getMessage())

    def error(self, error: FovealError) -> None:
        """Say why the training cannot go on."""
        self._send("error", error.packed())

    def listen(self, stop: Callable[..., None]) -> None:
        """Call `stop` when the training is asked to end, from a thread."""

        def ask() -> None:
            while not self._closed.wait(ASKED_EVERY_S):
                try:
                    if self._store.check(["stop/step"]):
                        stop()
                    if self._store.check(["stop/epoch"]):
                        stop(after_epoch=True)
                except RuntimeError:
                    # Nobody is there to take what this process does.
                    if not self._closed.is_set():
                        os._exit(_ORPHANED)

        threading.Thread(target=ask, name="foveal-asked", daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._closed.set()

    def _send(self, kind: str, *values: Any) -> None:
        with self._lock:
            number = self._store.add("messages", 1) - 1
            self._store.set(f"message/{number}", json.dumps({"is": kind, "values": values}))


@final
class ForwardLog(logging.Handler):
    """Hands the lines of the log on."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(logging.INFO)
        self._outbox = outbox

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one on."""
        self._outbox.log(record)
