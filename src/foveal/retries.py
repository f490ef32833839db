"""Retry transient failures of remote file systems, and raise clear errors."""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TypeVar

from foveal.errors import RemoteError
from foveal.urls import shown, without_secrets

T = TypeVar("T")

logger = logging.getLogger(__name__)

ATTEMPTS = 6
# The waits before them are at most 0.5, 1, 2, 4 and 8 s: an object store that is busy says so for
# seconds, one that restarts for some more.
FIRST_WAIT_S = 0.5
# No attempt begins later, however slowly the ones before it failed.
PATIENCE_S = 180.0

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""What may go better in a moment: too many requests, and a server that is down or restarts."""
_REFUSED_STATUS = frozenset({401, 403})
_MISSING_STATUS = frozenset({404, 410})
_PASSING_ERRNO = frozenset(
    number
    for name in (
        *("EAGAIN", "EBUSY", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "EIO"),
        *("ENETDOWN", "ENETRESET", "ENETUNREACH", "EPIPE", "EREMOTEIO", "ETIMEDOUT"),
    )
    if (number := getattr(errno, name, None)) is not None
)
# By name, because the packages that define them are imported only when a URL asks for them.
_PASSING_ERRORS = frozenset(
    {
        # aiohttp, botocore, http.client, urllib3, requests, google.auth, gcsfs
        *("ClientConnectionError", "ClientPayloadError", "HTTPClientError", "ConnectionError"),
        *("IncompleteReadError", "IncompleteRead", "ResponseParserError", "ResponseStreamingError"),
        *("ProtocolError", "ChunkedEncodingError", "ProxyError", "Timeout", "TransportError"),
        *("ChecksumError", "SSLError"),
    }
)
_CREDENTIALS_ERRORS = frozenset(
    {
        *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
        *("TokenRetrievalError", "ProfileNotFound"),
        *("DefaultCredentialsError", "RefreshError", "ClientAuthenticationError"),
    }
)


def waits(first_s: float) -> Iterator[float]:
    """Yield how long to wait between `ATTEMPTS` attempts, in seconds.

    The longest wait doubles each time. Each is between half of it and all of it, so that many
    machines do not come back together.

    Args:
        first_s: The longest first one.
    """
    for number in range(ATTEMPTS - 1):
        yield first_s * 2**number * random.uniform(0.5, 1)  # noqa: S311 - no secret


def insist(work: Callable[[], T], url: str, doing: str) -> T:
    """Return what `work` returns, which is asked again when it fails for a moment.

    That is: statuses 408, 429 and 5xx, connections that break, and no answer in time. It is asked
    up to `ATTEMPTS` times; see `waits` for the time in between.

    Args:
        work: Asks a file system of fsspec; may be repeated.
        url: What it asks for, for people.
        doing: As in `Cannot read URL`: `read`, `write`, `list`.

    Raises:
        FileNotFoundError: If `work` raises it; it is not asked again.
        FileExistsError: Likewise.
        NotADirectoryError: Likewise.
        RemoteError: If it failed otherwise, or for too long.
    """
    began = time.monotonic()
    pauses, attempts = waits(FIRST_WAIT_S), 1
    while True:
        try:
            return work()
        except (FileExistsError, NotADirectoryError, RemoteError):
            raise
        except Exception as raised:  # The clients share no base class of errors.
            error = _behind_missing(raised)
            if isinstance(error, FileNotFoundError):
                raise
            pause = next(pauses, None)
            is_late = time.monotonic() - began > PATIENCE_S
            if pause is None or is_late or not is_passing(error):
                raise told(error, url, doing, attempts) from error
            logger.info(
                "cannot %s %s at the moment (%s); trying again", doing, shown(url), reason(error)
            )
        time.sleep(pause)
        attempts += 1


def _behind_missing(error: Exception) -> Exception:
    """Return the failure that fsspec's HTTP reports as a missing file, or else the error itself.

    It raises `FileNotFoundError` whatever happened: an answer of 403 or 503, or none at all.
    """
    cause = error.__cause__
    if not isinstance(error, FileNotFoundError) or not isinstance(cause, Exception):
        return error
    is_another = status_of(cause) not in (None, *_MISSING_STATUS)
    return cause if is_another or is_passing(cause) or is_refused(cause) else error


def is_passing(error: BaseException) -> bool:
    """Return whether an error of a remote file system may be gone at the next attempt."""
    if is_refused(error):
        return False
    if (status := status_of(error)) is not None:
        return status in PASSING_STATUS
    return any(
        isinstance(each, (TimeoutError, ConnectionError, EOFError))
        or (isinstance(each, OSError) and each.errno in _PASSING_ERRNO)
        or not _PASSING_ERRORS.isdisjoint(_names(each))
        for each in causes(error)
    )


def is_refused(error: BaseException) -> bool:
    """Return whether an error says that credentials are missing or do not suffice."""
    return (
        isinstance(error, PermissionError)
        or status_of(error) in _REFUSED_STATUS
        # gcsfs has no class for it.
        or str(error).startswith("Forbidden:")
        or any(not _CREDENTIALS_ERRORS.isdisjoint(_names(each)) for each in causes(error))
    )


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error is about, or None.

    What made a client say that a connection broke is no answer of the server, even where it has a
    status: aiohttp's parser gives 400 to a body that ends too early.
    """
    for each in causes(error):
        answer = getattr(each, "response", None)
        if isinstance(answer, dict):
            found = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            found = getattr(answer, "status_code", None)
        # One by one: where aiohttp has a status, asking for its code is deprecated.
        for status in chain((found,), (getattr(each, name, None) for name in ("status", "code"))):
            if str(status).isdecimal() and 100 <= int(str(status)) < 600:
                return int(str(status))
        if not _PASSING_ERRORS.isdisjoint(_names(each)):
            return None
    return None


