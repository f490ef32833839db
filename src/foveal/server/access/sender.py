"""Refuse cross-site requests and requests with an ambiguous header.

A page that rebinds its name to this server's address is known by its `Host`, on every method; a
page that sends across origins by its `Origin` or `Sec-Fetch-Site`, on every method that may change
something. Programs send neither of the two latter. Cookies are never read, so there is nothing
that a browser would add by itself to what a page sends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self, final

from starlette.types import Scope

from foveal.server.options import ServerOptions
from foveal.server.request.limits import RequestError

SAFE_METHODS = frozenset({"GET", "HEAD"})
# RFC 9110, 7.2: a name or an address, and a port; RFC 6454: the same after a scheme.
_NAME = r"\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}"
_HOST = re.compile(rf"({_NAME})(?::([0-9]{{0,5}}))?")
_ORIGIN = re.compile(rf"([A-Za-z][A-Za-z0-9+.-]{{0,31}})://({_NAME})(?::([0-9]{{1,5}}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
# Two of one of these would be read differently by a proxy and by this server.
_ONCE = frozenset(
    {
        b"host",
        b"origin",
        b"authorization",
        b"x-api-key",
        b"content-type",
        b"content-encoding",
        b"sec-fetch-site",
        b"access-control-request-method",
    }
)
_FIRST = frozenset({b"x-request-id", b"traceparent", b"x-request-timeout", b"request-timeout"})
_PREFLIGHT_S = 600
# What a page of an allowed origin may send beside what every page may, and may read.
_ALLOWED_HEADERS = (
    "authorization, content-type, inference-header-content-length, request-timeout, traceparent, "
    "x-api-key, x-request-id, x-request-timeout"
)
_EXPOSED_HEADERS = "inference-header-content-length, retry-after, x-model-version, x-request-id"
_FOREIGN = (
    "Requests from other web origins are not allowed unless the server is started with "
    "--allowed-origin."
)


@final
@dataclass(frozen=True, slots=True)
class Head:
    """The parts of a request header that the gate needs.

    Attributes:
        method: In upper case.
        values: Name in lower case → value, of the headers that matter before the route does.
    """

    method: str
    values: dict[str, str]

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Read the head.

        Raises:
            RequestError: 400 for two headers of a name that may stand once.
        """
        values: dict[str, str] = {}
        for name, value in scope["headers"]:
            if name in _ONCE:
                text = name.decode("latin-1")
                if text in values:
                    raise RequestError(400, f"The header {text!r} occurs twice. Expected it once.")
                values[text] = value.decode("latin-1")
            elif name in _FIRST:
                values.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        return cls(scope["method"], values)

    @property
    def is_preflight(self) -> bool:
        """Whether a browser asks what a page of another origin may send."""
        asked = "access-control-request-method" in self.values
        return self.method == "OPTIONS" and asked and "origin" in self.values


def check_sender(head: Head, scope: Scope, options: ServerOptions) -> None:
    """Refuse cross-site requests.

    Raises:
        RequestError: 400 for a host or an origin that is none, 403 for a foreign one, 415 for an
            encoded body.
    """
    host = _checked_host(head, scope, options)
    origin = head.values.get("origin")
    if origin is not None and origin != "null" and not _ORIGIN.fullmatch(origin):
        raise RequestError(400, "Invalid Origin.")
    if head.method not in SAFE_METHODS and not _is_welcome(head, origin, host, options):
        raise RequestError(403, _FOREIGN)
    if head.values.get("content-encoding", "identity").lower() != "identity":
        raise RequestError(415, "Content-Encoding is not supported. Send the body uncompressed.")


def check_same_origin(head: Head, scope: Scope, options: ServerOptions) -> None:
    """Refuse what comes from a page of any other origin, allowed ones too.

    Raises:
        RequestError: 403 for another origin.
    """
    host = _checked_host(head, scope, options)
    if not _is_own(head, head.values.get("origin"), host):
        raise RequestError(403, "This request is only allowed from this server's own pages.")


def cors_headers(head: Head, options: ServerOptions) -> list[tuple[bytes, bytes]]:
    """Return what lets a page of an allowed origin read the answer; nothing for other senders."""
    origin = head.values.get("origin")
    if not options.allowed_origins:
        return []
    # A cache must not give an answer for one origin to another.
    headers = [(b"vary", b"Origin")]
    if origin is not None and origin in options.allowed_origins:
        headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
        headers.append((b"access-control-expose-headers", _EXPOSED_HEADERS.encode()))
        if head.is_preflight:
            headers.append((b"access-control-allow-methods", b"GET, POST"))
            headers.append((b"access-control-allow-headers", _ALLOWED_HEADERS.encode()))
            headers.append((b"access-control-max-age", str(_PREFLIGHT_S).encode()))
    return headers


def _is_welcome(head: Head, origin: str | None, host: str, options: ServerOptions) -> bool:
    return (origin is not None and origin in options.allowed_origins) or _is_own(head, origin, host)


def _is_own(head: Head, origin: str | None, host: str) -> bool:
    """Whether a request comes from a program, or from a page that this server gave."""
    if origin is None:
        return head.values.get("sec-fetch-site", "none") in ("same-origin", "none")
    match = _ORIGIN.fullmatch(origin)
    if match is None or not host:
        return False
    scheme = match[1].lower()
    default = _DEFAULT_PORTS.get(scheme, "")
    # Not the scheme: behind a proxy that ends TLS, the page's is https and this server's http.
    name, port = _parts(host)
    return (match[2].lower(), match[3] or default) == (name, port or default)


def _checked_host(head: Head, scope: Scope, options: ServerOptions) -> str:
    """Return the host that the request is for, in the form of the header.

    Raises:
        RequestError: 400 when it is missing, malformed or said twice; 403 when it is foreign.
    """
    host = head.values.get("host")
    if host is None:
        if scope.get("http_version", "1.1") != "1.0":
            raise RequestError(400, "The header Host is missing.")
        # No browser: they have sent it since 1996. Health checks of proxies do not.
        return ""
    if not _HOST.fullmatch(host):
        raise RequestError(400, "Invalid Host.")
    names = options.host_names()
    if names is not None and _parts(host)[0].strip("[]") not in names:
        raise RequestError(
            403,
            (
                "This server does not accept that Host. To accept it, start the server with "
                "--allowed-host."
            ),
        )
    return host


def _parts(host: str) -> tuple[str, str]:
    """Return the name in lower case, an IPv6 address with its brackets, and the port or nothing."""
    match = _HOST.fullmatch(host)
    return (match[1].lower(), match[2] or "") if match else ("", "")
