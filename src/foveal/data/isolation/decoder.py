"""A decoder for untrusted pictures, each decoded in a sandboxed process."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import logging
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import LifoQueue
from typing import final

import numpy as np

from foveal.data.isolation.commands import COMMAND, KILL, START
from foveal.data.isolation.messages import receive, refused, request, send, sizes
from foveal.data.limits import DecodeLimits
from foveal.errors import ImageError, ImageMemoryError, UsageError
from foveal.types import Picture

logger = logging.getLogger(__name__)

# One black pixel.
_TINY = base64.b64decode("R0lGODdhAQABAIEAAAAAAAAAAAAAAAAAACwAAAAAAQABAAAIBAABBAQAOw==")
# Memory of larger pictures is given back at once.
_KEPT_BYTES = 4 << 20
# What the first process needs. Nothing else of the server's environment is handed on, such as keys.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHON", "LC_", "LD_", "DYLD_", "COV")
# It forks, and must hold no threads; arenas of memory for each would count as memory used.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from foveal.data.isolation.child import main
main(int(sys.argv[1]))
"""


@final
class IsolatedDecoder:
    """Decodes in sandboxed processes. Thread-safe.

    A picture on which a decoder crashes, hangs or asks for too much memory gets an error; its
    process is replaced, and the others go on. See `foveal.data.isolation.sandbox` for what such a
    process cannot do.

    Args:
        processes: Number of processes; further threads wait for a free one.
        timeout_s: Longest time that a picture may take.

    Raises:
        UsageError: Where processes cannot be forked.
    """

    def __init__(self, processes: int, *, timeout_s: float) -> None:
        if not hasattr(os, "fork"):
            raise UsageError("Isolated decoding needs Linux or macOS.")
        self.timeout_s = timeout_s
        self.lost = 0
        """How many processes ended on a picture."""
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._first: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._free: LifoQueue[_Process | None] = LifoQueue()
        for _ in range(processes):
            # Started when first needed: few threads of a server are always busy.
            self._free.put(None)

    def __call__(
        self, data: bytes, limits: DecodeLimits, *, min_size: tuple[int, int] | None = None
    ) -> Picture:
        """Decode a picture as `foveal.data.decode.decode` does, in another process.

        Raises:
            ImageError: As `decode` does; also when the process was lost on it.
        """
        limits.check_bytes(len(data))
        process = self._free.get()
        try:
            if process is not None and process.has_ended:
                self._discard(process)
                process = None
            process = process or self._started()
            return self._ask(process, data, limits, min_size)
        except (EOFError, ConnectionError, TimeoutError, ValueError) as error:
            # What it said made no sense, or it said nothing any more.
            if process is not None:
                self._discard(process)
                process = None
            self.lost += 1
            logger.warning("A decoding process died on a picture of %d bytes: %r", len(data), error)
            raise self._lost(error) from error
        except (OSError, MemoryError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not enough memory"
            raise ImageMemoryError(f"The picture cannot be decoded now: {reason}.") from error
        finally:
            self._free.put(process)

    def warm_up(self) -> None:
        """Warm up by decoding a picture.

        Raises:
            ImageError: If no process can be started here.
        """
        self(_TINY, DecodeLimits(max_bytes=len(_TINY), max_pixels=1))

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._end_first()
        while not self._free.empty():
            if process := self._free.get():
                process.close()

    def _ask(
        self,
        process: _Process,
        data: bytes,
        limits: DecodeLimits,
        min_size: tuple[int, int] | None,
    ) -> Picture:
        with process.holding(data):
            send(process.channel, request(len(data), limits, min_size))
            answer = receive(process.channel, self.timeout_s)
            if error := refused(answer):
                raise error
            height, width, *size = sizes(answer, limits)
            pixels = np.empty((height, width, 3), np.uint8)
            process.read(pixels.data.cast("B"))
        return Picture(pixels, *size)

    def _started(self) -> _Process:
        """Return a new process; the forking process is restarted if it was lost."""
        ours, theirs = socket.socketpair()
        process = _Process(next(self._numbers), ours, _memory())
        with theirs, self._lock:
            command = COMMAND.pack(START, process.number)
            descriptors = [theirs.fileno(), process.memory]
            if self._first is not None:
                try:
                    socket.send_fds(self._first[1], [command], descriptors)
                except ConnectionError:
                    self._end_first()
                else:
                    return process
            self._first = _start()
            socket.send_fds(self._first[1], [command], descriptors)
        return process

    def _discard(self, process: _Process) -> None:
        with self._lock, contextlib.suppress(ConnectionError):
            if self._first is not None:
                self._first[1].sendall(COMMAND.pack(KILL, process.number))
        process.close()

    def _end_first(self) -> None:
        if self._first is not None:
            running, control = self._first
            control.close()
            running.wait()
            self._first = None

    def _lost(self, error: Exception) -> ImageError:
        if isinstance(error, TimeoutError):
            return ImageError(
                f"The picture could not be decoded within {self.timeout_s:g} s.",
                hint="save it again as JPEG or PNG",
                code="image_timeout",
            )
        return ImageError("The picture could not be decoded: the decoding process crashed.")


@final
@dataclass(frozen=True, slots=True)
class _Process:
    """A decoding process.

    Attributes:
        number: Number by which the first process knows it.
        channel: To ask it.
        memory: Descriptor of memory that it shares: for the file, and then for the pixels.
    """

    number: int
    channel: socket.socket
    memory: int

    @property
    def has_ended(self) -> bool:
        """Whether the process has exited; it never writes unless it is asked."""
        # Not select(), which cannot look at descriptors over 1,023.
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        return bool(poll.poll(0))

    @contextmanager
    def holding(self, data: bytes) -> Iterator[None]:
        """Put the bytes of a file into shared memory within the block."""
        view, done = memoryview(data), 0
        while done < len(data):
            done += os.pwrite(self.memory, view[done:], done)
        try:
            yield
        finally:
            if os.fstat(self.memory).st_size > _KEPT_BYTES:
                os.ftruncate(self.memory, 0)

    def read(self, into: memoryview) -> None:
        """Copy pixels out of the shared memory.

        Read and not mapped: a process that cuts the memory short could end this one.

        Raises:
            EOFError: If there are fewer.
        """
        done = 0
        while done < len(into):
            count = os.preadv(self.memory, [into[done:]], done)
            if not count:
                raise EOFError("the memory has fewer pixels")
            done += count

    def close(self) -> None:
        self.channel.close()
        os.close(self.memory)


def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the process that starts the others. By exec: a server has threads, and secrets."""
    ours, theirs = socket.socketpair()
    with theirs:
        first = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", _START, str(theirs.fileno()), json.dumps(sys.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if k.startswith(_ENVIRONMENT)} | _ONE_THREAD,
        )
    return first, ours


def _memory() -> int:
    """Return a descriptor of anonymous memory, or of an unnamed file where that is unavailable."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("foveal-pixels")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
