"""A proxy before an object store that fails as told: statuses, resets, halves, slow answers."""

from __future__ import annotations

import http.client
import socket
import struct
from collections import deque
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

# What happens to a request: an HTTP status, or one of these.
RESET = "reset"  # the connection is reset before the answer
HALF = "half"  # half of the answer, then the end of the connection
LOST = "lost"  # the request is done, its answer is lost
SLOW = "slow"  # no answer until `heal`


class FailingProxy:
    """Forwards to a server; `fail` says what becomes of the next requests.

    Attributes:
        url: Where it listens.
        requests: What was asked, as `GET /bucket/key`.
    """

    def __init__(self, target: str) -> None:
        self._failures: deque[int | str] = deque()
        self._only = ""
        self._lock = Lock()
        self._healed = Event()
        self.requests: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                proxy._forward(self, urlsplit(target).netloc)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._healed.set()
        self._server.shutdown()
        self._server.server_close()

    def fail(self, *failures: int | str, only: str = "") -> None:
        """Let the next requests fail, one after the other; `only` those that hold this text."""
        with self._lock:
            self._healed = Event()
            self._failures.extend(failures)
            self._only = only

    def heal(self) -> None:
        """Let nothing fail any more, and forget what was asked."""
        with self._lock:
            self._failures.clear()
            self._only = ""
            self.requests.clear()
            self._healed.set()

    def asked(self, *texts: str) -> list[str]:
        """Return the requests that hold all of these texts."""
        with self._lock:
            return [each for each in self.requests if all(text in each for text in texts)]

    def _next(self, request: str) -> int | str | None:
        with self._lock:
            self.requests.append(request)
            is_meant = self._failures and self._only in request
            return self._failures.popleft() if is_meant else None

    def _forward(self, handler: BaseHTTPRequestHandler, host: str) -> None:
        body = _body(handler)
        failure = self._next(f"{handler.command} {handler.path}")
        if isinstance(failure, int):
            handler.send_response(failure)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if failure == SLOW:
            self._healed.wait()
        if failure in (RESET, SLOW):
            _reset(handler)
            return
        connection = http.client.HTTPConnection(host)
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in _HOP}
        connection.request(handler.command, handler.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if failure == LOST:
            _reset(handler)
            return
        self._answer(handler, answer.status, answer.getheaders(), content, failure == HALF)

    def _answer(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        headers: Iterable[tuple[str, str]],
        content: bytes,
        is_half: bool,
    ) -> None:
        handler.send_response_only(status)
        is_head = handler.command == "HEAD"
        for name, value in headers:
            if name.lower() not in _HOP and (is_head or name.lower() != "content-length"):
                handler.send_header(name, value)
        if not is_head:
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2] if is_half else content)
        if is_half:
            handler.wfile.flush()
            handler.close_connection = True


# Of one connection, and not for the next; the proxy's own client says what it sends.
_HOP = frozenset(("connection", "transfer-encoding", "keep-alive", "expect"))


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() == "chunked":
        parts = []
        while size := int(handler.rfile.readline().split(b";")[0], 16):
            parts.append(handler.rfile.read(size))
            handler.rfile.readline()
        handler.rfile.readline()
        return b"".join(parts)
    return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))


def _reset(handler: BaseHTTPRequestHandler) -> None:
    """Close with a reset, not an orderly end."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True
