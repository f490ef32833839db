"""A real small training on masks: from drawn discs to a bundle that finds new ones."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from discs import DISCS, draw_discs, scatter, shares_found
from PIL import Image as PILImage
from safetensors.numpy import load_file

import foveal
from foveal.errors import DataError, RecipeError

pytestmark = pytest.mark.slow

SIZE = (96, 120)
EPOCHS = 6
SMALL = (
    "model.backbone=fovea",
    "pipeline.image_size=64",
    "train.batch_size=4",
    "train.precision=fp32",
    "evaluate.bootstrap=100",
)


def draw_folder(root: Path, count: int, seed: int) -> Path:
    """Draw pictures with discs and their masks, as ids."""
    rng = np.random.default_rng(seed)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for i in range(count):
        pixels, mask = draw_discs(scatter(rng, SIZE), SIZE, seed=1000 * seed + i)
        PILImage.fromarray(pixels).save(root / "images" / f"{i:02d}.png")
        PILImage.fromarray(mask).save(root / "masks" / f"{i:02d}.png")
    (root / "classes.txt").write_text("\n".join(DISCS) + "\n")
    return root


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("data") / "discs", 24, seed=1)


@pytest.fixture(scope="module")
def model(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> foveal.Model:
    out = tmp_path_factory.mktemp("runs")
    return foveal.train(discs, task="segment", out=out, epochs=EPOCHS, overrides=SMALL)


def run_of(model: foveal.Model) -> Path:
    assert model.run is not None
    return model.run


def weights(run: Path) -> dict[str, np.ndarray]:
    return dict(load_file(run / "bundle" / "weights.safetensors"))


def test_masks_are_learnt_in_some_epochs(model: foveal.Model) -> None:
    assert model.metrics["dice"] > 0.85
    assert model.metrics["pixel_accuracy"] > 0.95
    history = model.history()
    assert len(history) == EPOCHS
    assert {"train_cross_entropy", "train_dice", "val_dice", "val_loss"} <= set(history[0])


def test_the_bundle_says_on_how_many_tiles_it_was_proven(model: foveal.Model) -> None:
    manifest = model.bundle.manifest
    assert manifest.labels == DISCS
    assert (manifest.pipeline.fit, manifest.pipeline.height) == ("tile", 64)
    # Pictures of 96 x 120 are covered by two rows of two tiles.
    assert manifest.parity["samples"] == 4 * manifest.data["val"] > 0
    assert manifest.parity["label_agreement"] >= 0.9999
    assert manifest.parity["max_probability_difference"] < 1e-3


def test_what_is_measured_again_is_what_the_bundle_states(model: foveal.Model, discs: Path) -> None:
    again = foveal.evaluate(model, discs, split="val")
    assert again.metrics["dice"].value == pytest.approx(model.metrics["dice"], abs=1e-9)


def test_masks_are_judged_by_their_dice(model: foveal.Model, discs: Path) -> None:
    with (run_of(model) / "predictions.csv").open(encoding="utf-8") as file:
        dices = [float(row["dice"]) for row in csv.DictReader(file)]
    assert np.mean(dices) == pytest.approx(model.metrics["dice"], abs=1e-6)
    page = (run_of(model) / "report.html").read_text(encoding="utf-8")
    assert "Pictures with the lowest Dice" in page
    assert "a Dice of at least 0.70, with at least 60" in page
    assert "mistakes in" not in page
    # Four pictures show nothing, however good: the reason says so.
    assert "4 validation pictures are too few" in (
        model.bundle.manifest.calibration.not_usable or ""
    )
    assert model.bundle.manifest.baseline["answer"] in DISCS
    assert model.bundle.manifest.baseline["is_beaten"]


def test_new_pictures_of_other_sizes_are_answered(model: foveal.Model) -> None:
    drawn = [("red", 60, 70, 22), ("blue", 150, 300, 30), ("red", 20, 380, 12)]
    pixels, truth = draw_discs(drawn, (203, 411), seed=77)
    answer = model(pixels)
    assert answer.mask.shape == truth.shape
    assert (answer.mask == truth).mean() > 0.97
    # The small disc is 0.5 % of the picture.
    assert min(shares_found(answer.mask, drawn)) > 0.8
    assert answer.record["size"] == [203, 411]
    assert [c["name"] for c in answer.record["classes"]] == list(DISCS)
    small, truth = draw_discs([("blue", 15, 12, 9)], (31, 27), seed=78)
    answer = model(small)
    assert (answer.mask == truth).mean() > 0.9
    assert min(shares_found(answer.mask, [("blue", 15, 12, 9)])) > 0.8


def test_a_run_shows_masks_before_and_after(model: foveal.Model, discs: Path) -> None:
    run = run_of(model)
    sheet = np.asarray(PILImage.open(run / "contact_sheet.png"))
    assert sheet.shape[1] > 1000
    report = (run / "report.html").read_text()
    for words in ("missed", "truth", "Boundary F1", "Dice of single pictures"):
        assert words in report
    findings = json.loads((run / "findings.json").read_text())["findings"]
    assert any(finding["id"] == "masks.classes" for finding in findings)


def test_learning_rates_are_compared_as_a_table(
    model: foveal.Model, discs: Path, tmp_path: Path
) -> None:
    other = foveal.train(
        discs,
        task="segment",
        out=tmp_path,
        epochs=1,
        overrides=(*SMALL, "train.lr=0.0001", "train.weight_decay=0.1"),
    )
    table = foveal.compare([run_of(model), run_of(other)]).table
    assert "train.lr" in table and "train.weight_decay" in table and "dice" in table


def test_a_frozen_backbone_keeps_its_weights(discs: Path, tmp_path: Path) -> None:
    options = (*SMALL, "train.head_epochs=1", "model.hidden=0")
    first, second = (
        foveal.train(
            discs,
            task="segment",
            out=tmp_path,
            strategy="frozen",
            seed=5,
            overrides=(*options, f"train.head_lr={rate}"),
        )
        for rate in (0.001, 0.01)
    )
    one, other = weights(run_of(first)), weights(run_of(second))
    backbone = [name for name in one if name.startswith("backbone.")]
    assert backbone and all(np.array_equal(one[name], other[name]) for name in backbone)
    assert any(not np.array_equal(one[n], other[n]) for n in one if n.startswith("head."))


def test_a_killed_run_goes_on_to_the_very_same_weights(
    model: foveal.Model, discs: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "foveal", "train", str(discs), "--task", "segment"]
    command += ["--out", str(tmp_path), "--name", "killed", "--epochs", str(EPOCHS), "--quiet"]
    for override in SMALL:
        command += ["--set", override]
    run = tmp_path / "segment" / "killed"
    process = subprocess.Popen(command)
    # After the second epoch's row is written, in the middle of the third or later.
    while (
        not (run / "results.csv").is_file()
        or len((run / "results.csv").read_text().splitlines()) < 3
    ):
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "bundle").exists()
    resumed = foveal.resume(run)
    one, other = weights(run_of(resumed)), weights(run_of(model))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_half_the_scale_answers_in_the_pictures_own_pixels(discs: Path, tmp_path: Path) -> None:
    model = foveal.train(
        discs,
        task="segment",
        out=tmp_path,
        epochs=8,
        overrides=(*SMALL, "pipeline.scale=0.5", "pipeline.flips=all"),
    )
    drawn = [("red", 60, 70, 26), ("blue", 150, 130, 30), ("blue", 40, 160, 12)]
    pixels, truth = draw_discs(drawn, (203, 211), seed=7)
    answer = model(pixels)
    assert answer.mask.shape == truth.shape
    assert (answer.mask == truth).mean() > 0.97
    assert min(shares_found(answer.mask, drawn)) > 0.8


@pytest.mark.parametrize(
    ("task", "override", "error"),
    [
        ("segment", "pipeline.image_size=100", RecipeError),
        ("segment", "task_options.decoder=unnet", RecipeError),
        ("segment", "task_options.decoder=fpn", RecipeError),
        ("classify", "pipeline.fit=tile", RecipeError),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_work(
    discs: Path, tmp_path: Path, task: str, override: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        foveal.train(discs, task=task, out=tmp_path, overrides=("model.backbone=fovea", override))
    assert not list(tmp_path.rglob("cache"))


def test_a_folder_without_masks_is_no_segmentation(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    PILImage.new("RGB", (64, 64)).save(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match="masks"):
        foveal.train(tmp_path, task="segment", out=tmp_path / "runs")


def test_a_check_says_what_is_in_the_masks(discs: Path) -> None:
    report = foveal.check(discs, task="segment")
    assert report.samples == 24
    assert set(report.balance) == set(DISCS)
    assert "blue" in " ".join(f.message for f in report.findings if f.id == "masks.classes")
