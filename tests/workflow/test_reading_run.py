"""A real small training of a reader: from drawn numbers to a bundle that reads new ones."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont
from safetensors.numpy import load_file

import foveal
from foveal.errors import BundleError, DataError, TargetError

pytestmark = pytest.mark.slow

EPOCHS = 9
# Columns of 4 px of the model input: the digits are 7 px wide there, and equal ones need a blank.
SMALL = ("train.batch_size=16", "pipeline.height=16", "model.backbone=lenet5", "train.lr=0.01")


def draw_number(text: str, rng: np.random.Generator) -> PILImage.Image:
    """Draw digits with some room around them, dark on bright, with noise."""
    left, right = (int(v) for v in rng.integers(2, 8, 2))
    image = PILImage.new("L", (left + 9 * len(text) + right, 20), 235)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=14)
    for i, character in enumerate(text):
        pen.text((left + 9 * i, int(rng.integers(0, 4))), character, fill=20, font=font)
    noisy = np.asarray(image, np.int16) + rng.integers(-15, 16, (20, image.width))
    return PILImage.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).convert("RGB")


def draw_numbers(root: Path, count: int, seed: int, digits: str = "0123") -> Path:
    """Draw numbers of two to five digits with a labels.csv."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True)
    rows = ["image,text"]
    for i in range(count):
        text = "".join(rng.choice(list(digits), int(rng.integers(2, 6))))
        draw_number(text, rng).save(root / f"{i}.png")
        rows.append(f"{i}.png,{text}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_numbers(tmp_path_factory.mktemp("data") / "numbers", 400, seed=0)


@pytest.fixture(scope="module")
def model(numbers: Path, tmp_path_factory: pytest.TempPathFactory) -> foveal.Model:
    out = tmp_path_factory.mktemp("runs")
    return foveal.train(numbers, task="read", out=out, epochs=EPOCHS, overrides=SMALL)


def run_of(model: foveal.Model) -> Path:
    assert model.run is not None
    return model.run


def weights(run: Path) -> dict[str, np.ndarray]:
    return dict(load_file(run / "bundle" / "weights.safetensors"))


def same_weights(first: Path, second: Path) -> bool:
    one, other = weights(first), weights(second)
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_a_reader_learns_in_some_epochs(model: foveal.Model) -> None:
    assert model.metrics["exact_match"] >= 0.9
    assert model.metrics["character_accuracy"] >= 0.97
    assert len(model.history()) == EPOCHS


def test_the_bundle_of_a_reader_says_what_it_was_proven_on(model: foveal.Model) -> None:
    manifest = model.bundle.manifest
    assert manifest.labels == ("0", "1", "2", "3")
    assert manifest.pipeline.fit == "line"
    assert manifest.parity["samples"] == manifest.data["val"] > 0
    assert manifest.parity["label_agreement"] == 1.0
    assert manifest.parity["max_probability_difference"] < 1e-3


def test_new_numbers_are_read_as_well_as_those_that_were_measured(
    model: foveal.Model, tmp_path: Path
) -> None:
    fresh = draw_numbers(tmp_path / "fresh", 60, seed=1)
    evaluation = foveal.evaluate(model, fresh, out=tmp_path / "measured")
    assert evaluation.metrics["exact_match"].value >= 0.85
    written = json.loads((tmp_path / "measured" / "metrics.json").read_text())
    assert written["samples"] == 60
    report = (tmp_path / "measured" / "report.html").read_text()
    assert "exact" in report.lower()


def test_characters_stand_where_they_were_drawn(model: foveal.Model) -> None:
    rng = np.random.default_rng(3)
    answer = model(np.asarray(draw_number("1203", rng)))
    assert answer.text == "1203"
    record = answer.record
    assert [c["char"] for c in record["characters"]] == list("1203")
    starts = [c["x0"] for c in record["characters"]]
    assert starts == sorted(starts)
    # Each is 9 px from the next, and columns are 5 px wide.
    centres = [(c["x0"] + c["x1"]) / 2 for c in record["characters"]]
    assert np.diff(centres) == pytest.approx([9, 9, 9], abs=5)


def test_files_of_several_widths_are_predicted_together(
    model: foveal.Model, tmp_path: Path
) -> None:
    rng = np.random.default_rng(4)
    texts = ["01", "23102", "312"]
    for i, text in enumerate(texts):
        draw_number(text, rng).save(tmp_path / f"{i}.png")
    PILImage.new("RGB", (20_000, 20), "white").save(tmp_path / "3.png")
    *records, wide = model.predict(tmp_path).records
    assert [record["text"] for record in records] == texts
    assert wide["error"]["code"] == "image_too_wide"
    alone = [model(tmp_path / f"{i}.png").record for i in range(3)]
    for record, other in zip(records, alone, strict=True):
        assert record["confidence"] == pytest.approx(other["confidence"], abs=1e-5)


def test_a_reading_is_explained_over_its_picture(model: foveal.Model) -> None:
    picture = np.asarray(draw_number("3012", np.random.default_rng(5)))
    explanation = model.explain(picture, label="0")
    assert explanation.heat.shape == picture.shape[:2]
    # The second of four: right of the first quarter, left of the middle and a column.
    assert 5 <= int(explanation.heat.max(axis=0).argmax()) <= 30
    with pytest.raises(TargetError, match="not in the alphabet"):
        model.explain(picture, label="9")


def test_an_empty_text_and_a_character_never_seen_are_findings_not_crashes(
    model: foveal.Model, tmp_path: Path
) -> None:
    strange = draw_numbers(tmp_path / "strange", 4, seed=6, digits="01")
    table = strange / "labels.csv"
    lines = table.read_text().splitlines()
    lines[1], lines[2] = "0.png,7x", "1.png,"
    table.write_text("\n".join(lines) + "\n")
    evaluation = foveal.evaluate(model, strange)
    assert evaluation.samples in (2, 3)


def train_and_kill(data: str, out: Path, name: str, epochs: int, overrides: Sequence[str]) -> Path:
    """Train, kill the process as soon as an epoch is on disk, and return the run."""
    command = [sys.executable, "-m", "foveal", "train", data, "--task", "read", "--name", name]
    command += ["--out", str(out), "--epochs", str(epochs), "--quiet", "--json"]
    for override in overrides:
        command += ["--set", override]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run = out / "read" / name
    while not (run / "results.csv").is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "bundle").exists()
    return run


