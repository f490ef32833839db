"""A gRPC call: authorization, counting and logging."""

from __future__ import annotations

import time
from typing import Any, TypeAlias, final
from urllib.parse import unquote

from foveal.errors import FovealError
from foveal.server.access.accesslog import utc
from foveal.server.request.limits import RequestError
from foveal.server.request.notes import Caller, RequestNotes, drop_notes, take_notes
from foveal.server.state import ServerState

Context: TypeAlias = Any
"""`grpc.aio.ServicerContext`: grpcio ships no types."""

# Probes send no key.
_PUBLIC = frozenset({"ServerLive", "ServerReady"})
_PREDICT = frozenset({"predict"})


@final
class Call:
    """One call, as a context manager.

    Args:
        state: The server's shared state.
        name: Name of the method that is called.
        context: What gRPC passes with the call.
    """

    def __init__(self, state: ServerState, name: str, context: Context) -> None:
        self._state = state
        self._name = name
        sent = dict(context.invocation_metadata() or ())
        self._key = sent.get("x-api-key")
        authorization = str(sent.get("authorization", ""))
        if self._key is None and authorization[:7].lower() == "bearer ":
            self._key = authorization[7:].strip()
        self._notes = RequestNotes(caller=Caller(_address(context.peer())))
        self._begun = time.perf_counter()

    def __enter__(self) -> None:
        """Admit the call.

        Raises:
            RequestError: 401, 403 or 429.
        """
        self._token = take_notes(self._notes)
        self._entered: Any = None
        if self._name not in _PUBLIC:
            entered = self._state.access.entered(self._key, _PREDICT, self._notes.caller.address)
            try:
                self._notes.caller = entered.__enter__()
            except RequestError as error:
                self._end(error.status)
                raise
            self._entered = entered

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Let go of the caller's share, and count the call."""
        if self._entered is not None:
            self._entered.__exit__(None, None, None)
        if isinstance(error, RequestError):
            self._end(error.status)
        elif isinstance(error, FovealError):
            self._end(error.http_status)
        elif error is None:
            self._end(200)
        else:
            self._end(500 if isinstance(error, Exception) else 499)

    def _end(self, status: int) -> None:
        drop_notes(self._token)
        seconds, notes = time.perf_counter() - self._begun, self._notes
        self._state.telemetry.count_request(f"grpc_{self._name}", status, seconds)
        if self._state.access_log is not None:
            self._state.access_log.add(
                {
                    "time": utc(time.time() - seconds),
                    "request": notes.request_id or None,
                    "key": notes.caller.key_id,
                    "address": notes.caller.address,
                    "method": "gRPC",
                    "route": self._name,
                    "model": notes.model or None,
                    "version": notes.version or None,
                    "status": status,
                    "ms": round(1000 * seconds, 2),
                }
            )


def _address(peer: str) -> str:
    """Return the IP address of `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`."""
    kind, _, rest = peer.partition(":")
    return unquote(rest).rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""
