"""One ASGI request and its response."""

from __future__ import annotations

import asyncio
import http
import logging
from typing import Any, Protocol, final

from starlette.types import ASGIApp, Message, Scope

from foveal.server.http.wire import Head
from foveal.server.request.limits import RequestError

Address = tuple[str, int]

logger = logging.getLogger(__name__)

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii")
    for status in http.HTTPStatus
}
_NO_BODY = frozenset({204, 304})
# The application is not woken for less of a body than this, nor given more at once than comes
# until it asks.
_LEAST_PART, _MOST_HELD = 16 * 1024, 64 * 1024
_ASGI = {"version": "3.0", "spec_version": "2.5"}


class Link(Protocol):
    """The connection interface that an exchange needs."""

    transport: asyncio.Transport
    client: Address | None
    is_writable: bool

    def pause_reading(self) -> None:
        """Take no more from the client for now."""

    def resume_reading(self) -> None:
        """Take more from the client."""

    def finish(self, *, keep_alive: bool) -> None:
        """Go on after an answer has been written."""

    def abort(self) -> None:
        """Close the connection at once."""


class Host(Protocol):
    """The server interface that an exchange needs."""

    app: ASGIApp
    loop: asyncio.AbstractEventLoop
    date: bytes
    server_address: Address | None
    is_draining: bool

    def sender(
        self, client: Address | None, headers: list[tuple[bytes, bytes]]
    ) -> tuple[Address | None, str]:
        """Return who sent a request, and by which scheme."""


@final
class Exchange:
    """A request that is being answered.

    Args:
        connection: Where it came from.
        head: Its head.
        host: The server.
    """

    def __init__(self, connection: Link, head: Head, host: Host) -> None:
        self._connection = connection
        self._host = host
        self._head = head
        self._parts: list[bytes] = []
        self._held = 0
        self._is_whole = False
        self._is_taken = False
        self._is_gone = False
        self._broken: str | None = None
        self._has_continued = not head.expects_continue
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._start: Message | None = None
        self._has_head = False
        self._is_answered = False
        self._keep_alive = head.keep_alive
        self._sends_body = True
        self._is_chunked = False
        self._due: int | None = None

    async def run(self) -> None:
        """Let the application answer."""
        try:
            await self._host.app(self._scope(), self.receive, self.send)
        except Exception as error:  # The edge of the application.
            if not self._is_answered:
                logger.error("a request failed unexpectedly", exc_info=error)
        if not self._is_answered and not self._is_gone:
            if self._has_head:
                # The client must not take half an answer for a whole one.
                self._connection.abort()
                return
            self._keep_alive, self._due = False, None
            await self.send({"type": "http.response.start", "status": 500, "headers": []})
            await self.send({"type": "http.response.body"})

    def add_body(self, part: bytes, is_whole: bool) -> None:
        """Take a part of the body from the connection."""
        if part:
            self._parts.append(part)
            self._held += len(part)
        self._is_whole = is_whole
        if is_whole or self._held >= _LEAST_PART:
            self._wake_reader()
            if self._held >= _MOST_HELD and not is_whole:
                self._connection.pause_reading()

    def break_body(self, why: str) -> None:
        """Note that the rest of the body cannot be understood."""
        self._broken = why
        self._keep_alive = False
        self._wake_reader()

    def client_gone(self) -> None:
        """Note that nobody waits for the answer."""
        self._is_gone = True
        self._parts.clear()
        self._wake_reader()
        self.writable()

    def writable(self) -> None:
        """Go on writing."""
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def receive(self) -> Message:
        """Return the next part of the body, or that the client has gone.

        Raises:
            RequestError: 400 when the body is malformed.
        """
        while True:
            if self._is_gone or self._is_answered:
                return {"type": "http.disconnect"}
            if self._broken is not None:
                raise RequestError(400, self._broken, close=True)
            if not self._is_taken and (self._is_whole or self._held >= _LEAST_PART):
                return self._taken()
            if not self._has_continued:
                self._has_continued = True
                self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._reader = self._host.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    def _taken(self) -> Message:
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts, self._held = [], 0
        self._is_taken = self._is_whole
        if not self._is_whole:
            self._connection.resume_reading()
        return {"type": "http.request", "body": body, "more_body": not self._is_whole}

    async def send(self, message: Message) -> None:
        """Write the next part of the answer."""
        if self._is_gone or self._is_answered:
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        body: bytes = message.get("body", b"")
        has_more: bool = message.get("more_body", False)
        head = b""
        if not self._has_head:
            head = self._begin(len(body), has_more=has_more)
        if self._due is not None and self._sends_body:
            self._due -= len(body)
            if self._due < 0 or (self._due and not has_more):
                raise RuntimeError("The length of an answer is not its Content-Length.")
        if not self._sends_body:
            body = b""
        elif self._is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk if has_more else chunk + b"0\r\n\r\n"
        if head or body:
            self._connection.transport.write(head + body)
        if not has_more:
            self._is_answered = True
            self._connection.finish(keep_alive=self._keep_alive)
        elif not self._connection.is_writable:
            self._writer = self._host.loop.create_future()
            try:
                await self._writer
            finally:
                self._writer = None

    def _begin(self, size: int, *, has_more: bool) -> bytes:
        """Return the head of the answer, and note how its body is framed."""
        if self._start is None:
            raise RuntimeError("The body of an answer came before its head.")
        status: int = self._start["status"]
        self._sends_body = self._head.method != "HEAD" and status not in _NO_BODY
        # What is left of an unread body would be taken for the next request.
        keep_alive = self._keep_alive and self._is_whole and not self._host.is_draining
        lines = [_STATUS_LINES[status], self._host.date]
        says_close = False
        for name, value in self._start["headers"]:
            if name == b"content-length":
                self._due = int(value)
            elif name == b"connection":
                says_close = True
                keep_alive = keep_alive and value.lower() != b"close"
            lines.append(b"%b: %b\r\n" % (name, value))
        if self._due is None and self._sends_body:
            if not has_more:
                lines.append(b"content-length: %d\r\n" % size)
            elif self._head.is_1_1:
                self._is_chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                keep_alive = False
        if not keep_alive and not says_close:
            lines.append(b"connection: close\r\n")
        elif keep_alive and not self._head.is_1_1:
            lines.append(b"connection: keep-alive\r\n")
        self._keep_alive = keep_alive
        lines.append(b"\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines):
            raise RuntimeError("A header of an answer has a line end in it.")
        self._has_head = True
        return head

    def _scope(self) -> Scope:
        head, host = self._head, self._host
        client, scheme = host.sender(self._connection.client, head.headers)
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1" if head.is_1_1 else "1.0",
            "server": host.server_address,
            "client": client,
            "scheme": scheme,
            "method": head.method,
            "root_path": "",
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query,
            "headers": head.headers,
        }
        return scope
