"""Open the sockets that a server listens on."""

from __future__ import annotations

import errno
import socket
import sys

from foveal.errors import UsageError
from foveal.server.options import ServerOptions

BACKLOG = 2048


def listen(options: ServerOptions, count: int = 1) -> list[socket.socket]:
    """Return one listening socket for each of `count` processes.

    On Linux each has a queue of its own (SO_REUSEPORT), over which the kernel spreads new
    connections; elsewhere, where it would not spread them, all processes share one.

    Raises:
        UsageError: When the address cannot be listened on.
    """
    try:
        first = _open(options.host, options.port, reuse_port=False)
        if count == 1:
            return [first]
        if sys.platform != "linux":
            return [first] * count
        # The first attempt, which shares with nobody, has shown that the port is free.
        port = first.getsockname()[1]
        first.close()
        return [_open(options.host, port, reuse_port=True) for _ in range(count)]
    except (OSError, OverflowError) as error:
        why = "the port is in use" if _is_taken(error) else str(error)
        raise UsageError(
            f"Cannot listen on {options.host}:{options.port}: {why}.",
            hint="choose another --port (0 chooses a free one)",
        ) from error


def url_of(host: str, listener: socket.socket) -> str:
    """Return the address at which a person on this machine reaches the listener."""
    port = listener.getsockname()[1]
    # What is bound everywhere is reached from here through the loopback.
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    shown = everywhere.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _open(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=reuse_port)


def _is_taken(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE
