"""A worker process, which opens the models and serves on an inherited socket."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from foveal.errors import FovealError
from foveal.machine import share_cores
from foveal.server.app import create_app
from foveal.server.models.loader import Offered
from foveal.server.options import ServerOptions
from foveal.server.run import ServerHandle, run_until_asked, start_app
from foveal.server.telemetry.counters import share_values

OpenModels = Callable[[], Offered]


def work(
    open_models: OpenModels,
    options: ServerOptions,
    number: int,
    listener: socket.socket,
    channel: Connection,
    beat: Callable[[], None] | None = None,
) -> None:
    """Serve until the supervisor asks for the end, or is no longer there.

    Args:
        open_models: Gives the models.
        options: Must name a runtime directory.
        number: Place of this worker; one that replaces it goes on with its counters.
        listener: Accepts the connections.
        channel: Tells the supervisor that the worker answers, or why it cannot start.
        beat: Called again and again by the thread of the network, for as long as that runs.
    """
    supervisor = os.getppid()
    # Networks and threads alike: a worker for each core runs its networks in one thread.
    share_cores(options.workers)

    def start() -> ServerHandle:
        return start_app(create_app(open_models(), options), options, listener, beat)

    def on_ready(_: str) -> None:
        _say(channel, None)

    if options.runtime_dir is not None:
        share_values(options.runtime_dir, str(number))
    try:
        run_until_asked(
            start,
            options,
            on_ready,
            at_once=signal.SIGQUIT,
            is_wanted=lambda: os.getppid() == supervisor,
            reloads=True,
        )
    except FovealError as error:
        _say(channel, {"kind": type(error).__name__, **error.to_json()})
        raise SystemExit(error.exit_status) from error
    except Exception as error:  # The supervisor says it, in one line.
        message = f"A worker could not start: {type(error).__name__}: {error}"
        _say(channel, {"kind": "FovealError", **FovealError(message).to_json()})
        raise


def _say(channel: Connection, value: dict[str, Any] | None) -> None:
    channel.send_bytes(json.dumps(value).encode())
