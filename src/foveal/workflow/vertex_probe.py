"""Probe a server as Vertex AI probes a container, and report violations."""

from __future__ import annotations

import base64
import io
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image as PILImage

from foveal.errors import UsageError
from foveal.types import Finding
from foveal.workflow.vertex import VertexSettings

# Vertex AI answers with an error when a container takes longer.
_TIMEOUT_S = 60.0
_CONNECT_S = 10.0
_HINT = "foveal serve MODEL --host 0.0.0.0, with the variables AIP_* set"
_DEFAULT_ROUTE = "/v1/endpoints/1/deployedModels/1"


def probe(url: str, settings: VertexSettings | None) -> Iterator[Finding]:
    """Yield a finding for each step; no further ones after a step without which nothing works.

    Args:
        url: Where the server is, such as `http://127.0.0.1:8080`.
        settings: The routes that Vertex AI would ask; None for those that it takes by itself.

    Raises:
        UsageError: For what is not the URL of a server.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(
            f"Invalid URL {url!r}. Expected http://HOST:PORT.",
            hint="foveal doctor --vertex http://127.0.0.1:8080",
        )
    base = f"http://{parts.netloc}"
    health = (settings and settings.health_route) or _DEFAULT_ROUTE
    predict = (settings and settings.predict_route) or f"{_DEFAULT_ROUTE}:predict"
    try:
        address = (parts.hostname, parts.port or 80)
        socket.create_connection(address, timeout=_CONNECT_S).close()
    except OSError as error:
        yield Finding(
            "vertex.connect", "error", f"No server responds at {base}: {error}", hint=_HINT
        )
        return
    yield Finding("vertex.connect", "info", f"{base} accepts connections.")
    status, _ = _ask(f"{base}{health}")
    if status != 200:
        yield Finding("vertex.health", "error", f"GET {health}: {_said(status)}, not 200.")
        return
    yield Finding("vertex.health", "info", f"GET {health}: 200.")
    yield from _predictions(f"{base}{predict}", predict)


def _predictions(url: str, route: str) -> Iterator[Finding]:
    # The last is of 1.1 MB: Vertex AI takes requests of up to 1.5 MB.
    for count, side in ((1, 32), (2, 32), (1, 512)):
        body = json.dumps({"instances": [_instance(side)] * count}).encode()
        status, answer = _ask(url, body)
        found = answer.get("predictions") if isinstance(answer, dict) else None
        what = f"POST {route} with {count} instance(s), {len(body):,} bytes"
        if status != 200 or not isinstance(found, list) or len(found) != count:
            said = f" {answer['error']}" if isinstance(answer, dict) and "error" in answer else ""
            yield Finding(
                "vertex.predict",
                "error",
                f"{what}: {_said(status)}, not one prediction for each instance.{said}",
            )
            return
        yield Finding("vertex.predict", "info", f"{what}: one prediction for each instance.")
    status, answer = _ask(url, b'{"instances": [')
    if 400 <= status < 500:
        yield Finding("vertex.errors", "info", f"POST {route} with truncated JSON: {status}.")
    else:
        yield Finding(
            "vertex.errors",
            "error",
            f"POST {route} with truncated JSON: {_said(status)}, not 400.",
        )


def _instance(side: int) -> dict[str, str]:
    """Return a picture of noise, which is as large as a photograph's bytes."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).save(buffer, "PNG")
    return {"b64": base64.b64encode(buffer.getvalue()).decode()}


def _said(status: int) -> str:
    return str(status) if status else "no answer"


def _ask(url: str, body: bytes | None = None) -> tuple[int, Any]:
    """Return the status, 0 for no answer, and the JSON if it is some."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - http alone
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    except OSError:
        return 0, None
    try:
        return status, json.loads(text)
    except ValueError:
        return status, None
