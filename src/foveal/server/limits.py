"""What a request may cost: how large it may be, how long it may take.

Everything here acts before a byte of a picture is decoded.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from starlette.types import Receive

from foveal.server.options import ServerOptions

_TIMEOUT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s)?")
_DIGITS = re.compile(r"[0-9]{1,18}")
# A client that is still sending does not read an early answer: up to this many times the limit
# is received and thrown away, so that it sees the 413 instead of a reset connection.
_DISCARD_FACTOR = 4


class RequestError(Exception):
    """A request that is answered with `{"error": message}`.

    Args:
        status: HTTP status.
        message: One line for the sender; never a path or an internal name.
        retry_after_s: Sent as `Retry-After`.
        close: Whether the connection is closed after the answer.
    """

    def __init__(
        self, status: int, message: str, *, retry_after_s: int | None = None, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers: dict[str, str] = {}
        if retry_after_s is not None:
            self.headers["retry-after"] = str(retry_after_s)
        if close:
            self.headers["connection"] = "close"


class ClientGoneError(Exception):
    """The client hung up before its request was whole; nobody reads an answer."""


def timeout_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a client waits for its answer; None when it does not say.

    `X-Request-Timeout: 0.5`, `2s` or `250ms`; `Request-Timeout` is the same.

    Args:
        headers: Headers of the request, names in lower case.

    Raises:
        RequestError: 400 for anything else, and for 0.
    """
    for name in ("x-request-timeout", "request-timeout"):
        text = headers.get(name)
        if text is not None:
            found = _TIMEOUT.fullmatch(text.strip().lower())
            seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else 0.0
            if seconds <= 0:
                raise RequestError(400, f"Invalid {name}. Expected seconds, as 0.5, or 250ms.")
            return seconds
    return None


class Budget:
    """Bounds what is in work at once, by pictures and by bytes. Used on the event loop only.

    Args:
        items: Most pictures.
        size: Most bytes of bodies.
    """

    def __init__(self, items: int, size: int) -> None:
        self._max_items, self._max_bytes = items, size
        self.items = 0
        self.bytes = 0

    def take(self, items: int, size: int) -> None:
        """Count pictures and bytes in.

        Raises:
            RequestError: 503 with `Retry-After` when either bound would be passed.
        """
        if self.items + items > self._max_items or self.bytes + size > self._max_bytes:
            raise RequestError(503, "The server is busy. Try again.", retry_after_s=1)
        self.items += items
        self.bytes += size

    def give_back(self, items: int, size: int) -> None:
        """Count pictures and bytes out."""
        self.items -= items
        self.bytes -= size


class Claim:
    """One request's share of the budget; a context manager that gives it back."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._items = 0
        self._bytes = 0

    def grow(self, items: int, size: int) -> None:
        """Claim more; raises RequestError 503 when there is no room."""
        self._budget.take(items, size)
        self._items += items
        self._bytes += size

    def __enter__(self) -> Claim:
        """Return the claim."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give everything back."""
        self._budget.give_back(self._items, self._bytes)


async def read_body(
    receive: Receive, headers: Mapping[str, str], claim: Claim, options: ServerOptions
) -> bytes:
    """Return the whole body.

    Args:
        receive: The ASGI receive function.
        headers: Headers of the request, names in lower case.
        claim: Takes the body's bytes: at once when the length is declared, else as they come.
        options: Limits on bytes and time.

    Raises:
        RequestError: 400 for an odd Content-Length, 408, 413, or 503 when there is no room.
        ClientGoneError: When the client hangs up.
    """
    declared = _content_length(headers)
    try:
        async with asyncio.timeout(options.body_timeout_s):
            if declared is not None and declared > options.max_body_bytes:
                await _refuse_large(receive, declared, options)
            if declared is not None:
                claim.grow(0, declared)
            return await _receive_all(receive, declared, claim, options)
    except TimeoutError as error:
        raise RequestError(
            408, f"The body did not arrive within {options.body_timeout_s:g} s.", close=True
        ) from error


def _content_length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    if not _DIGITS.fullmatch(text):
        raise RequestError(400, "Invalid Content-Length.", close=True)
    return int(text)


async def _receive_all(
    receive: Receive, declared: int | None, claim: Claim, options: ServerOptions
) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > options.max_body_bytes:
            raise RequestError(413, too_large(options), close=True)
        if declared is None:
            claim.grow(0, len(part))
        if not message.get("more_body", False):
            if not parts:
                return bytes(part)
            parts.append(part)
            return b"".join(parts)
        if part:
            parts.append(part)


async def _refuse_large(receive: Receive, declared: int, options: ServerOptions) -> None:
    if declared > _DISCARD_FACTOR * options.max_body_bytes:
        raise RequestError(413, too_large(options), close=True)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        if not message.get("more_body", False):
            raise RequestError(413, too_large(options))


def too_large(options: ServerOptions) -> str:
    """Return the sentence for a body over the limit."""
    limit = options.max_body_bytes
    shown = f"{limit / 2**20:.3g} MiB" if limit >= 2**20 else f"{limit} bytes"
    return f"The body is over the limit of {shown}."
