"""The first and last to touch a request: who may send it, ids, headers, counters, errors."""

from __future__ import annotations

import itertools
import logging
import re
import secrets
import time
from typing import Protocol, final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foveal.errors import FovealError
from foveal.server.limits import ClientGoneError, RequestError, check_sender
from foveal.server.options import ServerOptions
from foveal.server.routes import error_response, status_of
from foveal.server.telemetry import Telemetry

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
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


class Guarded(Protocol):
    """What the gate needs to know of the application behind it."""

    @property
    def options(self) -> ServerOptions:
        """Who may ask."""

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
        begun = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = f"{self._prefix}-{next(self._numbers):x}"
        status = _CLIENT_GONE

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._headers(message, request_id)
            await send(message)

        try:
            check_sender(scope["method"], headers, self._state.options)
            await self._app(scope, receive, send_guarded)
        except RequestError as error:
            response = error_response(error.status, error.message, error.headers)
            await response(scope, receive, send_guarded)
        except ClientGoneError:
            logger.info("client gone, request %s", request_id)
        finally:
            route = scope.get("route")
            name = getattr(route, "name", "none")
            seconds = time.perf_counter() - begun
            self._state.telemetry.count_request(name, status, seconds)
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug(
                    "%s %s %d %.1f ms %s",
                    scope["method"],
                    name,
                    status,
                    1000 * seconds,
                    request_id,
                )

    def _headers(self, message: Message, request_id: str) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = [
            *message["headers"],
            *_HEADERS,
            (b"x-request-id", request_id.encode()),
        ]
        if any(k == b"content-type" and v.startswith(b"text/html") for k, v in headers):
            own = {k for k, _ in headers}
            headers += [header for header in _PAGE_HEADERS if header[0] not in own]
        if self._state.draining and not any(k == b"connection" for k, _ in headers):
            headers.append((b"connection", b"close"))
        return headers


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: 404 and 405."""
    if not isinstance(error, HTTPException):
        return await on_unexpected(request, error)
    if error.status_code == 405:
        headers = dict(error.headers or {})
        allowed = headers.get("Allow", "another method")
        return error_response(405, f"{request.method} is not allowed here. Use {allowed}.", headers)
    if error.status_code == 404:
        return error_response(404, "There is nothing at this address. See /docs.")
    return error_response(error.status_code, error.detail)


async def on_request_error(_: Request, error: Exception) -> Response:
    """Answer a request that is at fault."""
    if isinstance(error, RequestError):
        return error_response(error.status, error.message, error.headers)
    raise error


async def on_foveal_error(_: Request, error: Exception) -> Response:
    """Answer an error that the library raised on purpose."""
    if isinstance(error, FovealError):
        return error_response(*status_of(error))
    raise error


async def on_unexpected(_: Request, error: Exception) -> Response:
    """Answer a bug without showing its insides; the server's log has them."""
    logger.error("a request failed unexpectedly", exc_info=error)
    return error_response(500, "Internal error. The server's log has the details.")
