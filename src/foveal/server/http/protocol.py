"""One connection of a client: HTTP/1.1 on asyncio, with ASGI towards the application.

Every wait for the client has an end: for the head of a request, between two requests, for what it
does not read, and for a body that nobody wants. The ends are found by the pool, which looks at all
connections a few times a second: a timer for each would cost every request two system calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import math
import socket
import struct
from typing import final

from foveal.server.http.exchange import Exchange
from foveal.server.http.pool import Pool
from foveal.server.http.wire import MAX_HEAD_BYTES, Chunks, WireError, head_end, read_head

_PHRASES = {
    400: "Bad Request",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
# A body that nobody wants is still received, so that its sender reads the answer instead of a
# reset: this long, and so much of it.
_LINGER_S, _LINGER_BYTES = 5.0, 64 * 1024 * 1024
# A client that reads nothing of an answer for so long, or less than the slowest rate, is gone.
_STALL_S = 10.0
_FLUSH_S = 5.0


class State(enum.Enum):
    """The state of a connection."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    BUSY = enum.auto()
    LINGERING = enum.auto()
    CLOSING = enum.auto()


_IDLE, _HEAD, _BODY, _BUSY = State.IDLE, State.HEAD, State.BODY, State.BUSY


@final
class Connection(asyncio.Protocol):
    """One connection.

    Args:
        pool: All connections of the server.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.state = _HEAD
        self.deadline = math.inf
        self.is_writable = True
        self.is_reading = True
        self._pending = b""
        self._exchange: Exchange | None = None
        self._chunks: Chunks | None = None
        self._left = 0
        self._unsent = 0
        self._discarded = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, unless there are too many connections."""
        self.transport = transport
        self.client = self._pool.address_of(transport)
        self.deadline = self._pool.now() + self._pool.options.header_timeout_s
        if not self._pool.admit(self):
            self._refuse(WireError(503, "Too many connections. Try again later."))

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self.state, self.deadline = State.CLOSING, math.inf
        self._pending = b""
        self._pool.remove(self)
        if self._exchange is not None:
            self._exchange.client_gone()
            self._exchange = None

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        state = self.state
        if state is _IDLE or state is _HEAD:
            seen = len(self._pending)
            self._pending = self._pending + data if seen else data
            self._read_head(seen)
        elif state is _BODY:
            self._take_body(data)
        elif state is _BUSY:
            # The next request already: it waits, and not much of it is taken.
            self._pending += data
            if len(self._pending) > MAX_HEAD_BYTES:
                self.pause_reading()
        elif state is State.LINGERING:
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self.abort()

    def pause_writing(self) -> None:
        """Note that the client does not read as fast as it is answered."""
        self.is_writable = False
        self._expect_reading()

    def resume_writing(self) -> None:
        """Go on where the answer stopped."""
        self.is_writable = True
        if self._exchange is not None:
            self.deadline = math.inf
            self._exchange.writable()
        elif self.state is _BUSY:
            self._next()

    def pause_reading(self) -> None:
        """Take no more from the client for now."""
        if self.is_reading:
            self.is_reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take more from the client."""
        if not self.is_reading and not self.transport.is_closing():
            self.is_reading = True
            self.transport.resume_reading()

    def _read_head(self, seen: int) -> None:
        data = self._pending
        try:
            # Some clients end a body with a line end that does not belong to it (RFC 9112, 2.2).
            while data.startswith(b"\r\n"):
                data, seen = data[2:], 0
            end = head_end(data, seen)
            if end < 0:
                self._pending = data
                if self.state is _IDLE:
                    self._pool.leave_idle(self)
                    self.state = _HEAD
                    self.deadline = self._pool.now() + self._pool.options.header_timeout_s
                return
            head = read_head(data[:end])
        except WireError as error:
            self._refuse(error)
            return
        if self.state is _IDLE:
            self._pool.leave_idle(self)
        self._pending = b""
        if self.is_writable:
            self.deadline = math.inf
        self._chunks = Chunks() if head.length is None else None
        self._left = head.length or 0
        self.state = _BODY
        self._exchange = exchange = Exchange(self, head, self._pool)
        self._take_body(data[end:])
        self._pool.start(exchange)

    def _take_body(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if self._chunks is None:
            part = data if len(data) <= self._left else data[: self._left]
            self._left -= len(part)
            is_whole = self._left == 0
            if len(part) < len(data):
                self._pending = data[len(part) :]
        else:
            try:
                part = self._chunks.feed(data)
            except WireError as error:
                # The answer is the application's, which is about to read the body.
                exchange.break_body(error.message)
                self.pause_reading()
                return
            is_whole = self._chunks.is_done
            self._pending = self._chunks.rest
        if is_whole:
            self.state = _BUSY
        exchange.add_body(part, is_whole)

    def finish(self, *, keep_alive: bool) -> None:
        """Go on after an answer has been written."""
        self._exchange = None
        if self.state is _BODY:
            self._linger()
        elif not keep_alive:
            self.close()
        elif self.is_writable:
            self._next()
        else:
            # `resume_writing` goes on from here.
            self._expect_reading()

    def _next(self) -> None:
        self.state = _IDLE
        self.deadline = self._pool.now() + self._pool.options.keep_alive_s
        self._pool.enter_idle(self)
        if self._pending:
            # Not now: a client that sends many at once would nest the calls as deep.
            self._pool.loop.call_soon(self._read_pending)
        self.resume_reading()

    def _read_pending(self) -> None:
        if self.state is _IDLE and self._pending:
            self._read_head(0)

    def _refuse(self, error: WireError) -> None:
        """Answer what is not a request, and receive the rest of it for nothing."""
        self._pool.count_refused(error.status)
        body = json.dumps({"error": error.message}).encode()
        retry = "retry-after: 1\r\n" if error.status == 503 else ""
        head = (
            f"HTTP/1.1 {error.status} {_PHRASES[error.status]}\r\ncontent-type: application/json"
            f"\r\ncontent-length: {len(body)}\r\n{retry}connection: close\r\n\r\n"
        )
        self._pending = b""
        self.transport.write(head.encode("ascii") + body)
        if error.status == 503:
            self.close()
        else:
            self._linger()

    def _linger(self) -> None:
        self.state = State.LINGERING
        self._discarded = 0
        self.deadline = self._pool.now() + _LINGER_S
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.resume_reading()

    def close(self) -> None:
        """Close the connection once what was written has been read, or is not being read."""
        if self.state is _IDLE:
            self._pool.leave_idle(self)
        self.state = State.CLOSING
        self._expect_reading()
        self.transport.close()

    def abort(self) -> None:
        """Close the connection at once, and have the system forget what is unsent."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def expire(self) -> None:
        """End a wait that has taken too long."""
        if self.state is _IDLE or self.state is _HEAD:
            self.close()
            return
        unsent = self.transport.get_write_buffer_size()
        least = self._pool.options.min_bytes_per_s * _STALL_S
        if unsent and self._unsent - unsent >= least:
            self._expect_reading()
        else:
            self.abort()

    def _expect_reading(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self.deadline = self._pool.now() + (_STALL_S if self._unsent else _FLUSH_S)
