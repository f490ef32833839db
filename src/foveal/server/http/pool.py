"""The connections of a server: limits by client, and timeouts."""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import time
from functools import lru_cache
from typing import Protocol, final

from starlette.types import ASGIApp

from foveal.server.http.exchange import Address, Exchange
from foveal.server.options import ServerOptions
from foveal.server.telemetry.counters import Telemetry

_SWEEP_S = 0.25
# Bytes of answers that clients do not read; over it, those that have waited longest are let go.
_MAX_UNSENT_BYTES = 64 * 1024 * 1024
# How many idle connections are looked at to find one of the same client.
_LOOKED_AT = 64


class Member(Protocol):
    """The connection interface that the pool needs."""

    transport: asyncio.Transport
    client: Address | None
    deadline: float
    is_writable: bool

    def close(self) -> None:
        """Close the connection once what was written has been read, or is not being read."""

    def abort(self) -> None:
        """Close the connection at once."""

    def expire(self) -> None:
        """End a wait that has taken too long."""


@final
class Pool:
    """The connections of one server. Used on the event loop only.

    Args:
        app: The application.
        options: Limits and times.
        telemetry: Counts what never reaches the application.
        scheme: `http` or `https`.
        server_address: Where the server listens.
    """

    def __init__(
        self,
        app: ASGIApp,
        options: ServerOptions,
        telemetry: Telemetry,
        *,
        scheme: str,
        server_address: Address | None,
    ) -> None:
        self.app = app
        self.options = options
        self.server_address = server_address
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.date = b""
        self.is_draining = False
        self._telemetry = telemetry
        self._scheme = scheme
        self._most = options.connection_limit()
        self._most_of_client = options.max_client_connections or max(1, self._most // 2)
        self._connections: set[Member] = set()
        self._idle: dict[Member, None] = {}
        self._counts: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._trusted = [ipaddress.ip_network(text) for text in options.trusted_proxies]
        self._refresh_date()

    def admit(self, connection: Member) -> bool:
        """Count a new connection, and tell whether there is room for it.

        Where there is none, the connection that has been idle for the longest makes room.
        """
        self._connections.add(connection)
        key = client_key(connection.client)
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count > self._most_of_client and not self._is_proxy(connection.client):
            looked_at = zip(range(_LOOKED_AT), self._idle, strict=False)
            own = (idle for _, idle in looked_at if client_key(idle.client) == key)
            victim = next(own, None)
        elif len(self._connections) > self._most:
            victim = next(iter(self._idle), None)
        else:
            return True
        if victim is not None:
            victim.close()
        return victim is not None

    def remove(self, connection: Member) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self._idle.pop(connection, None)
        key = client_key(connection.client)
        left = self._counts.get(key, 1) - 1
        if left:
            self._counts[key] = left
        else:
            self._counts.pop(key, None)

    def enter_idle(self, connection: Member) -> None:
        """Note that a connection waits for its next request."""
        self._idle[connection] = None
        if self.is_draining:
            connection.close()

    def leave_idle(self, connection: Member) -> None:
        """Note that a connection no longer waits."""
        self._idle.pop(connection, None)

    def start(self, exchange: Exchange) -> None:
        """Have the application answer a request."""
        task = self.loop.create_task(exchange.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def count_refused(self, status: int) -> None:
        """Count bytes that were no request, or a connection that was one too many."""
        self._telemetry.count_request("none", status, 0.0)

    def address_of(self, transport: asyncio.Transport) -> Address | None:
        """Return host and port of who is at the other end; None for a Unix socket."""
        peer = transport.get_extra_info("peername")
        return (peer[0], peer[1]) if isinstance(peer, tuple) else None

    def sender(
        self, client: Address | None, headers: list[tuple[bytes, bytes]]
    ) -> tuple[Address | None, str]:
        """Return who sent a request and by which scheme, as a trusted proxy says, or as it is."""
        if not self._trusted or not self._is_proxy(client):
            return client, self._scheme
        forwarded = [value for name, value in headers if name == b"x-forwarded-for"]
        # Each proxy adds whom it saw at the end: what stands before the first that is not
        # trusted is only what that one claims.
        for text in reversed(b",".join(forwarded).decode("latin-1").split(",")):
            try:
                client = (str(ipaddress.ip_address(text.strip())), 0)
            except ValueError:
                break
            if not self._is_proxy(client):
                break
        schemes = [value for name, value in headers if name == b"x-forwarded-proto"]
        scheme = schemes[-1].decode("latin-1").lower() if schemes else self._scheme
        return client, scheme if scheme in ("http", "https") else self._scheme

    async def sweep(self) -> None:
        """End the waits that take too long, for ever."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._refresh_date()
            now = self.now()
            for connection in [c for c in self._connections if c.deadline <= now]:
                connection.expire()
            self._bound_unsent()
            self._telemetry.connections(len(self._connections))

    async def drain(self, limit_s: float) -> None:
        """Let requests in flight finish, then close every connection.

        A request may have its answer and yet not be done: it closes the file that it sent, or
        removes it.
        """
        self.is_draining = True
        for connection in list(self._idle):
            connection.close()
        end = self.now() + limit_s
        while (self._connections or self._tasks) and self.now() < end:
            await asyncio.sleep(_SWEEP_S / 10)
        for connection in list(self._connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _bound_unsent(self) -> None:
        slow = [c for c in self._connections if not c.is_writable]
        unsent = sum(c.transport.get_write_buffer_size() for c in slow)
        for connection in sorted(slow, key=lambda c: c.deadline):
            if unsent <= _MAX_UNSENT_BYTES:
                return
            unsent -= connection.transport.get_write_buffer_size()
            connection.abort()

    def _refresh_date(self) -> None:
        text = email.utils.formatdate(time.time(), usegmt=True)
        self.date = f"date: {text}\r\n".encode("ascii")

    def _is_proxy(self, client: Address | None) -> bool:
        # A Unix socket is only reached through a program on this machine.
        return client is None or any(_in_network(client[0], net) for net in self._trusted)


@lru_cache(maxsize=4096)
def client_key(client: Address | None) -> str:
    """Return what connections of one client have in common: its address, or its IPv6 network.

    A client with IPv6 has 2^64 addresses to itself.
    """
    if client is None or ":" not in client[0]:
        return client[0] if client else ""
    address = ipaddress.ip_address(client[0].partition("%")[0])
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


@lru_cache(maxsize=4096)
def _in_network(host: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]) in network