def reason(error: BaseException) -> str:
    """Return in a few words what went wrong, without anything secret."""
    status = status_of(error)
    if any(not _CREDENTIALS_ERRORS.isdisjoint(_names(each)) for each in causes(error)):
        return f"there are no valid credentials ({_first_line(error)})"
    if is_refused(error):
        return f"access is denied ({status or 403})"
    if status is not None:
        return f"the server answered {status}: {_first_line(error)}"
    if any(isinstance(each, TimeoutError) for each in causes(error)):
        return "the request timed out"
    return _first_line(error)


def told(error: Exception, url: str, doing: str, attempts: int = 1) -> RemoteError:
    """Return the error for people, after so many attempts; see `insist`."""
    place, why = shown(url), reason(error)
    scheme = url.partition("://")[0]
    if is_refused(error):
        return RemoteError(
            f"Cannot {doing} {place}: {why}.",
            hint=_CREDENTIALS_HINTS.get(scheme, "give the credentials that the server asks for"),
            code="remote_refused",
            why=why,
        )
    if not is_passing(error):
        return RemoteError(f"Cannot {doing} {place}: {why}.", code="remote_failed", why=why)
    why = f"{why}, {attempts} times in a row" if attempts > 1 else why
    return RemoteError(
        f"Cannot {doing} {place}: {why}.",
        hint="check the connection, then run the same command again",
        code="remote_unreachable",
        why=why,
    )


_S3_HINT = "aws configure, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_GCS_HINT = "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS"
_CREDENTIALS_HINTS = {
    "s3": _S3_HINT,
    "s3a": _S3_HINT,
    "gs": _GCS_HINT,
    "gcs": _GCS_HINT,
    "abfs": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


def _first_line(error: BaseException) -> str:
    text = without_secrets(str(error)).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it came from, the nearest first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _names(error: BaseException) -> set[str]:
    return {each.__name__ for each in type(error).__mro__}
