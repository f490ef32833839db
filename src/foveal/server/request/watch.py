"""Cancel work for clients that have disconnected."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import final

from starlette.types import Receive

from foveal.server.request.limits import ClientGoneError

# Most pictures are answered before this; only those that wait longer are worth the cost of
# watching whether their client is still there.
_WATCH_AFTER_S = 0.25


@final
class Watch:
    """Cancels the block if the client disconnects; enter it after reading the body.

    Built like `asyncio.timeout`: a request that is answered soon pays for one timer, no task.

    Raises:
        ClientGoneError: In place of the cancellation that it caused.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._block: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    async def __aenter__(self) -> None:
        """Start the timer."""
        self._block = asyncio.current_task()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_WATCH_AFTER_S, self._start_watching)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._gone and self._block is not None:
            left = self._block.uncancel()
            if left <= 0 and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise ClientGoneError from error

    def _start_watching(self) -> None:
        self._watcher = asyncio.ensure_future(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._block is not None:
            self._block.cancel()
