"""A client of Vertex AI's REST API: authentication, resources, long-running operations.

https://cloud.google.com/vertex-ai/docs/reference/rest
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final
from urllib.parse import urlsplit

from foveal.errors import FovealError, UsageError
from foveal.extras import import_extra
from foveal.jobs.target import Target
from foveal.rest import Service, ServiceError, is_loopback

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# gcloud's own variables for other addresses.
_VERTEX = "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM"
_LOGGING = "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING"
_FIRST_POLL_S, _LONGEST_POLL_S = 1.0, 20.0
# A deployment starts machines and pulls an image: minutes. Beyond this something is wrong.
_LONGEST_OPERATION_S = 3600.0
_PAGE = "100"
# Answers that leave open whether something was made.
_UNCLEAR_TRIES = 4


@final
@dataclass(frozen=True, slots=True)
class Vertex:
    """Vertex AI of one project in one region.

    Attributes:
        target: Which.
        service: Its REST interface, version 1.
        logging: Cloud Logging, version 2.
        wait: Waits the given seconds between questions; tests replace it.
    """

    target: Target
    service: Service
    logging: Service
    wait: Callable[[float], None] = time.sleep

    @classmethod
    def of(cls, target: Target, variables: Mapping[str, str] = os.environ) -> Vertex:
        """Return the client of a target.

        Args:
            target: A project and a region.
            variables: gcloud's own may name another address; on this machine it is asked without
                credentials.

        Raises:
            MissingExtraError: If google-auth is not installed.
            UsageError: If nobody is logged in, or another address is not safe.
        """
        vertex = _address(
            variables.get(_VERTEX), f"https://{target.region}-aiplatform.googleapis.com"
        )
        logging = _address(variables.get(_LOGGING), "https://logging.googleapis.com")
        is_tested = is_loopback(vertex)
        headers: Callable[[], Mapping[str, str]] = dict if is_tested else google_headers()
        return cls(
            target,
            Service(f"{vertex}/v1", "Vertex AI", headers),
            Service(f"{logging}/v2", "Cloud Logging", headers),
        )

    @property
    def parent(self) -> str:
        """Prefix of the names of all its resources."""
        return f"projects/{self.target.project}/locations/{self.target.region}"

    def get(self, name: str) -> Any:
        """Return a resource by its full name."""
        return self.service.get(f"/{name}")

    def listed(self, kind: str, filter_: str = "", parent: str | None = None) -> Iterator[Any]:
        """Yield the resources of a kind, page by page.

        Args:
            kind: Such as `customJobs`.
            filter_: Which of them, as the interface words it.
            parent: Full name of the resource that they belong to; None takes the project's region.
        """
        query = {"pageSize": _PAGE, **({"filter": filter_} if filter_ else {})}
        while True:
            page = self.service.get(f"/{parent or self.parent}/{kind}", **query)
            yield from page.get(kind, ())
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def create(self, kind: str, body: Any, find: Callable[[], Any | None], verb: str = "") -> Any:
        """Make a resource once, although the interface would make two of it.

        Args:
            kind: Such as `customJobs`.
            body: What it is.
            find: Returns the resource if an earlier try has made it.
            verb: What follows the kind in the path, such as `:upload`.

        Returns:
            The resource, or the operation that makes it.
        """
        for tried in range(1, _UNCLEAR_TRIES + 1):
            try:
                return self.service.post(f"/{self.parent}/{kind}{verb}", body)
            except ServiceError as error:
                is_unclear = not error.status or error.status >= 500
                if not is_unclear or tried == _UNCLEAR_TRIES:
                    raise _explained(error) from error
            self.wait(_FIRST_POLL_S * 2**tried)
            with suppress(ServiceError):
                if (found := find()) is not None:
                    return found
        raise AssertionError("unreachable")

    def finished(self, operation: Any) -> Any:
        """Wait for an operation, and return what it gave; another thing is returned as it is.

        Raises:
            FovealError: If it fails, or takes more than an hour.
        """
        if "/operations/" not in str(operation.get("name", "")):
            return operation
        pause, waited = _FIRST_POLL_S, 0.0
        while not operation.get("done"):
            if waited > _LONGEST_OPERATION_S:
                raise FovealError(f"Vertex AI is still busy after an hour: {operation['name']}.")
            self.wait(pause)
            waited += pause
            pause = min(_LONGEST_POLL_S, pause * 1.5)
            operation = self.get(operation["name"])
        if error := operation.get("error"):
            raise FovealError(f"Vertex AI: {' '.join(str(error.get('message', error)).split())}")
        return operation.get("response", {})


def google_headers() -> Callable[[], Mapping[str, str]]:
    """Return what gives the headers that authorize a request to Google.

    It raises a `MissingExtraError` without google-auth, and a `UsageError` when nobody is logged
    in.
    """
    return _Credentials().headers


def _explained(error: ServiceError) -> ServiceError:
    """Return the error with what to do about those that everybody meets."""
    hints = {
        401: "gcloud auth application-default login",
        403: "the account needs the role roles/aiplatform.user, and the API must be enabled",
        429: "request a higher quota, or use another region or machine",
    }
    hint = hints.get(error.status)
    return error if hint is None else ServiceError(error.message, status=error.status, hint=hint)


def _address(given: str | None, usual: str) -> str:
    if not given:
        return usual
    parts = urlsplit(given)
    if parts.scheme == "https" or is_loopback(given):
        return f"{parts.scheme}://{parts.netloc}"
    raise UsageError(
        f"The address {parts.scheme}://{parts.netloc} of a Google API is not https; no credentials "
        "are sent there.",
        hint=f"unset {_VERTEX} {_LOGGING}",
    )


@final
class _Credentials:
    """Google's application default credentials, refreshed when they are about to end."""

    def __init__(self) -> None:
        self._credentials: Any = None
        self._request: Any = None

    def headers(self) -> Mapping[str, str]:
        """Return what a request is authorized with."""
        if self._credentials is None:
            need = "Vertex AI needs google-auth"
            auth = import_extra("google.auth", "cloud", need)
            transport = import_extra("google.auth.transport.requests", "cloud", need)
            try:
                self._credentials, _ = auth.default(scopes=[_SCOPE])
            except auth.exceptions.DefaultCredentialsError as error:
                raise UsageError(
                    "There are no Google Cloud credentials on this machine.",
                    hint="gcloud auth application-default login",
                ) from error
            self._request = transport.Request()
        headers: dict[str, str] = {}
        exceptions = import_extra("google.auth.exceptions", "cloud", "Vertex AI needs google-auth")
        try:
            self._credentials.before_request(
                self._request, "GET", "https://googleapis.com", headers
            )
        except exceptions.GoogleAuthError as error:
            raise FovealError(
                f"Google's credentials of this machine cannot be used: {type(error).__name__}.",
                hint="gcloud auth application-default login",
            ) from error
        return headers
