"""JSON over HTTP for clients of clusters and clouds, with retries and deadlines.

Certificates are verified. A redirect is an error: whatever it leads to, the key that was sent is
not meant for it.
"""

from __future__ import annotations

import http.client
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any, final
from urllib.parse import urlsplit

from foveal.errors import FovealError, UsageError
from foveal.retries import PASSING_STATUS, waits

logger = logging.getLogger(__name__)

_TIMEOUT_S = 60.0
# The waits between tries are at most 2, 4, 8, 16 and 32 s, beside what a service asks for.
_FIRST_WAIT_S, _LONGEST_ASKED_S = 2.0, 30.0
# Of these a server has not begun the work, so that whatever was asked can be asked again.
_NOT_BEGUN = frozenset({429, 503})
_LARGEST_ANSWER = 1 << 30
_SHOWN = 300
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ServiceError(FovealError):
    """Raised if a cluster, cloud or server rejects a request or cannot be reached.

    Args:
        message: One line: who, and what it said.
        status: HTTP status of its answer; 0 when there was none.
        hint: What to do about it.
        code: Overrides `service_failed`.
        wait_s: How long it asks to wait before the next request, in seconds.
    """

    code = "service_failed"

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        hint: str | None = None,
        code: str | None = None,
        wait_s: float = 0.0,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.status = status
        self.wait_s = wait_s


@final
@dataclass(frozen=True, slots=True)
class Service:
    """A JSON service over HTTP.

    Attributes:
        url: Where it begins, without a slash at its end.
        name: What errors call it.
        headers: Gives what is sent with each request, such as a key; asked each time.
        timeout_s: Longest wait for one answer.
        is_patient: Whether an address that cannot be reached is tried again.
        wait: Waits the given seconds between tries; tests replace it.
    """

    url: str
    name: str
    headers: Callable[[], Mapping[str, str]] = field(default=dict)
    timeout_s: float = _TIMEOUT_S
    is_patient: bool = True
    wait: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        """Check the address.

        Raises:
            UsageError: If it is none.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"Invalid address {self.url!r}. Expected https://HOST.")

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON of a path.

        Raises:
            ServiceError: If it cannot be had.
        """
        return _parsed(self.ask("GET", _with_query(path, query)), self.name)

    def post(self, path: str, body: Any, *, repeatable: bool = False) -> Any:
        """Send JSON, and return the JSON of the answer.

        Args:
            path: Where.
            body: What.
            repeatable: Whether it does no harm when it arrives twice.

        Raises:
            ServiceError: If it is refused, or not answered.
        """
        return _parsed(self.ask("POST", path, _encoded(body), repeatable=repeatable), self.name)

    def delete(self, path: str) -> Any:
        """Delete what is at a path, and return the JSON of the answer.

        Raises:
            ServiceError: If it is refused, or not answered.
        """
        return _parsed(self.ask("DELETE", path), self.name)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        repeatable: bool = True,
        kind: str = "application/json",
    ) -> bytes:
        """Return the body of an answer; what fails in passing is tried again.

        Args:
            method: HTTP method.
            path: Below the service's address.
            body: What is sent.
            repeatable: Whether it does no harm when it arrives twice; what is not is only repeated
                where the service says that it has not begun.
            kind: Type of the body.

        Raises:
            ServiceError: If it is refused, or not answered at the last try.
        """
        headers = {"Accept": "application/json", **self.headers()}
        if body is not None:
            headers["Content-Type"] = kind
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self.url + path, data=body, headers=headers, method=method
        )
        pauses = waits(_FIRST_WAIT_S)
        while True:
            try:
                return self._once(request)
            except ServiceError as error:
                pause = next(pauses, None)
                passes = error.status in PASSING_STATUS or (not error.status and self.is_patient)
                again = repeatable and passes
                if pause is None or not (again or error.status in _NOT_BEGUN):
                    raise
                pause += min(_LONGEST_ASKED_S, error.wait_s)
                logger.warning("%s; trying again in %.0f s", error.message.rstrip("."), pause)
            self.wait(pause)

    def _once(self, request: urllib.request.Request) -> bytes:
        try:
            with _OPENER.open(request, timeout=self.timeout_s) as response:
                data: bytes = response.read(_LARGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(1 << 16)
            raise self._refused(error.code, said, error.headers) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ServiceError(f"{self.name} cannot be reached at {self.url}: {reason}") from error
        if len(data) > _LARGEST_ANSWER:
            raise ServiceError(
                f"The response of {self.name} is larger than {_LARGEST_ANSWER >> 20} MiB."
            )
        return data

    def _refused(self, status: int, said: bytes, headers: Message) -> ServiceError:
        if 300 <= status < 400:
            to = urlsplit(headers.get("Location", ""))
            return ServiceError(
                f"{self.name} redirects to {to.scheme}://{to.hostname}, which is not followed.",
                status=status,
                hint="if you trust that address, use it directly",
            )
        return ServiceError(
            f"{self.name} answered {status}: {_words(said)}",
            status=status,
            wait_s=_asked_wait(headers),
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Treats redirects as errors."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        """Follow none."""


_OPENER = urllib.request.build_opener(_NoRedirects)


def is_loopback(url: str) -> bool:
    """Return whether an address is of this machine alone."""
    return urlsplit(url).hostname in _LOOPBACK


def _encoded(body: Any) -> bytes:
    return json.dumps(body, allow_nan=False).encode()


def _with_query(path: str, query: Mapping[str, str]) -> str:
    from urllib.parse import urlencode

    return f"{path}?{urlencode(query)}" if query else path


def _parsed(data: bytes, name: str) -> Any:
    if not data.strip():
        return {}
    try:
        return json.loads(data)
    except ValueError as error:
        raise ServiceError(f"{name} did not return JSON: {_words(data)}") from error


def _words(said: bytes) -> str:
    """Return what an error says, on one line: of JSON, the message in it."""
    text = said.decode("utf-8", "replace")
    try:
        value = json.loads(text)
        found = value.get("error", value) if isinstance(value, dict) else value
        text = found.get("message", text) if isinstance(found, dict) else str(found)
    except ValueError:
        # A traceback: its last line says what went wrong.
        lines = text.strip().splitlines()
        text = lines[-1] if lines and lines[0].startswith("Traceback") else text
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain[:_SHOWN] or "nothing"


def _asked_wait(headers: Message) -> float:
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0
