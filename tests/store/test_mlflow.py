"""A model goes to a real MLflow registry, comes back by its name, and answers as a pyfunc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from drawing import DrawFolder
from stored import write_bundle

import foveal
from foveal.cli.main import run
from foveal.errors import MissingExtraError, UsageError

needs_mlflow = pytest.mark.skipif(
    find_spec("mlflow") is None or find_spec("sqlalchemy") is None,
    reason="MLflow and SQLAlchemy are not installed",
)

# In a process of its own: MLflow warns of its own future in every second call, and must not need
# torch.
SCRIPT = """
import base64, io, json, sys, warnings
warnings.simplefilter("ignore")
sys.modules["torch"] = None
from pathlib import Path
import numpy as np, pandas, foveal, mlflow
from foveal.errors import FovealError
from mlflow.pyfunc import scoring_server
from PIL import Image
from starlette.testclient import TestClient

uri, folder = sys.argv[1], Path(sys.argv[2])
model = foveal.load("good")
said = {"pushed": [repr(model.push("cats", store=f"mlflow:{uri}", note="first")) for _ in range(2)]}
client = mlflow.MlflowClient(uri, uri)
client.set_registered_model_alias("cats", "live", "1")
said["found"] = [
    repr(foveal.load(f"mlflow:{name}").stored) for name in ("cats/2", "cats@live", "cats")
]
said["same"] = foveal.load("mlflow:cats/2").bundle.version == model.bundle.version
version = client.get_model_version("cats", "2")
said["description"] = version.description
said["metrics"] = client.get_run(version.run_id).data.metrics
try:
    foveal.load("mlflow:cats/9")
except FovealError as error:
    said["missing"] = error.message

pyfunc = mlflow.pyfunc.load_model("models:/cats/2")
path = folder / "circle" / "0.png"
content, pixels = path.read_bytes(), np.asarray(Image.open(path))
text = base64.b64encode(content).decode()
rows = pandas.DataFrame({"image": [content, text, f"data:image/png;base64,{text}", pixels, b"no"]})
answers = pyfunc.predict(rows)
said["answers"] = list(answers["answer"])[:4]
said["error"] = answers["error"][4]
said["columns"] = list(answers.columns)
said["array"] = list(pyfunc.predict(np.stack([pixels, pixels]))["answer"])
try:
    pyfunc.predict(pandas.DataFrame({"image": [str(path)]}))
except FovealError as error:
    said["path"] = error.message
with_paths = mlflow.pyfunc.load_model("models:/cats/2", model_config={"paths": True})
said["by path"] = list(with_paths.predict(pandas.DataFrame({"image": [str(path)]}))["answer"])

bright = np.full((8, 8, 3), 220, np.uint8)
lists = [bright.tolist(), (bright / 255).tolist()]
said["lists"] = list(pyfunc.predict(pandas.DataFrame({"image": lists}))["answer"])
said["one"] = list(pyfunc.predict(bright)["answer"])
said["no pictures"] = []
for wrong in ([[[1, 2, 300]]], [[[1, 2, -3]]], [[[1, 2, 3], [4, 5]]], [["a"]], [[[2**80, 0, 0]]]):
    try:
        pyfunc.predict(pandas.DataFrame({"image": [wrong]}))
    except FovealError as error:
        said["no pictures"].append(error.message.partition(".")[0])

served = TestClient(scoring_server.init(pyfunc))
body = {"dataframe_records": [{"image": text}]}
said["served"] = served.post("/invocations", json=body).json()["predictions"][0]["answer"]
leaks = (
    {"dataframe_records": [{"image": str(path)}]},
    {"dataframe_records": [{"image": [str(path)]}]},
    {"dataframe_split": {"columns": ["image"], "data": [[[str(path)]]]}},
    {"inputs": [str(path)]},
    {"inputs": [[str(path)]]},
    {"inputs": {"image": [[str(path)]]}},
    {"inputs": [[[str(path.parent / "*.png")]]]},
    {"instances": [{"image": [str(path)]}]},
)
said["leaks"] = [served.post("/invocations", json=leak).status_code for leak in leaks]

from foveal.store.mlflow_registry import _asking
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES as RETRIES
before = RETRIES.get()
with _asking("mlflow:"):
    said["attempts"] = [before, RETRIES.get()]
said["attempts"].append(RETRIES.get())
RETRIES.set(0)
try:
    model.push("cats", store="mlflow:http://127.0.0.1:9")
except FovealError as error:
    said["unreachable"] = error.message
print(json.dumps(said))
"""


@needs_mlflow
@pytest.mark.slow
def test_a_model_goes_to_mlflow_and_answers_there_without_torch(
    tmp_path: Path, draw_folder: DrawFolder
) -> None:
    write_bundle(tmp_path / "good", 0.9)
    folder = draw_folder(tmp_path / "held-out", n=1)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, uri, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MLFLOW_TRACKING_URI": uri,
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        },
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["pushed"] == ["cats:1", "cats:2"]
    assert said["found"] == ["cats:2", "cats:1", "cats:1"]
    assert said["same"]
    assert said["description"] == "first"
    assert said["metrics"]["accuracy"] == 0.9
    assert "cats" in said["missing"]
    assert said["answers"] == ["circle"] * 4
    assert said["error"].startswith("Not a picture")
    assert said["columns"][:5] == ["source", "answer", "confidence", "unsure", "error"]
    assert said["array"] == ["circle", "circle"]
    assert "Paths are not read" in said["path"]
    assert said["by path"] == ["circle"]
    assert said["served"] == "circle"
    assert said["lists"] == ["square", "square"]
    assert said["one"] == ["square"]
    assert said["no pictures"] == ["Invalid picture"] * 5
    before, within, after = said["attempts"]
    assert within < before == after
    assert said["unreachable"] == "MLflow cannot be reached: Connection refused."
    # Nobody who may ask a server can look at its files.
    assert min(said["leaks"]) >= 400


def test_without_mlflow_the_command_that_installs_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    model = foveal.load(write_bundle(tmp_path / "tiny").path)
    with pytest.raises(MissingExtraError, match="needs MLflow") as caught:
        model.push("cats", store="mlflow:")
    assert "[mlflow]" in str(caught.value.hint)
    with pytest.raises(UsageError, match="cannot have a parent"):
        model.push("cats", store="mlflow:", parent=1)


@needs_mlflow
@pytest.mark.slow
def test_how_to_find_what_was_published_is_said(tmp_path: Path) -> None:
    path = str(write_bundle(tmp_path / "tiny").path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = [sys.executable, "-m", "foveal", "models", "push", path, "two cats"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        [*command, "--to", f"mlflow:{uri}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    assert f"first: export MLFLOW_TRACKING_URI={uri}" in done.stderr
    assert "use it: foveal predict 'mlflow:two cats/1' PICTURES" in done.stderr


def test_to_takes_registries_of_mlflow_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_bundle(tmp_path / "tiny").path)
    assert run(["models", "push", path, "cats", "--to", "http://localhost:5000"]) == 2
    assert "--to mlflow:http://localhost:5000" in capsys.readouterr().err
