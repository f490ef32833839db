"""Real small trainings with folds: what is measured, shipped, resumed, refused."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discs import DISCS, draw_discs, scatter
from drawing import DrawFolder
from numpy.typing import NDArray
from PIL import Image as PILImage
from safetensors.numpy import load_file

import foveal
from foveal import metrics
from foveal.errors import DataError, FovealError, TrainingInterrupted, UsageError
from foveal.evaluate.measure import MeasuredSamples
from foveal.recipe import Recipe
from foveal.tasks.classify.task import ClassifyTask
from foveal.train.callbacks import ProgressReport
from foveal.train.records import StepRecord
from foveal.workflow import cross_validation
from foveal.workflow.predicted import predicted, predictions_file
from foveal.workflow.sources import open_for

pytestmark = pytest.mark.slow

FOLDS, COUNT = 3, 60
SMALL = (
    *("model.backbone=cnn2", "pipeline.image_size=16", "model.hidden=0"),
    *("train.batch_size=16", "evaluate.bootstrap=100"),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder) -> Path:
    return draw_folder(tmp_path_factory.mktemp("data") / "photos", n=COUNT // 2)


@pytest.fixture(scope="module")
def calibrated() -> list[NDArray[np.float64]]:
    """Gets the logits that the temperature of `model` was fitted to."""
    return []


@pytest.fixture(scope="module")
def model(
    photos: Path,
    tmp_path_factory: pytest.TempPathFactory,
    calibrated: list[NDArray[np.float64]],
) -> foveal.Model:
    fit = ClassifyTask.fit_calibration

    def noted(self: ClassifyTask, batches: Any, targets: Any) -> Any:
        calibrated.extend(outputs["logits"] for outputs, _ in batches)
        return fit(self, batches, targets)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClassifyTask, "fit_calibration", noted)
        out = tmp_path_factory.mktemp("runs")
        return foveal.train(photos, out=out, epochs=2, folds=FOLDS, overrides=SMALL)


def run_of(model: foveal.Model) -> Path:
    assert model.run is not None
    return model.run


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def weights(run: Path) -> dict[str, NDArray[np.float32]]:
    return dict(load_file(run / "bundle" / "weights.safetensors"))


def test_all_pictures_are_trained_on_and_all_are_measured(
    model: foveal.Model, photos: Path
) -> None:
    run, manifest = run_of(model), model.bundle.manifest
    assert (manifest.data["train"], manifest.folds) == (COUNT, FOLDS)
    assert "val" not in manifest.data
    assert manifest.calibration.pictures == COUNT
    answers = table(run / "predictions.csv")
    assert len({row["image"] for row in answers}) == COUNT
    assert {row["trained_on"] for row in answers} == {"0"}
    assert model.evaluate(photos).to_json()["trained_on"] == COUNT
    values = json.loads((run / "metrics.json").read_text())
    assert (values["split"], values["samples"]) == ("folds", COUNT)
    right = sum(row["correct"] == "1" for row in answers)
    assert model.metrics["accuracy"] == pytest.approx(right / COUNT)


def test_each_fold_is_answered_by_a_network_that_has_not_seen_it(model: foveal.Model) -> None:
    run = run_of(model)
    split = table(run / "split.csv")
    assert {row["split"] for row in split} == {"train"}
    sizes = [sum(row["fold"] == str(k + 1) for row in split) for k in range(FOLDS)]
    assert sizes == [COUNT // FOLDS] * FOLDS
    for number in range(1, FOLDS + 1):
        history = table(run / "folds" / str(number) / "results.csv")
        assert len(history) == 2
        assert "val_accuracy" in history[0]
    assert "val_accuracy" not in table(run / "results.csv")[0]
    assert not any((run / "folds").glob("*/checkpoints"))


def test_the_calibration_is_of_the_answers_out_of_fold(
    model: foveal.Model, photos: Path, calibrated: list[NDArray[np.float64]]
) -> None:
    answers = table(run_of(model) / "predictions.csv")
    scores = np.array([float(row["score:circle"]) for row in answers])
    logits = np.concatenate(calibrated) / model.bundle.manifest.calibration.temperature
    expected = metrics.softmax(logits)[:, 0]
    assert np.sort(scores) == pytest.approx(np.sort(expected), abs=1e-3)
    shipped = model([photos / row["image"] for row in answers])
    own = np.array([answer.probabilities[0] for answer in shipped])
    assert np.abs(own - scores).max() > 0.01


def test_a_network_that_is_worse_on_what_it_learned_is_doubted(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the shipped network answers, then as those of the folds do.
    shares = iter((0.25, 0.75))

    def some_right(task: object, measured: MeasuredSamples) -> dict[str, float]:
        share, count = next(shares), len(measured.samples)
        return {s.id: float(i < share * count) for i, s in enumerate(measured.samples)}

    monkeypatch.setattr(cross_validation, "scores", some_right)
    model = foveal.train(
        photos, out=tmp_path / "runs", epochs=1, folds=FOLDS, overrides=SMALL, verbose=False
    )
    (said,) = [r.getMessage() for r in caplog.records if "do not hold" in r.getMessage()]
    assert "Accuracy 25.0 % against 75.0 % (60 pictures)" in said
    assert "do not hold for the network that ships" in (run_of(model) / "report.html").read_text()


def test_the_answers_out_of_fold_check_the_labels(model: foveal.Model, photos: Path) -> None:
    source = open_for(photos, Recipe())
    answers = predicted(predictions_file(run_of(model)), source, "labels")
    expected = {row["image"]: row for row in table(run_of(model) / "predictions.csv")}
    assert answers is not None
    assert answers.labels == ("circle", "square")
    circles = [float(expected[sample.id]["score:circle"]) for sample in source.samples]
    # Calibrated anew, at another temperature: in the same order, but for what float32 rounds to 1.
    assert np.all(np.diff(answers.scores[np.argsort(circles), 0]) >= -1e-6)
    assert answers.scores[np.argmax(circles), 0] > 0.5 > answers.scores[np.argmin(circles), 0]


def test_report_card_and_promise_say_where_the_figures_come_from(model: foveal.Model) -> None:
    run = run_of(model)
    said = (
        f"trained on all {COUNT} pictures. The figures are estimates by cross-validation: each "
        f"picture was answered by one of {FOLDS} other networks"
    )
    report = (run / "report.html").read_text()
    assert "evaluated by cross-validation on" in report
    assert "Accuracy on the fold" in report
    assert said in report
    assert said in (run / "bundle" / "README.md").read_text()
    assert f"on {COUNT} pictures in cross-validation with {FOLDS} folds" in report


def test_what_needs_a_validation_split_says_that_there_is_none(model: foveal.Model) -> None:
    with pytest.raises(UsageError, match="none was kept for validation"):
        model.evaluate()
    with pytest.raises(UsageError, match="cannot be extended"):
        foveal.extend(run_of(model), 2)


def test_a_killed_training_resumes_to_the_same_weights(
    model: foveal.Model, photos: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "foveal", "train", str(photos), "--out", str(tmp_path)]
    command += ["--epochs", "2", "--folds", str(FOLDS), "--quiet", "--json"]
    for override in SMALL:
        command += ["--set", override]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run = tmp_path / "classify" / "photos"
    while not (run / "folds" / "2" / "results.csv").is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "bundle").exists()
    with pytest.raises(UsageError, match="needs all of them"):
        foveal.resume(run, finish=True)
    split = (run / "split.csv").read_text()
    (run / "split.csv").write_text("".join(f"{r.rpartition(',')[0]}\n" for r in split.split()))
    with pytest.raises(DataError, match="do not belong together"):
        foveal.resume(run)
    (run / "split.csv").write_text(split)
    resumed = foveal.resume(run)
    first, second = weights(run_of(model)), weights(run)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    before, after = (run_of(each) / "predictions.csv" for each in (model, resumed))
    assert before.read_text() == after.read_text()


@pytest.mark.usefixtures("hears_ctrl_c")
def test_an_interrupted_fold_leaves_a_checkpoint_to_go_on_from(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(report: ProgressReport, step: StepRecord) -> None:
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(ProgressReport, "step_done", interrupt)
        with pytest.raises(TrainingInterrupted) as caught:
            foveal.train(photos, out=tmp_path, epochs=2, folds=FOLDS, overrides=SMALL)
    assert any((Path(caught.value.run) / "folds" / "1" / "checkpoints").iterdir())


def test_folds_of_a_frozen_backbone_share_its_features(photos: Path, tmp_path: Path) -> None:
    titles: list[str] = []

    class Noted:
        def start(self, title: str, total: int | None) -> None:
            titles.append(title)

        def update(self, done: int, fields: dict[str, str] | None = None) -> None:
            pass

        def finish(self) -> None:
            pass

    trained = foveal.train(
        photos,
        out=tmp_path,
        folds=FOLDS,
        strategy="frozen",
        overrides=(*SMALL, "train.head_solver=lbfgs"),
        progress=Noted(),
    )
    assert [title for title in titles if "features" in title] == ["features"]
    assert titles.count("familiarity") == 1
    assert trained.metrics["accuracy"] > 0.7


def test_what_is_kept_of_fine_tuning_is_one_for_all_folds(photos: Path, tmp_path: Path) -> None:
    options = ("train.keep_statistics=true", "train.blend=true", "train.head_epochs=5")
    trained = foveal.train(
        photos,
        out=tmp_path,
        folds=FOLDS,
        strategy="staged",
        epochs=1,
        lr=0.5,
        overrides=(*SMALL, *options, "train.head_is_enough=2"),
    )
    log = (run_of(trained) / "train.log").read_text()
    # At this rate fine-tuning spoils what the head had learnt.
    assert "fine-tuning: kept are the weights 0 % of the way" in log
    assert trained.metrics["accuracy"] > 0.7


@pytest.mark.parametrize(("enough", "is_fine_tuned"), [(0.4, False), (1.1, True)])
def test_the_head_of_the_first_fold_decides_whether_all_are_fine_tuned(
    photos: Path, tmp_path: Path, enough: float, is_fine_tuned: bool
) -> None:
    options = ("train.head_epochs=5", f"train.head_is_enough={enough}")
    trained = foveal.train(
        photos,
        out=tmp_path,
        folds=FOLDS,
        strategy="staged",
        epochs=1,
        overrides=(*SMALL, *options),
    )
    run = run_of(trained)
    results = [run / "results.csv", *sorted(run.glob("folds/*/results.csv"))]
    assert len(results) == FOLDS + 1
    for path in results:
        assert (",full," in path.read_text()) == is_fine_tuned
    log = (run / "train.log").read_text()
    assert ("no network is fine-tuned" in log) != is_fine_tuned
    assert trained.metrics["accuracy"] > 0.5


def test_tiled_pictures_are_trained_in_folds(tmp_path: Path) -> None:
    rng, size = np.random.default_rng(0), (64, 80)
    root = tmp_path / "discs"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for i in range(6):
        pixels, mask = draw_discs(scatter(rng, size), size, seed=i)
        PILImage.fromarray(pixels).save(root / "images" / f"{i}.png")
        PILImage.fromarray(mask).save(root / "masks" / f"{i}.png")
    (root / "classes.txt").write_text("\n".join(DISCS) + "\n")
    options = ("model.backbone=fovea", "pipeline.image_size=64", "train.batch_size=2")
    trained = foveal.train(
        root,
        task="segment",
        out=tmp_path / "runs",
        folds=2,
        epochs=1,
        overrides=(*options, "evaluate.bootstrap=100"),
    )
    assert len(table(run_of(trained) / "predictions.csv")) == 6
    assert trained.bundle.manifest.folds == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"folds": 1}, "Expected a whole number >= 2"),
        ({"folds": 31}, "has only 30 that can be separated"),
        ({"folds": 3, "patience": 2}, "'train.patience' .* follows the validation"),
        ({"folds": 3, "devices": 2}, "trained in one process"),
        ({"folds": 3, "finish_on_interrupt": True}, "needs all trainings"),
        ({"folds": 3, "budget_s": 1.0}, "too short for 4 trainings"),
    ],
)
def test_what_folds_cannot_be_is_refused_and_leaves_no_run(
    photos: Path, tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(FovealError, match=message) as caught:
        foveal.train(photos, out=tmp_path, epochs=2, overrides=SMALL, **given)
    assert caught.value.hint
    assert not list(tmp_path.glob("*/*"))


def test_drawn_pictures_cannot_be_divided(tmp_path: Path) -> None:
    with pytest.raises(FovealError, match="divides a fixed set of pictures"):
        foveal.train("synth:captcha?count=20", out=tmp_path, folds=2)


def test_a_model_that_knows_the_pictures_cannot_be_measured_on_them(
    model: foveal.Model, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="cannot be used with --from"):
        foveal.train(photos, out=tmp_path, folds=2, start_from=model)
    with pytest.raises(DataError, match="on every validation picture") as caught:
        foveal.train(photos, out=tmp_path, start_from=model)
    assert caught.value.hint == (
        "add new pictures: with --folds, the model was trained on all that there were"
    )


def test_validation_pictures_of_the_data_are_divided_too_and_test_pictures_are_not(
    tmp_path: Path, draw_folder: DrawFolder
) -> None:
    root = tmp_path / "photos"
    for number, part in enumerate(("train", "val", "test")):
        draw_folder(root / part, n=8, seed=number)
    trained = foveal.train(
        root, out=tmp_path / "runs", folds=2, epochs=1, overrides=SMALL, verbose=False
    )
    split = table(run_of(trained) / "split.csv")
    assert all((row["fold"] == "") == row["image"].startswith("test") for row in split)
    assert trained.bundle.manifest.data["train"] == 32
    assert not any(
        row["image"].startswith("test") for row in table(run_of(trained) / "predictions.csv")
    )
