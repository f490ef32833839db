"""A time limit on the head of a request, which uvicorn does not have (0.54).

Its keep-alive timer is cancelled by the first byte, so a client that trickles one header byte
after another would hold its connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def protocol_with_header_limit(limit_s: float) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol class with the limit in it.

    Subclassing is the one way that uvicorn offers; each overridden callback is the event's own,
    and ends in or begins with uvicorn's.

    Args:
        limit_s: From the first byte (or from the connection, for the first request) to the end
            of the head; then the connection is closed.
    """

    class LimitedProtocol(HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._head_timer: asyncio.TimerHandle | None = None
            self._head_is_due = True

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._head_timer = self.loop.call_later(limit_s, transport.close)

        def data_received(self, data: bytes) -> None:
            if self._head_timer is None and self._head_is_due:
                self._head_timer = self.loop.call_later(limit_s, self.transport.close)
            super().data_received(data)

        def on_headers_complete(self) -> None:
            self._head_is_due = False
            self._stop_timer()
            super().on_headers_complete()
            # The request's task has not begun yet. An absolute address in it names a host too.
            self.scope["foveal.target"] = self.url  # type: ignore[typeddict-unknown-key]

        def on_message_complete(self) -> None:
            self._head_is_due = True
            super().on_message_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return LimitedProtocol