def test_a_killed_reader_resumes_to_the_same_weights(
    model: foveal.Model, numbers: Path, tmp_path: Path
) -> None:
    run = train_and_kill(str(numbers), tmp_path, "numbers", EPOCHS, SMALL)
    with pytest.raises(BundleError, match="has not finished"):
        foveal.load(run)
    resumed = foveal.resume(run)
    assert same_weights(run_of(model), run_of(resumed))
    assert len(resumed.history()) == EPOCHS


def test_a_killed_training_on_endless_pictures_resumes_to_the_same_weights(
    tmp_path: Path,
) -> None:
    data = "synth:captcha?count=60&length=2&alphabet=01&seed=2"
    overrides = (*SMALL, "data.fresh_every=1", "split.val_share=0.2")
    whole = foveal.train(
        data, task="read", out=tmp_path, name="whole", epochs=4, overrides=overrides
    )
    run = train_and_kill(data, tmp_path, "killed", 4, overrides)
    resumed = foveal.resume(run)
    assert same_weights(run_of(whole), run_of(resumed))
    assert not (run / "cache").exists()
    assert not (run_of(whole) / "cache").exists()


def test_nothing_but_empty_texts_is_a_data_error(tmp_path: Path) -> None:
    root = draw_numbers(tmp_path / "empty", 4, seed=0)
    (root / "labels.csv").write_text("image,text\n" + "".join(f"{i}.png,\n" for i in range(4)))
    with pytest.raises(DataError):
        foveal.train(root, task="read", out=tmp_path / "runs", overrides=SMALL)
