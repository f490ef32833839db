"""Run the server: blocking, with a graceful drain on SIGTERM, or in a thread."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, final

from starlette.applications import Starlette

from foveal.errors import FovealError
from foveal.server.app import create_app
from foveal.server.http.listen import listen, url_of
from foveal.server.http.server import HttpServer
from foveal.server.http.tls import TlsFiles
from foveal.server.models.loader import Offered
from foveal.server.options import ServerOptions

logger = logging.getLogger(__name__)

_POLL_S = 0.01
_CHECK_S = 0.5
# Windows has none.
_SIGHUP: int | None = getattr(signal, "SIGHUP", None)


@final
class ServerHandle:
    """A server running in a thread of this process.

    Attributes:
        url: Base URL, such as `http://127.0.0.1:8000`.
    """

    def __init__(self, url: str, server: HttpServer, thread: threading.Thread, state: Any) -> None:
        self.url = url
        self._server = server
        self._thread = thread
        self._state = state

    def __repr__(self) -> str:
        """Return the URL in one line."""
        return f"ServerHandle({self.url!r})" if self.is_running else "ServerHandle(stopped)"

    @property
    def grpc_port(self) -> int | None:
        """Port of the gRPC server, or None."""
        port: int | None = self._state.grpc_port
        return port

    @property
    def is_running(self) -> bool:
        """Whether the server is running."""
        return self._thread.is_alive()

    def drain(self) -> None:
        """Report "not ready" from now on, and ask clients to close their connections."""
        self._state.draining = True

    def reload(self) -> None:
        """Reload changed bundles, new versions of the models and the TLS files now."""
        self._state.reload()
        self._server.reload_tls()

    def stop(self) -> None:
        """Stop accepting requests, finish those in flight, and end the thread. Idempotent."""
        self.drain()
        self._server.stop()
        self._thread.join()

    def __enter__(self) -> ServerHandle:
        """Return the handle."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()


def start_in_thread(
    offered: Offered, options: ServerOptions | None = None, **changes: Any
) -> ServerHandle:
    """Start a server, and return when it is ready.

    Args:
        offered: Name in the routes → predictor, or an offer, which may follow stores.
        options: Address and limits; port 0 chooses a free one.
        **changes: Fields of `ServerOptions` that differ from `options`.

    Raises:
        UsageError: If an option is unknown, or the server cannot listen on the address.
        FovealError: If the server fails to start.
    """
    options = (options or ServerOptions()).changed(changes)
    return start_app(create_app(offered, options), options)


def start_app(
    app: Starlette,
    options: ServerOptions,
    listener: socket.socket | None = None,
    beat: Callable[[], None] | None = None,
) -> ServerHandle:
    """Start the server of an application, and return when it is ready.

    Args:
        app: Application whose `state.foveal` has the flag `draining`.
        options: Address and timeouts.
        listener: Listening socket of a worker, whose supervisor warns of an expired certificate;
            None opens the address of the options.
        beat: Called every second by the network thread while it runs.

    Raises:
        UsageError: If the server cannot listen on the address, or the TLS files are invalid.
        FovealError: If the server fails to start.
    """
    tls = TlsFiles.of(options.tls_cert, options.tls_key, warns=listener is None)
    listener = listener or listen(options)[0]
    server = HttpServer(app, options, listener, tls, beat)
    failure: list[BaseException] = []

    def run() -> None:
        try:
            server.run()
        except Exception as error:  # Handed to the thread that waits.
            failure.append(error)

    thread = threading.Thread(target=run, name="foveal-server", daemon=True)
    url = url_of(options, listener)
    thread.start()
    while not server.started.wait(_POLL_S) and thread.is_alive():
        pass
    if not server.started.is_set():
        cause = failure[0] if failure else None
        if isinstance(cause, FovealError):
            raise cause
        raise FovealError("The server did not start.") from cause
    return ServerHandle(url, server, thread, app.state.foveal)


def serve(
    offered: Offered,
    options: ServerOptions | None = None,
    *,
    on_ready: Callable[[str], None] | None = None,
    **changes: Any,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain: report "not ready", finish requests in flight.

    Returns normally after a drain, so that the process exits with status 0. A second signal ends
    the process immediately. Must be called from the main thread.

    Args:
        offered: Name in the routes → predictor, or an offer, which may follow stores.
        options: Address and limits.
        on_ready: Called with the URL once the server is ready.
        **changes: Fields of `ServerOptions` that differ from `options`.

    Raises:
        UsageError: If an option is unknown, or the server cannot listen on the address.
        FovealError: If the server fails to start.
    """
    options = (options or ServerOptions()).changed(changes)
    run_until_asked(lambda: start_in_thread(offered, options), options, on_ready, reloads=True)


def run_until_asked(
    start: Callable[[], ServerHandle],
    options: ServerOptions,
    on_ready: Callable[[str], None] | None,
    *,
    at_once: int = signal.SIGINT,
    is_wanted: Callable[[], bool] = lambda: True,
    reloads: bool = False,
) -> None:
    """Start a server, and drain it on a signal.

    SIGTERM comes from an orchestrator that also routes requests: the server keeps accepting for
    `drain_delay_s`, until the router has noticed. Ctrl-C comes from a user, who wants to stop at
    once.

    Args:
        start: Function that starts the server.
        options: Timeouts of the drain.
        on_ready: Called with the URL once the server is ready.
        at_once: Signal that drains without the delay.
        is_wanted: Called twice a second; the server is drained when it returns False.
        reloads: Whether SIGHUP reloads models and TLS files. If SIGHUP comes from a closed
            terminal, the server ends.
    """
    asked: list[int] = []
    wake = threading.Event()
    had_terminal = has_terminal()
    before: dict[int, Any] = {
        number: signal.getsignal(number) for number in (signal.SIGTERM, at_once)
    }

    def on_signal(number: int, _: FrameType | None) -> None:
        asked.append(number)
        wake.set()
        for known in (signal.SIGTERM, at_once):
            signal.signal(known, signal.SIG_DFL)

    def on_hangup(_: int, __: FrameType | None) -> None:
        if had_terminal and not has_terminal():
            on_signal(at_once, None)
        else:
            handle.reload()

    for number in (signal.SIGTERM, at_once):
        signal.signal(number, on_signal)
    try:
        handle = start()
        if reloads and _SIGHUP is not None:
            before[_SIGHUP] = signal.signal(_SIGHUP, on_hangup)
        if on_ready is not None and not asked:
            on_ready(handle.url)
        while not wake.wait(_CHECK_S) and handle.is_running and is_wanted():
            pass
        if signal.SIGTERM in asked:
            handle.drain()
            time.sleep(options.drain_delay_s)
        handle.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def has_terminal() -> bool:
    """Return whether this process still has a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
