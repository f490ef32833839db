"""One measurement: how often validation pictures are run, and that every figure is the same one."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from discs import DISCS, draw_discs, scatter
from drawing import DrawFolder
from numpy.typing import NDArray
from PIL import Image as PILImage

import foveal
from foveal.bundle import Bundle
from foveal.bundle.proof import ProofInputs
from foveal.errors import BundleError
from foveal.evaluate import evaluate as evaluating
from foveal.predict.engine import OnnxEngine
from foveal.server import start_in_thread
from foveal.types import Outputs
from foveal.words import percent
from foveal.workflow import ship

pytestmark = pytest.mark.slow

CLASSIFY = ("train.batch_size=16", "pipeline.image_size=16", "model.backbone=cnn2")
READ = ("train.batch_size=16", "pipeline.height=16", "model.backbone=lenet5")
SEGMENT = ("train.batch_size=4", "pipeline.image_size=64", "model.backbone=fovea")


def draw_masks(root: Path) -> Path:
    rng = np.random.default_rng(1)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for i in range(12):
        pixels, mask = draw_discs(scatter(rng, (96, 120)), (96, 120), seed=i)
        PILImage.fromarray(pixels).save(root / "images" / f"{i:02d}.png")
        PILImage.fromarray(mask).save(root / "masks" / f"{i:02d}.png")
    (root / "classes.txt").write_text("\n".join(DISCS) + "\n")
    return root


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder
) -> dict[str, tuple[foveal.Model, Counter[int]]]:
    """Return of each task a model, and how often its network ran each input."""
    root = tmp_path_factory.mktemp("measured")
    foveal.synth("captcha", root / "plates", count=60, options={"length": "2", "alphabet": "01"})
    cases: dict[str, tuple[str | Path, str, Sequence[str]]] = {
        "classify": (draw_folder(root / "photos", n=30), "classify", CLASSIFY),
        "read": (root / "plates", "read", READ),
        "segment": (draw_masks(root / "discs"), "segment", SEGMENT),
        "drawn": ("synth:captcha?length=2&alphabet=01&count=60", "read", READ),
    }
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        seen: Counter[int] = Counter()
        run = OnnxEngine.run

        def counted(
            engine: OnnxEngine, inputs: NDArray[np.uint8], names: Sequence[str] | None = None
        ) -> Outputs:
            seen.update(hash(picture.tobytes()) for picture in inputs)
            return run(engine, inputs, names)

        patch.setattr(OnnxEngine, "run", counted)
        prove_inputs = ship.prove_inputs

        def uncounted(*args: Any) -> ProofInputs:
            before = Counter(seen)
            inputs = prove_inputs(*args)
            seen.clear()
            seen.update(before)
            return inputs

        # The inputs that the bundle proves itself with are drawn; no picture of the run is.
        patch.setattr(ship, "prove_inputs", uncounted)
        # What the report times and draws is run once more; here the measurement is counted.
        patch.setattr(evaluating, "time_single", lambda *_: None)
        patch.setattr(evaluating, "make_examples", lambda *_: ())
        for name, (data, task, overrides) in cases.items():
            seen.clear()
            model = foveal.train(data, task=task, out=root, epochs=1, overrides=overrides)
            made[name] = (model, Counter(seen))
    return made


TASKS = ("classify", "read", "segment", "drawn")


@pytest.mark.parametrize("name", TASKS)
def test_bundle_card_metrics_json_and_server_state_one_measurement(
    runs: dict[str, Any], name: str
) -> None:
    model, _ = runs[name]
    manifest = model.bundle.manifest
    values = json.loads((model.run / "metrics.json").read_text())
    assert values["metrics"] == manifest.metrics
    assert values["version"] == model.bundle.version
    card = model.bundle.read("README.md").decode()
    rows = re.findall(r"^\| (\w+) \| ([\d.]+ %) \|", card, re.MULTILINE)
    stated = {key: m["value"] for key, m in manifest.metrics.items() if m["value"] is not None}
    assert dict(rows) == {key: percent(value) for key, value in stated.items()} != {}
    report = (model.run / "report.html").read_text()
    assert model.bundle.version in report
    with (
        start_in_thread({"model": model.predictor}, port=0) as handle,
        httpx.Client(base_url=handle.url, timeout=None, trust_env=False) as client,
    ):
        (described,) = client.get("/models").json()["models"]
    assert described["metrics"] == manifest.metrics


@pytest.mark.parametrize("name", ["classify", "read", "drawn"])
def test_each_validation_picture_is_run_to_be_proven_and_to_be_measured(
    runs: dict[str, Any], name: str
) -> None:
    model, seen = runs[name]
    samples = model.bundle.manifest.parity["samples"]
    assert samples == model.bundle.manifest.data["val"] > 0
    # Two pictures may be alike.
    assert sum(seen.values()) == 2 * samples
    assert all(count % 2 == 0 for count in seen.values())


def test_tiles_are_run_once_more_to_calibrate_on_joined_maps(runs: dict[str, Any]) -> None:
    model, seen = runs["segment"]
    proven = model.bundle.manifest.parity["samples"]
    rest = sum(seen.values()) - proven
    # Calibration and evaluation answer the same whole pictures, in the same tiles.
    assert rest > 0 and rest % 2 == 0
    assert "maps are not stored" in (model.run / "train.log").read_text()


KILLED = """
import os, signal, sys
import foveal
from foveal.workflow import held_out

held_out.measure_prepared = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
data, out, *overrides = sys.argv[1:]
foveal.train(data, out=out, epochs=1, overrides=overrides)
"""


def test_a_run_killed_between_proof_and_evaluation_is_resumed(
    runs: dict[str, Any], tmp_path: Path
) -> None:
    model, _ = runs["classify"]
    data = model.run.parents[1] / "photos"
    command = [sys.executable, "-c", KILLED, str(data), str(tmp_path), *CLASSIFY]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    run = tmp_path / "classify" / "photos"
    # It was proven and calibrated, and nothing that could be taken for a bundle is there.
    assert Bundle.open(run / "cache" / "bundle").manifest.parity
    assert not (run / "bundle").exists()
    with pytest.raises(BundleError, match="has not finished"):
        foveal.load(run)
    resumed = foveal.resume(run)
    assert resumed.metrics == model.metrics
    assert resumed.bundle.manifest.calibration == model.bundle.manifest.calibration
    assert not (run / "cache").exists()
