"""Open the sockets that a server listens on."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import sys
from pathlib import Path

from foveal.errors import UsageError, reason
from foveal.server.options import ServerOptions

BACKLOG = 2048
# The first file that systemd hands over (sd_listen_fds(3)).
_FIRST_HANDED = 3


def listen(options: ServerOptions, count: int = 1) -> list[socket.socket]:
    """Return one listening socket for each of `count` processes.

    On Linux each has a queue of its own (SO_REUSEPORT), over which the kernel spreads new
    connections; elsewhere, where it would not spread them, all processes share one. So they do with
    a Unix socket, and with one that systemd has opened.

    Raises:
        UsageError: If the address cannot be listened on, or that of gRPC is taken.
    """
    _check_grpc(options)
    handed = _handed_over()
    if handed is not None:
        name = handed.getsockname()
        if isinstance(name, tuple) and not ipaddress.ip_address(name[0]).is_loopback:
            options.check_exposed(name[0])
        return [handed] * count
    try:
        first = _open(options.host, options.port, reuse_port=False)
        if count == 1:
            return [first]
        if sys.platform != "linux" or options.is_unix_socket:
            return [first] * count
        # The first attempt, which shares with nobody, has shown that the port is free.
        port = first.getsockname()[1]
        first.close()
        return [_open(options.host, port, reuse_port=True) for _ in range(count)]
    except (OSError, OverflowError) as error:
        if options.is_unix_socket:
            raise UsageError(f"Cannot listen on {options.host}: {reason(error)}.") from error
        raise UsageError(
            f"Cannot listen on {options.host}:{options.port}: {_why(error)}.",
            hint=_hint(error) or "choose another --port (0 chooses a free one)",
        ) from error


def free_port(host: str) -> int:
    """Return a port that is free now, for what cannot tell which one it chose."""
    with contextlib.closing(socket.create_server((host, 0), family=_family(host))) as listener:
        port: int = listener.getsockname()[1]
        return port


def url_of(options: ServerOptions, listener: socket.socket) -> str:
    """Return the address at which a person on this machine reaches the listener."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name}"
    address, port = name[:2]
    host = options.host if options.port in (0, port) else address
    scheme = "http" if options.tls_cert is None else "https"
    return f"{scheme}://{reachable_host(host)}:{port}"


def reachable_host(host: str) -> str:
    """Return the host of an address on this machine, with brackets for IPv6."""
    # What is bound everywhere is reached from here through the loopback.
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    shown = everywhere.get(host, host)
    return f"[{shown}]" if ":" in shown else shown


def _check_grpc(options: ServerOptions) -> None:
    """Refuse a port of gRPC that is taken: workers share theirs, and would share another's."""
    if options.grpc_port is None:
        return
    try:
        _open(options.host, options.grpc_port, reuse_port=False).close()
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {options.host}:{options.grpc_port} for gRPC: {_why(error)}.",
            hint=_hint(error) or "choose another --grpc-port",
        ) from error


def _handed_over() -> socket.socket | None:
    """Return the socket that systemd has opened for this process, once."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = os.environ.get("LISTEN_FDS", "0")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    if count != "1":
        raise UsageError(f"Expected one socket from systemd. Received: {count}.")
    os.set_inheritable(_FIRST_HANDED, False)
    return socket.socket(fileno=_FIRST_HANDED)


def _open(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    if host.startswith("unix:"):
        return _open_unix(Path(host.removeprefix("unix:")))
    family = _family(host)
    return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=reuse_port)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _open_unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            # One that a server left is in the way; one that still answers must stay.
            with socket.socket(socket.AF_UNIX) as other, contextlib.suppress(ConnectionError):
                other.connect(str(path))
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            path.unlink()
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _why(error: Exception) -> str:
    is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    # Python adds the address, which stands before it.
    return "the port is in use" if is_taken else reason(error).partition(" (while")[0]


def _hint(error: Exception) -> str:
    """Return what to do about an address that is none of this machine; empty for other errors."""
    is_elsewhere = isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL
    if not is_elsewhere and not isinstance(error, socket.gaierror):
        return ""
    return "use --host 127.0.0.1, or another address of this machine"
