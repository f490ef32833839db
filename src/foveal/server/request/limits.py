"""Limits on the size and duration of requests.

Everything here acts before a byte of a picture is decoded.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Mapping

from starlette.types import Receive

from foveal.server.options import ServerOptions
from foveal.server.request.notes import current_notes

_CLIENT_SHARE = 0.75
# Over which the rate of answers is measured, and what a client is told to wait at most.
_PACE_S, _LONGEST_WAIT_S = 10.0, 30

_TIMEOUT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s)?")


class RequestError(Exception):
    """Raised for a request that is answered with `{"error": message}`.

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
    """Raised if the client disconnects before its request is complete."""


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
                raise RequestError(400, f"Invalid {name}. Expected seconds such as 0.5, or 250ms.")
            return seconds
    return None


class Budget:
    """Limits the pictures and bytes in progress. Used on the event loop only.

    A quarter of it is out of reach of any single client, so that there is always room for others.

    Args:
        items: Most pictures.
        size: Most bytes of bodies.
        largest: Largest body: one of these a client may always have, while there is room.
        clock: Clock that returns seconds.
    """

    def __init__(
        self, items: int, size: int, largest: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_items, self._max_bytes, self._least_bytes = items, size, largest
        self._pace = _Pace(clock)
        self.items = 0
        self.bytes = 0
        self._of_clients: dict[str, tuple[int, int]] = {}

    def check(self, client: str, items: int, size: int) -> tuple[int, int]:
        """Return what the client would have in work with so much more.

        Raises:
            RequestError: 503 with `Retry-After` when there is no room for it.
        """
        own_items, own_bytes = self._of_clients.get(client, (0, 0))
        own_items, own_bytes = own_items + items, own_bytes + size
        if (
            self.items + items > self._max_items
            or self.bytes + size > self._max_bytes
            or own_items > max(1, self._max_items * _CLIENT_SHARE)
            or own_bytes > max(self._least_bytes, self._max_bytes * _CLIENT_SHARE)
        ):
            raise RequestError(503, "The server is busy. Try again.", retry_after_s=self.wait_s())
        return own_items, own_bytes

    def wait_s(self) -> int:
        """Return when to come again: the seconds that what is in work takes, from 1 to 30."""
        self._pace.look(self.items)
        return max(1, math.ceil(min(self._pace.time_of(self.items), _LONGEST_WAIT_S)))

    def take(self, client: str, items: int, size: int) -> None:
        """Count pictures and bytes in; see `check`."""
        self._of_clients[client] = self.check(client, items, size)
        self._pace.look(self.items)
        self.items += items
        self.bytes += size

    def give_back(self, client: str, items: int, size: int) -> None:
        """Count pictures and bytes out."""
        own_items, own_bytes = self._of_clients.get(client, (0, 0))
        if own_items == items and own_bytes == size:
            self._of_clients.pop(client, None)
        else:
            self._of_clients[client] = own_items - items, own_bytes - size
        self._pace.look(self.items)
        self._pace.left += items
        self.items -= items
        self.bytes -= size


class _Pace:
    """The throughput over about the last ten busy seconds.

    Args:
        clock: Clock that returns seconds.

    Attributes:
        left: How many have left, each counting less the longer ago.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.left = 0.0
        self._clock = clock
        self._at, self._busy_s = clock(), 0.0

    def look(self, items: int) -> None:
        """Let time pass, during which so many were in work: of an idle server nothing is learnt."""
        passed_s = self._clock() - self._at
        self._at += passed_s
        if items:
            self._busy_s += passed_s
            self.left *= math.exp(-passed_s / _PACE_S)

    def time_of(self, items: int) -> float:
        """Return the seconds that so many will take; before any has left, as if one did now."""
        weight_s = _PACE_S * -math.expm1(-self._busy_s / _PACE_S)
        return items * weight_s / (self.left + 1)


class Claim:
    """One request's share of the budget; a context manager that gives it back."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._client = current_notes().caller.client
        self._items = 0
        self._bytes = 0

    def check(self) -> None:
        """Raise RequestError 503 when there is no room for one more picture."""
        self._budget.check(self._client, 1, 0)

    def grow(self, items: int, size: int) -> None:
        """Claim more; raises RequestError 503 when there is no room."""
        self._budget.take(self._client, items, size)
        self._items += items
        self._bytes += size

    def __enter__(self) -> Claim:
        """Return the claim."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give everything back."""
        self._budget.give_back(self._client, self._items, self._bytes)


async def read_body(
    receive: Receive, headers: Mapping[str, str], claim: Claim, options: ServerOptions
) -> bytes:
    """Return the whole body.

    Args:
        receive: The ASGI receive function.
        headers: Headers of the request, names in lower case.
        claim: Takes the body's bytes as they come: who declares much and sends little holds little.
        options: Limits on bytes and time.

    Raises:
        RequestError: 408, 413, or 503 when there is no room.
        ClientGoneError: If the client hangs up.
    """
    claim.check()
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > options.max_body_bytes:
        raise RequestError(413, too_large(options), close=True)
    begun = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(options.body_timeout_s) as timeout:
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
                claim.grow(0, len(part))
                if not message.get("more_body", False):
                    return b"".join([*parts, part]) if parts else bytes(part)
                parts.append(part)
                allowed_s = options.body_timeout_s + size / options.min_bytes_per_s
                timeout.reschedule(begun + allowed_s)
    except TimeoutError as error:
        raise RequestError(
            408,
            f"The body took longer than {options.body_timeout_s:g} s and arrived at less than "
            f"{options.min_bytes_per_s} bytes per second.",
            close=True,
        ) from error


def too_large(options: ServerOptions) -> str:
    """Return the sentence for a body over the limit."""
    limit = options.max_body_bytes
    shown = f"{limit / 2**20:.3g} MiB" if limit >= 2**20 else f"{limit} bytes"
    return f"The body is over the limit of {shown}."
