"""Serves an app, and the pictures of its proof, to one browser or Node on this machine."""

from __future__ import annotations

import json
import mimetypes
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from foveal.export.web.place import PROVER
from foveal.types import JsonObject

# How long a client's question for the next picture waits; it asks again.
_POLL_S = 5.0
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html"}


@final
@dataclass(frozen=True, slots=True)
class Said:
    """The response of the app for one picture.

    Attributes:
        header: `runtime`, and `answer` or `error`.
        arrays: The network's outputs, `model input`, and of a segmenter `mask`.
    """

    header: JsonObject
    arrays: Mapping[str, NDArray[Any]]


@final
class ProofServer:
    """A server on this machine alone, at an address that nobody else can guess.

    Args:
        folder: The app.
    """

    def __init__(self, folder: Path) -> None:
        self._pictures: Queue[bytes] = Queue()
        self._answers: Queue[Said] = Queue()
        self._ended = threading.Event()
        self._token = secrets.token_urlsafe(16)
        handler = _handler(folder, self._token, self._pictures, self._answers, self._ended)
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Base URL for the prover, whose page is `page.html`."""
        return f"http://127.0.0.1:{self._server.server_port}/{self._token}/prover/"

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def ask(self, picture: bytes) -> None:
        """Offer a picture file to the app."""
        self._pictures.put(picture)

    def answer(self, timeout_s: float) -> Said | None:
        """Return the next answer; None when there is none within the time."""
        try:
            return self._answers.get(timeout=timeout_s)
        except Empty:
            return None


@final
class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that ends closes its connections."""


def _handler(
    folder: Path,
    token: str,
    pictures: Queue[bytes],
    answers: Queue[Said],
    ended: threading.Event,
) -> type[BaseHTTPRequestHandler]:
    @final
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0].removeprefix(f"/{token}/")
            if path == "prover/next":
                self._give_picture()
            elif (file := _file(folder, path)) is not None and file.is_file():
                kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0]
                self._reply(200, file.read_bytes(), kind or "application/octet-stream")
            else:
                self._reply(404, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path != f"/{token}/prover/answer":
                self._reply(404, b"")
                return
            answers.put(_parse(body))
            self._reply(204, b"")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: who exports a model did not start a server."""

        def _give_picture(self) -> None:
            try:
                self._reply(200, pictures.get(timeout=_POLL_S))
            except Empty:
                self._reply(410 if ended.is_set() else 204, b"")

        def _reply(self, status: int, body: bytes, kind: str = "application/octet-stream") -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("cache-control", "no-store")
            if status != 204:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            if status != 204:
                self.wfile.write(body)

    return Handler


def _file(folder: Path, path: str) -> Path | None:
    """Return the file at an address below the token: of the app, or of the prover."""
    if ".." in path or path.startswith("/"):
        return None
    name = path.removeprefix("prover/")
    return PROVER / name if name != path else folder / path


def _parse(body: bytes) -> Said:
    line, _, rest = body.partition(b"\n")
    header: JsonObject = json.loads(line)
    arrays: dict[str, NDArray[Any]] = {}
    start = 0
    for listed in header.get("arrays", []):
        kind = np.dtype(np.uint8 if listed["dtype"] == "uint8" else "<f4")
        count = int(np.prod(listed["dims"]))
        values = np.frombuffer(rest, kind, count, start)
        arrays[listed["name"]] = values.reshape(listed["dims"])
        start += values.nbytes
    return Said(header, arrays)
