"""Vertex AI's container contract: its variables, its routes, and the probe that asks them."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import httpx
import pytest

from foveal.access import KeyFile
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.errors import FovealError, UsageError
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread
from foveal.workflow.vertex import VertexSettings, fetched_model, vertex_settings
from foveal.workflow.vertex_probe import probe

HEALTH, PREDICT = "/health/of/mine", "/answers"


@pytest.fixture(scope="module")
def server(tiny_bundle: Bundle) -> Iterator[ServerHandle]:
    """Return a server of one model with the routes that Vertex AI would name."""
    models = {"tiny": Predictor(tiny_bundle, threads=1)}
    with start_in_thread(models, port=0, health_route=HEALTH, predict_route=PREDICT) as handle:
        yield handle


def test_without_the_variables_nothing_is_asked_for() -> None:
    assert vertex_settings({"PATH": "/bin", "AIP_HTTP_PORT": ""}) is None


def test_the_variables_say_where_to_listen_and_where_the_model_is() -> None:
    asked = {
        "AIP_HTTP_PORT": "8081",
        "AIP_HEALTH_ROUTE": HEALTH,
        "AIP_PREDICT_ROUTE": PREDICT,
        "AIP_STORAGE_URI": "gs://bucket/model",
    }
    expected = VertexSettings("0.0.0.0", 8081, HEALTH, PREDICT, "gs://bucket/model")
    assert vertex_settings(asked) == expected
    assert vertex_settings({"AIP_ENDPOINT_ID": "5"}) == VertexSettings(
        "0.0.0.0", 8080, None, None, None
    )


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "8e3"])
def test_a_port_that_is_none_is_said(port: str) -> None:
    with pytest.raises(UsageError, match="Invalid AIP_HTTP_PORT"):
        vertex_settings({"AIP_HTTP_PORT": port})


def test_a_model_behind_a_url_is_fetched(tiny_bundle: Bundle, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    files.put(str(tiny_bundle.path), "/vertex/model", recursive=True)
    assert Bundle.open(fetched_model("memory://vertex/model")).name == tiny_bundle.name
    (tmp_path / "a.foveal").touch()
    assert fetched_model(str(tmp_path)) == tmp_path / "a.foveal"


@pytest.mark.parametrize("uri", ["memory://nothing/here", "/nothing/here", "nowhere://bucket"])
def test_a_model_that_is_not_there_is_said(uri: str) -> None:
    with pytest.raises(FovealError, match=uri):
        fetched_model(uri)


@pytest.mark.parametrize("predict", [PREDICT, "/v1/endpoints/7/deployedModels/8:predict"])
def test_instances_have_as_many_predictions(
    server: ServerHandle, predict: str, picture: bytes
) -> None:
    content = base64.b64encode(picture).decode()
    body = {"instances": [{"b64": content}, {"b64": content}], "parameters": {"explain": True}}
    answer = httpx.post(f"{server.url}{predict}", json=body, trust_env=False).json()
    assert [p["label"] for p in answer["predictions"]] == ["circle", "circle"]
    assert all("explanation" in p for p in answer["predictions"])


@pytest.fixture(scope="module")
def picture(draw_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a picture of a circle."""
    folder = draw_folder(tmp_path_factory.mktemp("drawn"), n=1)
    return (folder / "circle" / "0.png").read_bytes()


def test_the_probe_finds_nothing_wrong(server: ServerHandle) -> None:
    settings = VertexSettings("0.0.0.0", 8080, HEALTH, PREDICT, None)
    for asked in (settings, None):
        found = list(probe(server.url, asked))
        assert {f.severity for f in found} == {"info"}
        ids = ["connect", "health", "predict", "predict", "predict", "errors"]
        assert [f.id for f in found] == [f"vertex.{name}" for name in ids]


def test_the_probe_stops_where_nothing_works(server: ServerHandle) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert [f.severity for f in probe(f"http://127.0.0.1:{port}", None)] == ["error"]
    other = VertexSettings("0.0.0.0", 8080, "/elsewhere", None, None)
    assert [f.severity for f in probe(server.url, other)] == ["info", "error"]
    other = VertexSettings("0.0.0.0", 8080, None, "/elsewhere", None)
    found = list(probe(server.url, other))
    assert found[-1].message.endswith("Not found. See /docs for the routes.")
    with pytest.raises(UsageError, match="Expected http://HOST:PORT"):
        list(probe("localhost:8080", None))


def test_doctor_asks_a_server(server: ServerHandle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--vertex", server.url, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 6


def test_health_needs_no_key_and_predictions_do(tiny_bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    KeyFile(path).create("client")
    models = {"tiny": Predictor(tiny_bundle, threads=1)}
    options = {"health_route": HEALTH, "predict_route": PREDICT}
    with start_in_thread(models, port=0, keys=path, **options) as handle:
        assert httpx.get(f"{handle.url}{HEALTH}", trust_env=False).status_code == 200
        answer = httpx.post(f"{handle.url}{PREDICT}", json={}, trust_env=False)
        assert answer.status_code == 401


@pytest.mark.slow
def test_serve_reads_the_variables_and_options_hold_instead(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIP_HTTP_PORT", "1")
    monkeypatch.setenv("AIP_HEALTH_ROUTE", HEALTH)
    monkeypatch.setenv("AIP_STORAGE_URI", str(tiny_bundle.path))
    command = [sys.executable, "-m", "foveal", "serve", "--port", "0", "--json", "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        status = httpx.get(f"{said['url']}{HEALTH}", trust_env=False).status_code
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert (status, said["model"]) == (200, tiny_bundle.name)
