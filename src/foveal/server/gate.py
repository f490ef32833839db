"""Middleware around all requests: access control, ids, headers, counters, errors."""

from __future__ import annotations

import itertools
import logging
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Protocol, final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import (
    ASGIApp,
    ExceptionHandler,
    Lifespan,
    Message,
    Receive,
    Scope,
    Send,
)

from foveal.errors import FovealError
from foveal.server.access.accesslog import AccessLog, utc
from foveal.server.access.auth import Access
from foveal.server.access.sender import Head, check_sender, cors_headers
from foveal.server.options import ServerOptions
from foveal.server.request.limits import ClientGoneError, RequestError, timeout_of
from foveal.server.request.notes import Caller, RequestNotes, drop_notes, take_notes
from foveal.server.request.responses import INTERNAL_ERROR, error_response, status_of
from foveal.server.telemetry.counters import Telemetry
from foveal.types import JsonObject

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# W3C Trace Context: version, trace, parent, flags; a later version may add to it.
_TRACEPARENT = re.compile(r"[0-9a-e][0-9a-f]-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_HEADERS = (
    # Asked for again each time, and answered with 304: an upgraded server never meets old scripts.
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Nothing inline, nothing foreign: the page's own files, and pictures that it made itself.
_CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"img-src 'self' blob: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = (
    (b"content-security-policy", _CONTENT_SECURITY_POLICY),
    (b"x-frame-options", b"DENY"),
)
_CLIENT_GONE = 499


def framed_policy(ancestors: str) -> dict[str, str]:
    """Return the header of a page that other pages may show in a frame.

    Args:
        ancestors: Which: sources of a content security policy, with spaces between them.
    """
    policy = _CONTENT_SECURITY_POLICY.decode().replace("ancestors 'none'", f"ancestors {ancestors}")
    return {"content-security-policy": policy}


class Guarded(Protocol):
    """The state of the application that the gate needs."""

    @property
    def options(self) -> ServerOptions:
        """The access control."""

    @property
    def access(self) -> Access:
        """Knows the keys."""

    @property
    def access_log(self) -> AccessLog | None:
        """The access log, if there is one."""

    @property
    def telemetry(self) -> Telemetry:
        """Counts requests."""

    @property
    def draining(self) -> bool:
        """Whether the server is going down."""


@final
class Gate:
    """Middleware around every HTTP request.

    Args:
        app: What to guard.
        state: The server's shared state.
    """

    def __init__(self, app: ASGIApp, state: Guarded) -> None:
        self._app = app
        self._state = state
        # Unique without a system call for each request, which costs more than the rest of this.
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        notes = RequestNotes(
            f"{self._prefix}-{next(self._numbers):x}", Caller(client[0] if client else "")
        )
        token = take_notes(notes)
        try:
            await self._answer(_Exchange(scope, receive, send, notes, self._state))
        finally:
            drop_notes(token)

    async def _answer(self, exchange: _Exchange) -> None:
        scope, state, notes = exchange.scope, self._state, exchange.notes
        try:
            head = exchange.read_head()
            check_sender(head, scope, state.options)
            if head.is_preflight and head.values["origin"] in state.options.allowed_origins:
                await Response(status_code=204)(scope, exchange.receive, exchange.send)
                return
            with state.access.admitted(head, scope["path"], notes.caller.address) as caller:
                notes.caller = caller
                await self._app(scope, exchange.receive, exchange.send)
        except RequestError as error:
            response = _refusal(scope, error.status, error.message, error.headers)
            await response(scope, exchange.receive, exchange.send)
        except ClientGoneError:
            logger.info("client disconnected, request %s", notes.request_id)
        finally:
            exchange.end()


