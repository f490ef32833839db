"""The container contract of Vertex AI.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from foveal.errors import BundleError, UsageError
from foveal.urls import is_url, local_path, shown
from foveal.workflow.fetched import fetched

# Any of these says that Vertex AI started this process.
_SIGNS = ("AIP_HTTP_PORT", "AIP_PREDICT_ROUTE", "AIP_HEALTH_ROUTE", "AIP_ENDPOINT_ID")
_HOST, _PORT = "0.0.0.0", 8080  # noqa: S104 - the contract: reached from outside the container


@final
@dataclass(frozen=True, slots=True)
class VertexSettings:
    """Settings from the variables of Vertex AI; explicit options override them.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        health_route: Path that is asked whether traffic may come; None for the usual one.
        predict_route: Path to which instances are sent; None for the usual one.
        storage_uri: Where the model is; None when it does not say.
    """

    host: str
    port: int
    health_route: str | None
    predict_route: str | None
    storage_uri: str | None


def vertex_settings(environment: Mapping[str, str]) -> VertexSettings | None:
    """Return what the variables `AIP_*` ask for; None where none says that Vertex AI is there.

    Raises:
        UsageError: For a port that is none.
    """
    if not any(environment.get(name) for name in _SIGNS):
        return None
    port = environment.get("AIP_HTTP_PORT") or str(_PORT)
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise UsageError(f"Invalid AIP_HTTP_PORT. Expected 1 to 65535. Received: {port[:20]!r}.")
    return VertexSettings(
        _HOST,
        int(port),
        environment.get("AIP_HEALTH_ROUTE") or None,
        environment.get("AIP_PREDICT_ROUTE") or None,
        environment.get("AIP_STORAGE_URI") or None,
    )


def fetched_model(uri: str) -> Path:
    """Return the model at a path or an fsspec URL, which is copied to this machine.

    Args:
        uri: A bundle, a run, or a folder with one `.foveal` file.

    Raises:
        BundleError: If nothing is there.
        MissingExtraError: If the protocol of the URL needs a package that is not installed.
        RemoteError: If it cannot be fetched.
        UsageError: If the protocol of the URL is unknown.
    """
    path = fetched(uri) if is_url(uri) else local_path(uri)
    if path is None or not path.exists():
        raise BundleError(f"There is no model at {shown(uri)} (AIP_STORAGE_URI).")
    archives = sorted(path.glob("*.foveal")) if path.is_dir() else []
    return archives[0] if len(archives) == 1 and not (path / "bundle.json").exists() else path
