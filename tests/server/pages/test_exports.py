"""What was exported from a served run, and its download."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import httpx
import pytest

import foveal
from foveal.access import KeyFile
from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import start_in_thread
from foveal.workflow.exports import EXPORTS_NAME, digest_of_files


@pytest.fixture
def exported_run(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """Return a run with an export that is a file, and one that is a folder."""
    run = tmp_path / "tiny"
    shutil.copytree(tiny_bundle.path, run / "bundle")
    (run / "recipe.yaml").touch()
    (run / "split.csv").touch()
    foveal.load(run).export("onnx", tmp_path / "tiny.onnx")
    folder = tmp_path / "app"
    (folder / "js").mkdir(parents=True)
    (folder / "js" / "a.js").write_text("1")
    (folder / "index.html").write_text("<html>")
    record = json.loads((run / EXPORTS_NAME).read_text())
    first = record["exports"][0]
    named = {"to": "web", "path": str(folder), "sha256": digest_of_files(folder)}
    other = {**first, "to": "coreml", "version": "0" * 12}
    gone = {**first, "to": "litert", "path": str(tmp_path / "gone.tflite")}
    app = {**first, **named, "to": "onnx", "options": ["with_app"]}
    # Earlier versions of foveal did not record the options.
    del first["options"]
    record["exports"] += [{**first, **named}, app, other, gone]
    (run / EXPORTS_NAME).write_text(json.dumps(record))
    return run


def test_an_administrator_downloads_what_was_exported(exported_run: Path, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    admin, reader = (file.create(name, scopes=(name,))[0] for name in ("admin", "predict"))
    served = {"tiny": Predictor(Bundle.open(exported_run / "bundle"))}
    with start_in_thread(served, port=0, keys=file.path) as handle:

        def get(path: str, key: str = admin) -> httpx.Response:
            headers = {"authorization": f"Bearer {key}"}
            return httpx.get(handle.url + path, headers=headers, timeout=None)

        described = get("/models/tiny", reader).json()
        (version,) = described["versions"]
        # Neither that of another version nor the one that was deleted; and no paths.
        assert [made["to"] for made in version["exports"]] == ["onnx", "web", "onnx"]
        assert str(tmp_path) not in json.dumps(described)
        onnx, web, app = (made["download"] for made in version["exports"])
        assert get(onnx, reader).status_code == 403
        reply = get(onnx)
        assert reply.content == (tmp_path / "tiny.onnx").read_bytes()
        assert 'filename="tiny.onnx"' in reply.headers["content-disposition"]
        with zipfile.ZipFile(io.BytesIO(get(web).content)) as packed:
            assert packed.namelist() == ["app/index.html", "app/js/a.js"]
        assert 'filename="app.zip"' in get(app).headers["content-disposition"]
        assert get("/admin/models/tiny/exports/coreml/fp32").status_code == 404
        assert get("/admin/models/tiny/exports/onnx/fp32?option=gpu").status_code == 404
        (tmp_path / "tiny.onnx").write_bytes(b"other")
        changed = get(onnx)
        assert (changed.status_code, str(tmp_path) in changed.text) == (409, False)


def test_without_keys_nothing_is_downloaded(exported_run: Path) -> None:
    served = {"tiny": Predictor(Bundle.open(exported_run / "bundle"))}
    with start_in_thread(served, port=0) as handle:
        described = httpx.get(f"{handle.url}/models/tiny").json()
        assert described["can_download"] is False
        path = described["versions"][0]["exports"][0]["download"]
        assert httpx.get(handle.url + path).status_code == 403
