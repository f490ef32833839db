"""Run other runtimes in worker processes that answer calls with arrays.

TensorFlow and its kind change a process that imports them: threads, signal handlers, allocators,
what is written to the terminal. They never live in the user's. A worker is started by the name
of its module, takes calls from its standard input and answers on its standard output; what else
it writes is kept for the case that it fails.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import FovealError, unpacked

Arrays: TypeAlias = dict[str, NDArray[Any]]
Handler: TypeAlias = Callable[[Arrays], Arrays]

_HEAD = struct.Struct(">QQ")
# Lines of what a worker wrote before it ended that are shown.
_LAST_LINES = 5


@final
class Worker:
    """A module that runs as a program and answers calls; see `answer_calls`.

    Args:
        module: Its name.
        arguments: What it is started with.
        environment: Variables beside those of this process.
    """

    def __init__(
        self, module: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._module = module
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **(environment or {})},
        )

    def call(self, name: str, **arrays: NDArray[Any]) -> Arrays:
        """Return what the worker's handler of this name gives.

        Raises:
            FovealError: What the handler raised, or that the worker ended.
        """
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None:
            raise RuntimeError("The worker has no pipes.")
        try:
            _send(to, {"call": name}, arrays)
            head, answered = _receive(back)
        except (EOFError, BrokenPipeError) as error:
            status = self._process.wait()
            is_killed = status == -signal.SIGKILL
            raise FovealError(
                f"The process {self._module} ended with status {status} while running {name!r}: "
                f"{self._last_lines()}",
                hint="free some memory, then run the command again" if is_killed else None,
            ) from error
        if (wrong := head.get("error")) is not None:
            raise unpacked(wrong)
        return answered

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()

    def _last_lines(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return " / ".join(lines[-_LAST_LINES:]) or "no output"


@contextlib.contextmanager
def working(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[Worker]:
    """Give a worker that ends with the block."""
    worker = Worker(module, *arguments, environment=environment)
    try:
        yield worker
    finally:
        worker.close()


def answer_calls(handlers: Mapping[str, Handler]) -> None:
    """Answer the calls on standard input until it ends: what a worker's module runs.

    Errors of foveal's own are given back to who called; others end the process.

    Args:
        handlers: Name → handler, which takes and gives arrays by name.
    """
    back = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever libraries print must not get between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while True:
        try:
            head, arrays = _receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            _send(back, {}, handlers[head["call"]](arrays))
        except FovealError as error:
            _send(back, {"error": error.packed()}, {})


def pack_files(files: list[bytes]) -> Arrays:
    """Return files as arrays; see `unpack_files`."""
    return {
        "content": np.frombuffer(b"".join(files), np.uint8),
        "sizes": np.array([len(data) for data in files], np.int64),
    }


def unpack_files(arrays: Arrays) -> list[bytes]:
    """Return the files that `pack_files` was given."""
    content, ends = arrays["content"].tobytes(), np.cumsum(arrays["sizes"]).tolist()
    return [content[first:end] for first, end in zip([0, *ends], ends, strict=False)]


def _send(to: IO[bytes], head: Mapping[str, Any], arrays: Arrays) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    start, body = json.dumps(head).encode(), buffer.getvalue()
    to.write(_HEAD.pack(len(start), len(body)) + start)
    to.write(body)
    to.flush()


def _receive(source: Any) -> tuple[dict[str, Any], Arrays]:
    first, second = _HEAD.unpack(_exactly(source, _HEAD.size))
    head = json.loads(_exactly(source, first))
    with np.load(io.BytesIO(_exactly(source, second)), allow_pickle=False) as found:
        return head, dict(found)


def _exactly(source: Any, count: int) -> bytes:
    data: bytes = source.read(count)
    if len(data) < count:
        raise EOFError
    return data
