"""Run the server: blocking with a clean drain on SIGTERM, or in a thread beside a notebook."""

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
    """A server that runs in a thread of this process.

    Attributes:
        url: Where it answers, e.g. `http://127.0.0.1:8000`.
    """

    def __init__(self, url: str, server: HttpServer, thread: threading.Thread, state: Any) -> None:
        self.url = url
        self._server = server
        self._thread = thread
        self._state = state

    def __repr__(self) -> str:
        """Return one line: where it answers."""
        return f"ServerHandle({self.url!r})" if self.is_running else "ServerHandle(stopped)"

    @property
    def grpc_port(self) -> int | None:
        """Where it answers over gRPC; None where it does not."""
        port: int | None = self._state.grpc_port
        return port

    @property
    def is_running(self) -> bool:
        """Whether the server still answers."""
        return self._thread.is_alive()

    def drain(self) -> None:
        """Say "not ready" from now on, and ask clients to close their connections."""
        self._state.draining = True

    def reload(self) -> None:
        """Look at once for new versions of the models, at replaced bundles, and at TLS files."""
        self._state.reload()
        self._server.reload_tls()

    def stop(self) -> None:
        """Stop accepting, finish what is in flight, and end the thread. May be called twice."""
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
    """Start a server and return when it is ready.

    Args:
        offered: Name in the routes → predictor; or an offer, which may follow stores.
        options: Address and limits; port 0 takes a free one.
        **changes: Fields of `ServerOptions` that differ from `options`.

    Raises:
        UsageError: For an unknown option, or when the address cannot be listened on.
        FovealError: When the server does not start.
    """
    options = (options or ServerOptions()).changed(changes)
    return start_app(create_app(offered, options), options)


def start_app(
    app: Starlette,
    options: ServerOptions,
    listener: socket.socket | None = None,
    beat: Callable[[], None] | None = None,
) -> ServerHandle:
    """Start the server of an application and return when it is ready.

    Args:
        app: Its `state.foveal` has the flag `draining`.
        options: Address and times.
        listener: Accepts the connections; None opens the address of the options.
        beat: Called each second by the thread of the network, for as long as that runs.

    Raises:
        UsageError: When the address cannot be listened on, or the TLS files cannot be used.
        FovealError: When the server does not start.
    """
    tls = TlsFiles.of(options.tls_cert, options.tls_key)
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
    """Serve until SIGTERM or Ctrl-C, then drain: say "not ready", finish what is in flight.

    Returns normally after a drain, so that a process ends with exit status 0. A second signal
    ends the process at once. Call it from the main thread.

    Args:
        offered: Name in the routes → predictor; or an offer, which may follow stores.
        options: Address and limits.
        on_ready: Called with the URL once the server answers.
        **changes: Fields of `ServerOptions` that differ from `options`.

    Raises:
        UsageError: For an unknown option, or when the address cannot be listened on.
        FovealError: When the server does not start.
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
    """Start a server, and drain it when a signal asks for that.

    SIGTERM comes from what also routes requests here: the server goes on accepting for
    `drain_delay_s`, until that has heard of it. Ctrl-C comes from a person, who wants the end now.

    Args:
        start: Starts the server.
        options: Times of the drain.
        on_ready: Called with the URL once the server answers.
        at_once: The signal that drains without the delay.
        is_wanted: Asked twice a second; the server is drained when it says no.
        reloads: Whether SIGHUP reloads models and TLS files. When the terminal is closed, which
            sends it too, the server ends.
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
    """Return whether this process has a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
