"""HTTP requests with limits on size, time and decompressed size."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self, final

import httpcore

from foveal.collect.network import PublicBackend, RefusedHostError, UnknownHostError
from foveal.collect.waiting import retry_after
from foveal.retries import causes

# A host that sends a byte now and then never times out by itself.
_SLOWEST = 10
_MAX_CONNECTIONS = 64
# What passes: the same request may be answered later.
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
TOO_MANY_REDIRECTS = "too many redirects"
_ANY_DEFLATE = 32 + zlib.MAX_WBITS


@final
@dataclass(frozen=True, slots=True)
class Response:
    """A response, with its body if it was successful.

    Attributes:
        address: URL that was asked for.
        status: HTTP status.
        headers: Name in lower case → value; the first of each name.
        body: Unpacked.
    """

    address: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """Return the type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class FetchError(Exception):
    """Raised if a request fails.

    Args:
        reason: In a few words, for a table.
        passes: Whether it may work later.
        status: HTTP status, where there was an answer.
        wait_s: How long the host asks to wait, in seconds.
    """

    def __init__(
        self,
        reason: str,
        *,
        passes: bool = False,
        status: int | None = None,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passes = passes
        self.status = status
        self.wait_s = wait_s


@final
class Client:
    """Sends GET requests.

    Cookies are not kept, and proxies of the environment are not used: through one it could not be
    told what machine is connected to.

    Args:
        user_agent: Who asks.
        timeout_s: Seconds without a byte until it is an error; ten times that for a whole answer.
        allow_private: Connect to addresses of private networks too.
        tls: Certificates that are trusted; None for those of the package certifi.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        timeout_s: float,
        allow_private: bool,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.received = 0
        self._timeout_s = timeout_s
        self._timeouts = {
            kind: timeout_s if kind != "pool" else None
            for kind in ("connect", "read", "write", "pool")
        }
        self._agent = user_agent
        self._slots = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=_MAX_CONNECTIONS,
            keepalive_expiry=30.0,
            network_backend=PublicBackend(allow_private=allow_private),
        )

    async def __aenter__(self) -> Self:
        """Open nothing yet."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def get(
        self, address: str, *, accept: str, most_bytes: int, cut: bool = False
    ) -> Response:
        """Send one request and return its answer, also one that says no or leads elsewhere.

        Args:
            address: As `addresses.normal` returns it.
            accept: What is wanted: `image/*`.
            most_bytes: Longest body.
            cut: Return the beginning of a longer body.

        Raises:
            FetchError: If there is no whole answer, or it passes by its status.
        """
        try:
            # Waiting for one of the connections to be free is no time that a host takes.
            async with self._slots, asyncio.timeout(_SLOWEST * self._timeout_s):
                return await self._get(address, accept, most_bytes, cut)
        except (TimeoutError, httpcore.TimeoutException) as error:
            raise FetchError("timed out", passes=True) from error
        except RefusedHostError as error:
            raise FetchError("private address") from error
        except UnknownHostError as error:
            raise FetchError("unknown host", passes=True) from error
        except httpcore.RemoteProtocolError as error:
            raise FetchError("invalid response", passes=True) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            failed = "TLS error" if _is_tls(error) else "no connection"
            raise FetchError(failed, passes=True) from error
        except (ValueError, httpcore.UnsupportedProtocol) as error:
            # Hosts and headers that cannot be written into a request.
            raise FetchError("not an address") from error

    async def _get(self, address: str, accept: str, most_bytes: int, cut: bool) -> Response:
        wants_picture = accept.startswith("image/")
        sent = {
            "User-Agent": self._agent,
            "Accept": accept,
            # Pictures are packed already.
            "Accept-Encoding": "identity" if wants_picture else "gzip, deflate",
        }
        headers = [(name.encode(), value.encode()) for name, value in sent.items()]
        extensions = {"timeout": self._timeouts}
        async with self._pool.stream(
            "GET", address, headers=headers, extensions=extensions
        ) as response:
            received: dict[str, str] = {}
            for name, value in response.headers:
                received.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
            answer = Response(address, response.status, received, b"")
            if answer.status in _PASSING:
                wait_s = retry_after(received.get("retry-after"), datetime.now(UTC))
                raise FetchError(
                    f"HTTP {answer.status}", passes=True, status=answer.status, wait_s=wait_s
                )
            if not 200 <= answer.status < 300:
                return answer
            if wants_picture:
                _check_type(answer)
            body = await self._body(response, answer, most_bytes, cut)
            return Response(address, answer.status, received, body)

    async def _body(
        self, response: httpcore.Response, answer: Response, most_bytes: int, cut: bool
    ) -> bytes:
        """Return the body, unpacked; no more than one byte too many is ever held."""
        stated = answer.headers.get("content-length", "")
        if not cut and stated.isdigit() and int(stated[:20]) > most_bytes:
            raise _too_large(answer.status)
        unpacker = _unpacker(answer)
        body = bytearray()
        async for chunk in response.aiter_stream():
            self.received += len(chunk)
            part = chunk
            if unpacker is not None:
                try:
                    part = unpacker.decompress(chunk, most_bytes + 1 - len(body))
                except zlib.error as error:
                    raise FetchError(
                        "invalid response", passes=True, status=answer.status
                    ) from error
            body += part
            if len(body) > most_bytes:
                if cut:
                    return bytes(body[:most_bytes])
                raise _too_large(answer.status)
        if unpacker is not None and not unpacker.eof:
            raise FetchError("invalid response", passes=True, status=answer.status)
        return bytes(body)


def _too_large(status: int) -> FetchError:
    return FetchError("too many bytes", status=status)


def _check_type(answer: Response) -> None:
    """Refuse what says itself that it is no picture; what says nothing is looked at later."""
    major, _, minor = answer.content_type.partition("/")
    is_text = major == "text" and minor != "plain"
    if is_text or major in ("video", "audio") or minor in ("json", "xml", "xhtml+xml", "pdf"):
        raise FetchError(f"not a picture: {answer.content_type[:40]}", status=answer.status)


def _unpacker(answer: Response) -> zlib._Decompress | None:
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(_ANY_DEFLATE)
    raise FetchError("unknown encoding", status=answer.status)


def _is_tls(error: BaseException) -> bool:
    """Return whether it is about the certificate; the error of the system is the cause of ours."""
    return any(isinstance(each, ssl.SSLError) for each in causes(error))
