"""Errors leak nothing: every route, with a fault behind it, answers without its insides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from foveal.access import KeyFile
from foveal.errors import FovealError
from foveal.predict import Predictor
from foveal.server import ServerOptions, create_app
from foveal.server.state import ServerState

_SECRET = "/srv/private/models/tiny/bundle.json"
_SAMPLES = {
    "model": "tiny",
    "version": "1",
    "rest:path": "models/tiny:predict",
    "path": "x",
    "label": "live",
}
# What a reader of the source would recognise: modules, files, addresses of objects, tracebacks.
_INSIDES = re.compile(
    r"Traceback|File \"|\.py\b|line \d+|0x[0-9a-f]{6,}|foveal\.[a-z]+\.|onnxruntime|starlette"
    r"|/srv/|/work|/usr/|/home/|/tmp/|site-packages|uvicorn|secret-of-a-bug|KeyFile|ServerState"
)


class Broken:
    """Stands for any part of the server, and fails however it is used."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        """Fail."""
        raise self._error

    def __iter__(self) -> Iterator[str]:
        """Fail."""
        raise self._error


_FAULTS = (
    RuntimeError(f"secret-of-a-bug in {_SECRET}, object at 0x7f00deadbeef"),
    OSError(13, "Permission denied", _SECRET),
    FovealError(f"Cannot read {_SECRET}.", hint=f"look into {_SECRET}"),
)


def paths(app: Starlette) -> list[tuple[str, str]]:
    """Return a method and an address for each route of the application."""
    found = []
    for route in app.routes:
        if isinstance(route, Route):
            path = re.sub(r"{([^}]+)}", lambda name: _SAMPLES.get(name[1], "tiny"), route.path)
            found += [(method, path) for method in sorted((route.methods or set()) - {"HEAD"})]
        elif isinstance(route, Mount):
            found.append(("GET", f"{route.path}/no-such-file"))
    return found


@pytest.mark.parametrize("part", ["models", "batcher", "telemetry", "options"])
def test_no_fault_shows_what_is_inside(predictor: Predictor, dark_png: bytes, part: str) -> None:
    app = create_app({"tiny": predictor})
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        state: ServerState = app.state.foveal
        whole = getattr(state, part)
        for error in _FAULTS:
            # The gate needs two of them itself; what the routes ask of them fails.
            if part == "telemetry":
                setattr(state, part, _with_broken(whole, "render", error))
            elif part == "options":
                setattr(state, part, _with_broken(whole, "max_body_bytes", error))
            else:
                setattr(state, part, Broken(error))
            try:
                for method, path in paths(app):
                    answer = client.request(method, path, content=dark_png)
                    _check_says_nothing(path, answer)
            finally:
                setattr(state, part, whole)


def _check_says_nothing(path: str, answer: httpx.Response) -> None:
    said = answer.text.partition("<html")[0]
    # Which engine runs a network is told on purpose.
    said = re.sub(r'"onnxruntime[ \d.]*"', "", said) if path == "/models" else said
    assert not _INSIDES.search(said), (path, answer.text)
    assert not any(_INSIDES.search(value) for value in answer.headers.values()), path
    if answer.status_code >= 400:
        assert "error" in answer.json(), path


def _with_broken(whole: Any, name: str, error: Exception) -> Any:
    """Return a stand-in that has all of `whole` but `name`, which fails."""

    class Partly:
        def __getattr__(self, asked: str) -> Any:
            if asked == name:
                raise error
            return getattr(whole, asked)

    return Partly()


@pytest.mark.parametrize("path", ["/models", "/predict/tiny", "/metrics", "/nothing", "/v2"])
def test_a_refusal_says_neither_where_the_keys_are_nor_who_has_one(
    predictor: Predictor, tmp_path: Path, path: str
) -> None:
    file = KeyFile(tmp_path / "keys.json")
    text, key = file.create("shop")
    options = ServerOptions(keys=file.path)
    with TestClient(
        create_app({"tiny": predictor}, options), base_url="http://localhost"
    ) as client:
        for headers in ({}, {"x-api-key": text[:-1] + "?"}, {"x-api-key": f"fvl_{key.id}_"}):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401
            shown = answer.text + str(answer.headers)
            for secret in (str(tmp_path), "keys.json", "shop", key.id, key.sha256):
                assert secret not in shown
