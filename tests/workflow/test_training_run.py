"""Real small trainings from a folder to a bundle: what is written, resumed, extended, refused."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from drawing import DrawFolder
from safetensors.numpy import load_file

import foveal
from foveal.cli.main import run
from foveal.errors import (
    BundleError,
    DataError,
    ParityError,
    RecipeError,
    TrainingInterrupted,
    UsageError,
)
from foveal.predict.engine import OnnxEngine
from foveal.train.callbacks import ProgressReport
from foveal.train.checkpoint import CheckpointStore
from foveal.train.records import StepRecord
from foveal.workflow import familiarity, fitting, held_out
from foveal.workflow import ship as shipping
from foveal.workflow import train as training
from foveal.workflow.run_features import RunFeatures

pytestmark = pytest.mark.slow

FITTED = (
    *("model.backbone=cnn2", "pipeline.image_size=16", "model.hidden=0"),
    "train.head_solver=lbfgs",
)
SMALL = ("train.batch_size=16", "pipeline.image_size=16", "model.backbone=cnn2")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder) -> Path:
    return draw_folder(tmp_path_factory.mktemp("data") / "photos", n=40)


@pytest.fixture(scope="module")
def model(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> foveal.Model:
    out = tmp_path_factory.mktemp("runs")
    return foveal.train(photos, out=out, epochs=6, overrides=SMALL)


def unwanted(*args: object) -> NoReturn:
    raise AssertionError("not to be called")


def weights(run: Path) -> dict[str, np.ndarray]:
    return dict(load_file(run / "bundle" / "weights.safetensors"))


def run_of(model: foveal.Model) -> Path:
    assert model.run is not None
    return model.run


def stages_of(model: foveal.Model) -> list[str]:
    with (run_of(model) / "results.csv").open(newline="", encoding="utf-8") as file:
        return [row["stage"] for row in csv.DictReader(file)]


def test_a_training_learns_and_writes_everything_that_is_documented(model: foveal.Model) -> None:
    run = run_of(model)
    assert model.metrics["accuracy"] == 1.0
    names = {path.name for path in run.iterdir()}
    assert {
        "recipe.yaml",
        "split.csv",
        "results.csv",
        "tensorboard",
        "checkpoints",
        "bundle",
        "report.html",
        "metrics.json",
        "predictions.csv",
        "environment.json",
        "train.log",
        "contact_sheet.png",
    } <= names
    assert "cache" not in names
    assert len(model.history()) == 6


def test_evaluating_what_was_trained_on_says_so(
    model: foveal.Model, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = model.bundle.manifest.data["train"]
    assert run(["evaluate", str(run_of(model)), str(photos)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"warning: {trained} of 80 were trained on")
    assert model.evaluate().to_json()["trained_on"] == 0


def test_a_training_can_keep_no_hashes_of_its_pictures(photos: Path, tmp_path: Path) -> None:
    silent = (*SMALL, "evaluate.remember_pictures=false")
    model = foveal.train(photos, out=tmp_path, epochs=1, overrides=silent)
    assert not (run_of(model) / "bundle" / "trained_on.bin").exists()
    assert model.evaluate(photos).trained_on is None


def test_the_bundle_says_what_it_was_proven_on(model: foveal.Model) -> None:
    manifest = model.bundle.manifest
    assert manifest.parity["label_agreement"] == 1.0
    assert manifest.parity["samples"] == manifest.data["val"]
    assert manifest.data["samples"] == 80
    proof = model.bundle.proof
    assert proof is not None
    engine = OnnxEngine(model.bundle.model_bytes())
    for name, values in proof.outputs.items():
        np.testing.assert_allclose(engine.run(proof.inputs)[name], values, atol=1e-4)


def test_a_run_is_verified_by_its_own_answers(
    model: foveal.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run_of(model), copy)
    assert run(["verify", str(copy)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["passed", "passed"]
    table = copy / "predictions.csv"
    first, second, *rest = table.read_text().splitlines(keepends=True)
    image, target, _, *others = second.split(",")
    table.write_text("".join([first, ",".join([image, target, "another", *others]), *rest]))
    assert run(["verify", str(copy)]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_the_model_answers_a_file_bytes_an_array_and_a_pillow_image_alike(
    model: foveal.Model, photos: Path
) -> None:
    from PIL import Image

    path = photos / "circle" / "0.png"
    image = Image.open(path)
    answers = [model(path), model(path.read_bytes()), model(np.asarray(image)), model(image)]
    assert {answer.label for answer in answers} == {"circle"}
    assert len({answer.confidence for answer in answers}) == 1


def test_layers_and_their_features_can_be_looked_at(model: foveal.Model, photos: Path) -> None:
    name = next(name for name, kind, _ in model.layers() if kind == "Conv2d")
    assert model.features(photos / "circle" / "0.png", name).ndim == 3
    with pytest.raises(UsageError, match="layer"):
        model.features(photos / "circle" / "0.png", "no_such_layer")


def test_training_twice_gives_the_same_weights(
    model: foveal.Model, photos: Path, tmp_path: Path
) -> None:
    again = foveal.train(photos, out=tmp_path, epochs=6, overrides=SMALL)
    first, second = weights(run_of(model)), weights(run_of(again))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_killed_training_resumes_to_the_same_weights_though_its_pictures_were_moved(
    model: foveal.Model, photos: Path, tmp_path: Path
) -> None:
    place, moved = tmp_path / "photos", tmp_path / "moved"
    shutil.copytree(photos, place)
    command = [sys.executable, "-m", "foveal", "train", str(place), "--out", str(tmp_path)]
    command += ["--epochs", "6", "--quiet", "--json"]
    for override in SMALL:
        command += ["--set", override]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run = tmp_path / "classify" / "photos"
    # Killed as soon as an epoch is on disk: somewhere within the second one.
    kept = CheckpointStore(run / "checkpoints", sweeps=False)
    while not kept.names() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "bundle").exists()
    with pytest.raises(BundleError, match="has not finished"):
        foveal.load(run)
    place.rename(moved)
    for finish, option in ((False, "--resume"), (True, "--finish")):
        with pytest.raises(DataError, match="does not exist") as caught:
            foveal.resume(run, finish=finish)
        assert caught.value.hint == (
            f"if the pictures have been moved: foveal train PICTURES {option} {run}"
        )
    with pytest.raises(DataError, match="has changed"):
        foveal.resume(run, data=moved / "circle")
    resumed = foveal.resume(run, data=moved)
    first, second = weights(run_of(model)), weights(run_of(resumed))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert len(resumed.history()) == 6


def test_an_interrupted_run_stops_goes_on_and_can_be_finished(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "classify" / "photos"

    def interrupt(report: ProgressReport, step: StepRecord) -> None:
        if step.step in (6, 7):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ProgressReport, "step_done", interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(TrainingInterrupted) as caught:
            foveal.train(photos, out=tmp_path, epochs=3, overrides=SMALL)
        assert caught.value.run == run
        assert not (run / "bundle").exists()
        finished = foveal.resume(run, finish=True)
        assert [row["epoch"] for row in finished.history()] == [1]
        assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
        shipped = foveal.resume(run, finish_on_interrupt=True)
        assert [row["epoch"] for row in shipped.history()] == [1]
        assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    finally:
        signal.signal(signal.SIGINT, before)
    assert [row["epoch"] for row in foveal.resume(run).history()] == [1, 2, 3]
    assert json.loads((run / "run.json").read_text())["status"] == "done"


def test_nothing_can_be_finished_before_the_first_checkpoint(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as pressed:
        pressed.setattr("foveal.workflow.train.prepare", interrupt)
        with pytest.raises(TrainingInterrupted) as caught:
            foveal.train(photos, out=tmp_path, epochs=1, overrides=SMALL)
    with pytest.raises(UsageError, match="no checkpoint yet"):
        foveal.resume(caught.value.run, finish=True)
    assert foveal.resume(caught.value.run).history() != []


def test_resuming_a_finished_run_changes_nothing(model: foveal.Model) -> None:
    before = (run_of(model) / "bundle" / "bundle.json").read_bytes()
    foveal.resume(run_of(model))
    assert (run_of(model) / "bundle" / "bundle.json").read_bytes() == before


def test_a_finished_run_is_extended_by_more_epochs(photos: Path, tmp_path: Path) -> None:
    run = run_of(foveal.train(photos, out=tmp_path, epochs=2, overrides=SMALL))
    extended = foveal.extend(run, 3)
    assert [row["epoch"] for row in extended.history()] == [1, 2, 3, 4, 5]


def test_an_extension_that_cannot_start_leaves_the_run_finished(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(store: CheckpointStore) -> NoReturn:
        raise OSError("unreadable")

    data = shutil.copytree(photos, tmp_path / "data")
    run = run_of(foveal.train(data, out=tmp_path / "runs", epochs=1, overrides=SMALL))
    state = (run / "run.json").read_text()
    data.rename(tmp_path / "moved")
    with pytest.raises(DataError) as caught:
        foveal.extend(run, 1)
    assert caught.value.hint == (
        "if the pictures have been moved: foveal train PICTURES --epochs +1 --continue " + str(run)
    )
    with pytest.raises(DataError, match="has changed"):
        foveal.extend(run, 1, data=tmp_path / "moved" / "circle")
    assert (run / "run.json").read_text() == state
    (tmp_path / "moved").rename(data)
    with monkeypatch.context() as broken:
        broken.setattr(CheckpointStore, "load", unreadable)
        with pytest.raises(OSError, match="unreadable"):
            foveal.extend(run, 1)
    assert (run / "run.json").read_text() == state
    assert foveal.resume(run).history() == foveal.load(run).history()
    assert [row["epoch"] for row in foveal.extend(run, 1).history()] == [1, 2]
    data.rename(tmp_path / "moved")
    longer = foveal.extend(run, 1, data=tmp_path / "moved")
    assert [row["epoch"] for row in longer.history()] == [1, 2, 3]
    # It is remembered where they are.
    assert json.loads((run / "run.json").read_text())["data"] == str(tmp_path / "moved")


def test_an_export_that_answers_differently_is_refused_and_nothing_is_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drawing import brightness_model

    monkeypatch.setattr(shipping, "export_onnx", lambda *args: brightness_model())
    monkeypatch.setattr(held_out, "judge_familiarity", lambda *args: None)
    overrides = (*SMALL, "train.augment.enabled=false")
    with pytest.raises(ParityError, match="answers differently") as caught:
        foveal.train(photos, out=tmp_path, epochs=1, overrides=overrides)
    assert not (tmp_path / "classify" / "photos" / "bundle").exists()
    assert caught.value.exit_status == 4


def test_one_class_and_an_empty_folder_are_data_errors(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    one = draw_folder(tmp_path / "one", classes=("circle",))
    with pytest.raises(DataError, match="no classes to tell apart"):
        foveal.train(one, out=tmp_path / "runs", overrides=SMALL)
    assert not any((tmp_path / "runs").rglob("*")), "a half-made run is left behind"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty"):
        foveal.train(tmp_path / "empty", out=tmp_path / "runs")


def test_a_wrong_key_names_the_right_one(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"train\.epoch'.*train\.epochs"):
        foveal.train(photos, out=tmp_path, overrides=["train.epoch=3"])


def test_an_unreadable_picture_is_counted_and_the_rest_is_trained_on(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    root = draw_folder(tmp_path / "photos", n=12)
    (root / "circle" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    # Its directory begins where no C integer reaches: an OverflowError inside.
    (root / "circle" / "far.tif").write_bytes(b"II+\0\x08\0\0\0" + b"\xff" * 8)
    run = run_of(foveal.train(root, out=tmp_path / "runs", epochs=1, overrides=SMALL))
    findings = json.loads((run / "findings.json").read_text())["findings"]
    assert next(f for f in findings if f["id"] == "images.unreadable")["count"] == 2
    assert foveal.load(run).bundle.manifest.data["unreadable"] == 2


def test_several_labels_a_picture_are_trained_with_sigmoids(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    root = draw_folder(tmp_path / "photos", n=20)
    rows = ["image,label"]
    rows += [f"circle/{i}.png,round|dark" for i in range(20)]
    rows += [f"square/{i}.png,dark" if i % 2 else f"square/{i}.png,bright" for i in range(20)]
    (root / "labels.csv").write_text("\n".join(rows))
    trained = foveal.train(root, out=tmp_path / "runs", epochs=2, overrides=SMALL)
    manifest = trained.bundle.manifest
    assert manifest.task_options == {"multi_label": True}
    assert len(manifest.calibration.thresholds) == 3


def test_frozen_features_are_cached_and_a_head_is_trained(photos: Path, tmp_path: Path) -> None:
    overrides = ("model.backbone=cnn2", "pipeline.image_size=16", "model.hidden=0")
    trained = foveal.train(photos, out=tmp_path, strategy="staged", epochs=1, overrides=overrides)
    assert {row["epoch"] for row in trained.history()} >= {1, 2}
    assert trained.metrics["accuracy"] > 0.9


def test_fine_tuning_keeps_statistics_and_never_validates_worse_than_the_head(
    photos: Path, tmp_path: Path
) -> None:
    options = ("train.head_is_enough=2", "train.keep_statistics=true", "train.blend=true")
    overrides = ("model.backbone=cnn2", "pipeline.image_size=16", "model.hidden=0", *options)
    trained = foveal.train(
        photos, out=tmp_path, strategy="staged", epochs=2, lr=0.5, overrides=overrides
    )
    assert stages_of(trained)[-3:] == ["head", "full", "full"]
    log = (run_of(trained) / "train.log").read_text()
    assert "kept are the weights of the least validation loss" in log
    # At this rate every epoch of fine-tuning spoils what the head had learnt.
    assert trained.metrics["accuracy"] > 0.9


@pytest.mark.parametrize("folds", [None, 3])
def test_familiarity_is_judged_by_the_cached_features_of_a_frozen_backbone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folds: int | None
) -> None:
    def trained() -> float:
        model = foveal.train(photos, out=tmp_path, strategy="frozen", folds=folds, overrides=FITTED)
        found = model.predict(photos / "circle" / "0.png").unfamiliarity
        assert found is not None
        return found

    with monkeypatch.context() as patch:
        patch.setattr(RunFeatures, "statistics", lambda *args: None)
        looked = trained()
    monkeypatch.setattr(familiarity, "to_images", unwanted)
    # Rounded to two bytes.
    assert trained() == pytest.approx(looked, rel=0.02)


def test_familiarity_is_not_judged_by_features_from_before_fine_tuning(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []
    statistics = RunFeatures.statistics

    def noted(self: RunFeatures, *args: Any) -> Any:
        found = statistics(self, *args)
        looked.append(found is None)
        return found

    monkeypatch.setattr(RunFeatures, "statistics", noted)
    options = ("model.backbone=cnn2", "pipeline.image_size=16", "model.hidden=0")
    for enough in ("0.5", "2"):
        overrides = (*options, f"train.head_is_enough={enough}")
        foveal.train(photos, out=tmp_path, strategy="staged", epochs=1, overrides=overrides)
    # Of the training and the validation pictures.
    assert looked == [False, False, True, True]


@pytest.mark.parametrize("strategy", ["staged", "scratch"])
def test_the_finest_stages_stay_as_they_are_while_the_others_are_fine_tuned(
    photos: Path, tmp_path: Path, strategy: str
) -> None:
    options = ("train.head_is_enough=2", "train.frozen_stages=1")
    overrides = ("model.backbone=cnn2", "pipeline.image_size=16", "model.hidden=0", *options)
    first, second = (
        load_file(
            run_of(
                foveal.train(
                    photos, out=tmp_path, strategy=strategy, epochs=1, lr=lr, overrides=overrides
                )
            )
            / "bundle"
            / "weights.safetensors"
        )
        for lr in (1e-3, 2e-3)
    )
    same = {name for name, value in first.items() if np.array_equal(value, second[name])}
    kept = {"backbone.blocks.0.0.weight", "backbone.blocks.0.0.bias"}
    # Random weights are not worth keeping.
    expected = kept if strategy == "staged" else set()
    assert {name for name in same if name.startswith("backbone.")} == expected


@pytest.mark.parametrize("labels", ["one", "several"])
def test_the_head_on_frozen_features_is_fitted_at_once(
    draw_folder: DrawFolder, tmp_path: Path, labels: str
) -> None:
    root = draw_folder(tmp_path / "photos", n=30)
    if labels == "several":
        rows = ["image,label"]
        rows += [f"circle/{i}.png,round|dark" for i in range(30)]
        rows += [f"square/{i}.png,dark" if i % 2 else f"square/{i}.png," for i in range(30)]
        (root / "labels.csv").write_text("\n".join(rows))
    trained = foveal.train(root, out=tmp_path / "runs", strategy="frozen", overrides=FITTED)
    (row,) = trained.history()
    assert stages_of(trained) == ["head"]
    assert (row["step"], row["best"]) == (0, 1)
    # Random filters tell circles from squares well enough; chance answers half of them.
    assert trained.metrics["accuracy"] > 0.7
    assert "the head: cross-validation on" in (run_of(trained) / "train.log").read_text()


def test_an_extension_of_a_fitted_head_trains_it_in_steps(photos: Path, tmp_path: Path) -> None:
    trained = foveal.train(photos, out=tmp_path, strategy="frozen", overrides=FITTED)
    longer = foveal.extend(run_of(trained), 2)
    assert stages_of(longer) == ["head", "more", "more"]


def test_the_budget_counts_from_the_beginning_of_the_work(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reached(Exception):
        pass

    def trainer(*_: object, begun_s: float, clock: Callable[[], float], **__: object) -> None:
        raise Reached(clock() - begun_s)

    def slowly(*given: object, **named: object) -> object:
        now_s[0] += 40
        return prepare(*given, **named)

    now_s = [100.0]
    prepare = training.prepare
    for module in (training, fitting):
        monkeypatch.setattr(module, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(training, "prepare", slowly)
    monkeypatch.setattr(fitting, "Trainer", trainer)
    with pytest.raises(Reached) as caught:
        foveal.train(photos, out=tmp_path, budget_s=60, overrides=SMALL)
    assert caught.value.args == (40,)