@final
class _Exchange:
    """One request and its response, as they pass the gate."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, notes: RequestNotes, state: Guarded
    ) -> None:
        self.scope = scope
        self._receive = receive
        self.notes = notes
        self._send = send
        self._state = state
        self._head: Head | None = None
        self._begun = time.perf_counter()
        self._status = _CLIENT_GONE
        self._received = 0
        self._sent = 0

    def read_head(self) -> Head:
        """Return what the gate looks at; raises RequestError 400 for what is ambiguous or odd."""
        self._head = head = Head.of(self.scope)
        request_id = head.values.get("x-request-id", "")
        if _REQUEST_ID.fullmatch(request_id):
            self.notes.request_id = request_id
        self.notes.timeout_s = timeout_of(head.values)
        trace = _TRACEPARENT.fullmatch(head.values.get("traceparent", ""))
        if trace is not None and trace[1].strip("0") and trace[2].strip("0"):
            self.notes.trace_id = trace[1]
        return head

    async def receive(self) -> Message:
        """Return the next part of the body."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message["headers"] = self._headers(message)
        else:
            self._sent += len(message.get("body", b""))
        await self._send(message)

    def end(self) -> None:
        """Count the request, and write it down."""
        name = getattr(self.scope.get("route"), "name", "none")
        seconds = time.perf_counter() - self._begun
        self._state.telemetry.count_request(name, self._status, seconds)
        log = self._state.access_log
        if log is not None:
            log.add(self._line(name, seconds))
        if logger.isEnabledFor(logging.DEBUG):
            shown = (self.scope["method"], name, self._status, 1000 * seconds)
            logger.debug("%s %s %d %.1f ms %s", *shown, self.notes.request_id)

    def _line(self, route: str, seconds: float) -> JsonObject:
        notes = self.notes
        return {
            "time": utc(time.time() - seconds),
            "request": notes.request_id,
            "trace": notes.trace_id or None,
            "key": notes.caller.key_id,
            "address": notes.caller.address,
            "method": self.scope["method"],
            "route": route,
            "model": notes.model or None,
            "version": notes.version or None,
            "status": self._status,
            "ms": round(1000 * seconds, 2),
            "bytes_in": self._received,
            "bytes_out": self._sent,
        }

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = [
            *message["headers"],
            *_HEADERS,
            (b"x-request-id", self.notes.request_id.encode()),
        ]
        if self.notes.version:
            headers.append((b"x-model-version", str(self.notes.version).encode()))
        if self._head is not None:
            headers += cors_headers(self._head, self._state.options)
        if any(k == b"content-type" and v.startswith(b"text/html") for k, v in headers):
            own = {k for k, _ in headers}
            headers += [header for header in _PAGE_HEADERS if header[0] not in own]
        if self._state.draining and not any(k == b"connection" for k, _ in headers):
            headers.append((b"connection", b"close"))
        return headers


def gated(
    routes: Sequence[BaseRoute],
    state: Guarded,
    *,
    handlers: Mapping[type[Exception], ExceptionHandler] | None = None,
    lifespan: Lifespan[Starlette] | None = None,
) -> Starlette:
    """Return an application behind the gate, which also serves the files of the pages.

    Args:
        routes: Its own, which come before the files.
        state: What its routes share; they find it as `app.state.foveal`.
        handlers: Errors that it answers itself, besides those that every one answers.
        lifespan: What begins and ends with the server.
    """
    files = StaticFiles(packages=[("foveal.server.pages", "static")])
    app = Starlette(
        routes=[*routes, Mount("/static", files, name="static")],
        middleware=[Middleware(Gate, state=state)],
        exception_handlers={
            HTTPException: on_http_exception,
            RequestError: on_request_error,
            Exception: on_unexpected,
            **(handlers or {}),
        },
        lifespan=lifespan,
    )
    app.state.foveal = state
    return app


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: 404 and 405."""
    if not isinstance(error, HTTPException):
        return await on_unexpected(request, error)
    if error.status_code == 405:
        headers = dict(error.headers or {})
        # The router has them in a set, whose order differs from process to process.
        allowed = ", ".join(sorted(headers.get("Allow", "another method").split(", ")))
        message = f"{request.method} is not allowed here. Use {allowed}."
        return _refusal(request.scope, 405, message, headers)
    if error.status_code == 404:
        return _refusal(request.scope, 404, "Not found. See /docs for the routes.")
    return _refusal(request.scope, error.status_code, error.detail)


async def on_request_error(request: Request, error: Exception) -> Response:
    """Answer a request that is at fault."""
    if isinstance(error, RequestError):
        return _refusal(request.scope, error.status, error.message, error.headers)
    raise error


async def on_foveal_error(request: Request, error: Exception) -> Response:
    """Answer an error that the library raised on purpose."""
    if isinstance(error, FovealError):
        return _refusal(request.scope, *status_of(error))
    raise error


async def on_memory(request: Request, error: Exception) -> Response:
    """Answer an out-of-memory error, which is not a client error."""
    logger.error("not enough memory for a request: %s", error)
    message = "There is currently not enough memory for this request."
    return _refusal(request.scope, 503, message, {"Retry-After": "1"})


async def on_unexpected(request: Request, error: Exception) -> Response:
    """Answer an internal error without details, which are in the server log."""
    logger.error("a request failed unexpectedly", exc_info=error)
    return _refusal(request.scope, 500, INTERNAL_ERROR)


def _refusal(
    scope: Scope, status: int, message: str, headers: dict[str, str] | None = None
) -> Response:
    return error_response(status, message, headers, path=scope["path"])
