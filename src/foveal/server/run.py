"""Run the server: blocking with a clean drain on SIGTERM, or in a thread beside a notebook."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, final

import uvicorn
from starlette.applications import Starlette

from foveal.errors import FovealError, UsageError
from foveal.predict import Predictor
from foveal.server.app import create_app
from foveal.server.options import ServerOptions
from foveal.server.protocol import protocol_with_header_limit
from foveal.server.training_page import create_watch_app
from foveal.workflow.rundir import RunDirectory

logger = logging.getLogger(__name__)

_BACKLOG = 2048
_POLL_S = 0.01
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@final
class ServerHandle:
    """A server that runs in a thread of this process.

    Attributes:
        url: Where it answers, e.g. `http://127.0.0.1:8000`.
    """

    def __init__(
        self, url: str, server: uvicorn.Server, thread: threading.Thread, state: Any
    ) -> None:
        self.url = url
        self._server = server
        self._thread = thread
        self._state = state

    @property
    def is_running(self) -> bool:
        """Whether the server still answers."""
        return self._thread.is_alive()

    def drain(self) -> None:
        """Say "not ready" from now on, and ask clients to close their connections."""
        self._state.draining = True

    def stop(self) -> None:
        """Stop accepting, finish what is in flight, and end the thread. May be called twice."""
        self.drain()
        self._server.should_exit = True
        self._thread.join()

    def __enter__(self) -> ServerHandle:
        """Return the handle."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()


def start_in_thread(
    predictors: Mapping[str, Predictor], options: ServerOptions | None = None, **changes: Any
) -> ServerHandle:
    """Start a server and return when it is ready.

    Args:
        predictors: Name in the routes → predictor.
        options: Address and limits; port 0 takes a free one.
        **changes: Fields of `ServerOptions` that differ from `options`.

    Raises:
        UsageError: For an unknown option, or when the address cannot be listened on.
        FovealError: When the server does not start.
    """
    options = (options or ServerOptions()).changed(changes)
    return start_app(create_app(predictors, options), options)


def start_app(app: Starlette, options: ServerOptions) -> ServerHandle:
    """Start the server of an application and return when it is ready.

    Args:
        app: Its `state.foveal` has the flag `draining`.
        options: Address and times.

    Raises:
        UsageError: When the address cannot be listened on.
        FovealError: When the server does not start.
    """
    listener = _listen(options)
    config = uvicorn.Config(
        app,
        http=protocol_with_header_limit(options.header_timeout_s),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Behind a proxy the guards must see what the proxy sent, not what a header claims.
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(options.drain_s)),
    )
    server = uvicorn.Server(config)
    failure: list[BaseException] = []

    def run() -> None:
        try:
            server.run(sockets=[listener])
        except (Exception, SystemExit) as error:  # Handed to the thread that waits.
            failure.append(error)
        finally:
            listener.close()

    thread = threading.Thread(target=run, name="foveal-server", daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(_POLL_S)
    if not server.started:
        raise FovealError("The server did not start.") from (failure[0] if failure else None)
    return ServerHandle(_url(options.host, listener), server, thread, app.state.foveal)


def serve(
    predictors: Mapping[str, Predictor],
    options: ServerOptions | None = None,
    *,
    on_ready: Callable[[str], None] | None = None,
    **changes: Any,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain: say "not ready", finish what is in flight.

    Returns normally after a drain, so that a process ends with exit status 0. A second signal
    ends the process at once. Call it from the main thread.

    Args:
        predictors: Name in the routes → predictor.
        options: Address and limits.
        on_ready: Called with the URL once the server answers.
        **changes: Fields of `ServerOptions` that differ from `options`.

    Raises:
        UsageError: For an unknown option, or when the address cannot be listened on.
        FovealError: When the server does not start.
    """
    options = (options or ServerOptions()).changed(changes)
    _run_until_asked(lambda: start_in_thread(predictors, options), options, on_ready)


def watch(
    run: RunDirectory,
    options: ServerOptions,
    *,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the live page of a run until SIGTERM or Ctrl-C; see `serve`.

    Args:
        run: The run, which another process may be training.
        options: Address.
        on_ready: Called with the URL once the server answers.
    """
    app = create_watch_app(run, options)
    _run_until_asked(lambda: start_app(app, options), options, on_ready)


def _run_until_asked(
    start: Callable[[], ServerHandle],
    options: ServerOptions,
    on_ready: Callable[[str], None] | None,
) -> None:
    asked = threading.Event()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def on_signal(_: int, __: FrameType | None) -> None:
        asked.set()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    for number in _SIGNALS:
        signal.signal(number, on_signal)
    try:
        handle = start()
        if on_ready is not None:
            on_ready(handle.url)
        while not asked.wait(0.5) and handle.is_running:
            pass
        if asked.is_set():
            handle.drain()
            time.sleep(options.drain_delay_s)
        handle.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(options: ServerOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Cannot listen on {options.host}:{options.port}: {error}.",
            hint="choose another --port (0 chooses a free one)",
        ) from error


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    # What is bound everywhere is reached from here through the loopback.
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    shown = everywhere.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
