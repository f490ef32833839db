"""Connections to public addresses only; the checked address is the one connected to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, final

import httpcore

from foveal.collect.addresses import Address, is_public


class RefusedHostError(Exception):
    """Raised for a host with addresses of private networks only."""


class UnknownHostError(Exception):
    """Raised for a host without an address."""


@final
class PublicBackend(httpcore.AsyncNetworkBackend):
    """Looks up a host, and connects to one of its public addresses.

    A look-up of its own for each connection would let a name server answer first with a public and
    then with a private address (DNS rebinding). TLS still asks for the name of the host.

    Args:
        allow_private: Connect to any address.
    """

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host by one of the addresses that are allowed, in their order.

        Raises:
            RefusedHostError: If none is allowed.
            UnknownHostError: If it has none.
            httpcore.ConnectError: If none of them answers.
        """
        found = await addresses_of(host, port)
        allowed = [a for a in found if self._allow_private or is_public(a)]
        if not allowed:
            raise RefusedHostError(host)
        problem: Exception | None = None
        for address in allowed:
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem or httpcore.ConnectError()

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: a socket of this machine is not the internet."""
        raise RefusedHostError(path)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


async def addresses_of(host: str, port: int) -> list[Address]:
    """Return the addresses of a host, each once.

    Raises:
        UnknownHostError: If there is none.
    """
    loop = asyncio.get_running_loop()
    try:
        # Numbers in any spelling (`127.1`, `2130706433`) become addresses here too.
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnknownHostError(host) from error
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]
