"""An HTTP server for one application: accepts connections on an event loop, and drains."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Callable
from typing import final

from starlette.applications import Starlette

from foveal.server.gate import Guarded
from foveal.server.heartbeat import BEAT_S
from foveal.server.http.listen import BACKLOG
from foveal.server.http.pool import Pool
from foveal.server.http.protocol import Connection
from foveal.server.http.tls import TlsFiles
from foveal.server.options import ServerOptions

logger = logging.getLogger(__name__)


@final
class HttpServer:
    """Serves an application on a listening socket; `run` in a thread, the rest from any.

    Args:
        app: The application; its lifespan is the server's.
        options: Limits and times.
        listener: Accepts the connections; closed at the end.
        tls: Certificate and key; None for plain HTTP.
        beat: Called each second while the event loop runs.
    """

    def __init__(
        self,
        app: Starlette,
        options: ServerOptions,
        listener: socket.socket,
        tls: TlsFiles | None = None,
        beat: Callable[[], None] | None = None,
    ) -> None:
        self._app = app
        self._options = options
        self._listener = listener
        self._files = tls
        self._tls = tls.context if tls else None
        self._beat = beat
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self.started = threading.Event()

    def run(self) -> None:
        """Serve until `stop` is called."""
        with asyncio.Runner(loop_factory=_loop_factory()) as runner, self._listener:
            runner.run(self._serve())

    def stop(self) -> None:
        """Have `run` stop accepting, finish what is in flight, and return."""
        self.call(self._stopping.set)

    def reload_tls(self) -> None:
        """Read certificate and key again, if there are any."""
        if self._files is not None:
            self._files.reload()

    def call(self, function: Callable[[], object]) -> None:
        """Have a function called on the event loop, unless that has ended."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        state: Guarded = self._app.state.foveal
        async with self._app.router.lifespan_context(self._app):
            address = self._listener.getsockname()
            pool = Pool(
                self._app,
                self._options,
                state.telemetry,
                scheme="https" if self._tls else "http",
                server_address=(address[0], address[1]) if isinstance(address, tuple) else None,
            )
            self._listener.setblocking(False)
            server = await self._listen(pool)
            tasks = [asyncio.create_task(pool.sweep()), asyncio.create_task(self._beating())]
            self.started.set()
            await self._stopping.wait()
            pool.is_draining = True
            server.close()
            await self._accept_rest(pool)
            await pool.drain(self._options.drain_s)
            for task in tasks:
                task.cancel()

    async def _beating(self) -> None:
        while self._beat is not None:
            self._beat()
            await asyncio.sleep(BEAT_S)

    async def _listen(self, pool: Pool) -> asyncio.AbstractServer:
        loop = asyncio.get_running_loop()
        is_unix = not isinstance(self._listener.getsockname(), tuple)
        create = loop.create_unix_server if is_unix else loop.create_server
        return await create(
            lambda: Connection(pool),
            sock=self._listener.dup(),
            backlog=BACKLOG,
            ssl=self._tls,
            ssl_handshake_timeout=self._options.header_timeout_s if self._tls else None,
        )

    async def _accept_rest(self, pool: Pool) -> None:
        """Take the connections that wait in the queue: closing the socket would reset them."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                await loop.connect_accepted_socket(
                    lambda: Connection(pool), accepted, ssl=self._tls
                )
        self._listener.close()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
