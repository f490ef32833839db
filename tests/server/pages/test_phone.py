"""Apps for phones, as a server offers them."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from foveal.bundle import Bundle
from foveal.errors import MissingExtraError, UsageError
from foveal.export.web.runtime import find_folder
from foveal.predict import Predictor
from foveal.server.app import create_app
from foveal.server.options import ServerOptions
from foveal.server.pages.phone import address_of, code_in_terminal


def client_of(bundle: Bundle, options: ServerOptions) -> TestClient:
    app = create_app({"tiny": Predictor(bundle, threads=1)}, options)
    return TestClient(app, base_url="http://127.0.0.1:8000")


def test_apps_are_offered_only_where_that_was_asked_for(tiny_bundle: Bundle) -> None:
    with client_of(tiny_bundle, ServerOptions()) as client:
        assert client.get("/app").status_code == 404
        assert client.get("/app/tiny/").status_code == 404


def test_a_server_with_keys_hands_no_model_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="requires keys"):
        ServerOptions(app=True, keys=tmp_path / "keys.json")


def test_without_the_runtime_the_server_does_not_start(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOVEAL_ONNXRUNTIME_WEB", str(tmp_path))
    with pytest.raises(MissingExtraError, match="onnxruntime-web"):
        client_of(tiny_bundle, ServerOptions(app=True))


def test_the_app_of_a_model_is_below_its_name(tiny_bundle: Bundle) -> None:
    if find_folder() is None:
        pytest.skip("onnxruntime-web is not installed")
    with client_of(tiny_bundle, ServerOptions(app=True)) as client:
        assert "this machine" in client.get("/app").text
        assert client.get("/app/tiny", follow_redirects=False).headers["location"] == "/app/tiny/"
        page = client.get("/app/tiny/")
        assert "<title>tiny</title>" in page.text
        assert "'wasm-unsafe-eval'" in page.headers["content-security-policy"]
        assert client.get("/app/tiny/sw.js").headers["content-type"].startswith("text/javascript")
        assert client.get("/app/tiny/sw.js").headers["cache-control"] == "no-cache"
        manifest = client.get("/app/tiny/manifest.webmanifest")
        assert manifest.headers["content-type"].startswith("application/manifest+json")
        assert client.get("/app/tiny/model/model.onnx").content == tiny_bundle.model_bytes()
        for path in ("nothing.js", "../../bundle.json", "%2e%2e/%2e%2e/etc/passwd"):
            assert client.get(f"/app/tiny/{path}").status_code == 404
        assert client.get("/app/other/").status_code == 404


def test_the_code_in_the_terminal_is_made_of_blocks() -> None:
    pytest.importorskip("segno", reason="segno is not installed: pip install 'foveal[app]'")
    code = code_in_terminal(address_of("https://192.0.2.7:8000/", "photos"))
    assert code is not None
    assert len(code.splitlines()) >= 10
