"""Trainings that start from a trained model, one for each task."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colored import blocks_png
from discs import draw_discs, scatter
from drawing import DrawFolder
from PIL import Image as PILImage
from safetensors.numpy import load

import foveal
from foveal.bundle import Bundle
from foveal.errors import DataError, RecipeError, UsageError
from foveal.workflow.start import Start

OLD = ("circle", "square")
EVERYDAY: dict[str, Any] = {"backbone": "fovea", "image_size": 32, "device": "cpu"}


def weights(bundle: Bundle) -> dict[str, np.ndarray[Any, Any]]:
    return dict(load(bundle.read("weights.safetensors")))


def run_of(model: foveal.Model) -> Path:
    assert model.run is not None
    return model.run


def before(model: foveal.Model) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((run_of(model) / "before.json").read_text())
    return value


def side(run: Path, name: str) -> set[str]:
    """Return the pictures on a side of a run's split."""
    with (run / "split.csv").open(newline="", encoding="utf-8") as file:
        return {row["image"] for row in csv.DictReader(file) if row["split"] == name}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder) -> foveal.Model:
    """Return a model of circles and squares."""
    root = tmp_path_factory.mktemp("shapes")
    data = draw_folder(root / "data", classes=OLD, n=30, size=32)
    return foveal.train(data, out=root / "runs", epochs=4, verbose=False, **EVERYDAY)


@pytest.fixture(scope="module")
def grown(
    tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder, shapes: foveal.Model
) -> foveal.Model:
    """Return a model that starts from it and learns triangles too."""
    root = tmp_path_factory.mktemp("grown")
    draw_folder(root / "data", classes=OLD, n=30, size=32)
    data = draw_folder(root / "data", classes=("a ring", "triangle"), n=20, size=32, seed=1)
    return foveal.train(
        data,
        out=root / "runs",
        start_from=run_of(shapes),
        device="cpu",
        epochs=4,
        # Another seed deals the pictures anew.
        seed=7,
        verbose=False,
    )


def test_known_classes_are_kept_and_new_ones_learnt(
    shapes: foveal.Model, grown: foveal.Model
) -> None:
    said = before(grown)
    assert said["labels"] == {"known": [*OLD], "added": ["a ring", "triangle"], "dropped": []}
    assert (said["start"], said["version"]) == (shapes.bundle.name, shapes.bundle.version)
    assert said["samples"] > 0
    assert said["new_samples"] > 0
    assert said["before"]["value"] >= 0.8
    assert said["difference"]["low"] <= said["difference"]["value"] <= said["difference"]["high"]
    report = (run_of(grown) / "report.html").read_text()
    assert "Before and after" in report
    assert grown.bundle.manifest.pipeline == shapes.bundle.manifest.pipeline
    assert grown.bundle.manifest.backbone == "fovea"


def test_what_was_trained_on_is_not_validated_on(shapes: foveal.Model, grown: foveal.Model) -> None:
    learnt = side(run_of(shapes), "train")
    assert len(learnt) > 30
    assert learnt & side(run_of(grown), "val") == set()
    findings = json.loads((run_of(grown) / "findings.json").read_text())["findings"]
    (kept,) = [f for f in findings if f["id"] == "split.start_kept"]
    assert kept["count"] > 0


def test_the_new_model_remembers_what_the_one_before_was_trained_on(
    shapes: foveal.Model, grown: foveal.Model
) -> None:
    old, new = (Start.of(model.bundle).trained_on for model in (shapes, grown))
    assert old is not None
    assert new is not None
    assert set(old.content.tolist()) < set(new.content.tolist())
    assert np.all(np.diff(new.content) > 0)


def test_pictures_are_changed_as_they_were_but_for_what_is_given(shapes: foveal.Model) -> None:
    start = Start.find(run_of(shapes))
    old = start.recipe
    chosen = replace(old.train.augment, fade=0.7, stretch=1.0, rotation=3.0)
    resolved = replace(
        old,
        train=replace(old.train, augment=chosen),
        reasons={"train.augment.fade": "other sources", "train.epochs": "enough"},
    )
    settled = start.settle(resolved, frozenset({"train.augment.rotation"}), 60)
    assert settled.train.augment == replace(old.train.augment, rotation=3.0)
    assert "train.augment.fade" not in settled.reasons
    assert "train.epochs" in settled.reasons


def test_given_sides_stay_and_are_warned_of(
    tmp_path: Path, draw_folder: DrawFolder, shapes: foveal.Model
) -> None:
    for side in ("train", "val"):
        draw_folder(tmp_path / "data" / side, classes=OLD, n=6, size=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foveal.workflow.prepare._refuse", _stop)
        with pytest.raises(_Stopped) as stopped:
            foveal.train(tmp_path / "data", out=tmp_path / "runs", start_from=shapes, verbose=False)
    said = [f.id for f in stopped.value.args[0].findings if f.severity == "warning"]
    assert "split.start_leak" in said


def test_data_that_the_model_has_learnt_leave_nothing_to_measure_on(
    tmp_path: Path, shapes: foveal.Model
) -> None:
    source = Path(json.loads((run_of(shapes) / "run.json").read_text())["data"])
    for name in side(run_of(shapes), "train"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, tmp_path / "data" / name)
    with pytest.raises(DataError, match="was trained on every validation picture"):
        foveal.train(tmp_path / "data", out=tmp_path / "runs", start_from=shapes, verbose=False)
    assert not list((tmp_path / "runs").rglob("bundle.json"))


class _Stopped(Exception):
    pass


def _stop(prepared: object) -> None:
    raise _Stopped(prepared)


def test_rows_of_the_head_move_with_their_labels(
    tmp_path: Path, draw_folder: DrawFolder, shapes: foveal.Model
) -> None:
    from foveal.tasks import get_task, get_training
    from foveal.types import Labels
    from foveal.workflow.start import warm_network

    start = Start.find(run_of(shapes))
    names = ("a ring", "square", "triangle")
    task = get_task("classify").bind(Labels(names), start.recipe.task_options)
    state = warm_network(get_training("classify")(task), start.recipe, start).state_dict()
    old = weights(shapes.bundle)
    for name, tensor in state.items():
        new = tensor.numpy()
        if not name.startswith("head.evidence"):
            np.testing.assert_array_equal(new, old[name], err_msg=name)
            continue
        np.testing.assert_array_equal(new[1], old[name][1])
        for row in (0, 2):
            np.testing.assert_allclose(new[row], old[name].mean(axis=0), atol=0.08)
    rows = state["head.evidence.weight"].numpy()
    assert not np.array_equal(rows[0], rows[2])
    changes = start.changes(task.labels)
    assert (changes.known, changes.added, changes.dropped) == (
        ("square",),
        ("a ring", "triangle"),
        ("circle",),
    )
    assert "1 label is dropped (circle)" in " ".join(changes.sentences())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"backbone": "efficientnet_lite0"}, "= efficientnet_lite0 contradicts"),
        ({"image_size": 64}, "= 64 contradicts"),
        ({"task": "segment"}, "= segment contradicts"),
        ({"strategy": "scratch"}, "starts from random weights"),
    ],
)
def test_what_contradicts_the_model_is_refused(
    tmp_path: Path, shapes: foveal.Model, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        foveal.train(tmp_path, out=tmp_path / "runs", start_from=shapes, verbose=False, **asked)
    assert not (tmp_path / "runs").exists()


def test_a_model_without_weights_is_refused(tmp_path: Path, tiny_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="no trainable weights to start from"):
        foveal.train(tmp_path, start_from=tiny_bundle.path, verbose=False)


def test_the_run_needs_the_model_no_more(grown: foveal.Model) -> None:
    start = Bundle.open(run_of(grown) / "start")
    assert start.manifest.labels == OLD


def test_an_alphabet_grows(tmp_path: Path) -> None:
    def draw(name: str, alphabet: str, count: int) -> Path:
        root = tmp_path / name
        root.mkdir()
        rng = np.random.default_rng(0)
        rows = ["image,text"]
        for i in range(count):
            text = "".join(rng.choice(list(alphabet), 3))
            (root / f"{i}.png").write_bytes(blocks_png(text, "ABC"))
            rows.append(f"{i}.png,{text}")
        (root / "labels.csv").write_text("\n".join(rows) + "\n")
        return root

    small = {"task": "read", "device": "cpu", "out": tmp_path / "runs", "verbose": False}
    old = foveal.train(draw("old", "BC", 40), image_size=16, backbone="lenet5", epochs=2, **small)
    new = foveal.train(draw("new", "ABC", 60), start_from=old, epochs=2, **small)
    assert new.bundle.manifest.labels == ("A", "B", "C")
    said = before(new)
    assert said["labels"] == {"known": ["B", "C"], "added": ["A"], "dropped": []}
    assert said["new_samples"] > 0


def test_masks_get_another_class(tmp_path: Path, tiny_masks: Bundle) -> None:
    data = tmp_path / "data"
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(12):
        pixels, mask = draw_discs(scatter(rng, (96, 96)), (96, 96), seed=100 + i)
        pixels, values = pixels.copy(), np.array([0, 1, 3], np.uint8)[mask]
        if i % 2:
            pixels[20:50, 30:60], values[20:50, 30:60] = 10, 2
        PILImage.fromarray(pixels).save(data / "images" / f"{i}.png")
        PILImage.fromarray(values).save(data / "masks" / f"{i}.png")
    (data / "classes.txt").write_text("background\nblue\ndark\nred\n")
    model = foveal.train(
        data,
        out=tmp_path / "runs",
        start_from=tiny_masks.path,
        epochs=1,
        device="cpu",
        verbose=False,
    )
    assert model.bundle.manifest.labels == ("background", "blue", "dark", "red")
    said = before(model)
    assert said["labels"]["added"] == ["dark"]
    assert said["metric"] == "Dice"
    # Before the new class is learnt, the others are marked as they were.
    assert said["after"]["value"] > said["before"]["value"] - 0.2


def test_a_killed_run_is_resumed_without_the_model(
    tmp_path: Path, draw_folder: DrawFolder, shapes: foveal.Model
) -> None:
    data = draw_folder(tmp_path / "data", classes=("circle", "triangle"), n=20, size=32)
    copied = tmp_path / "model"
    shutil.copytree(shapes.bundle.path, copied)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foveal.workflow.train.ship", _stop_shipping)
        with pytest.raises(_Stopped):
            foveal.train(
                data, out=tmp_path / "runs", name="cut", start_from=copied, epochs=1, verbose=False
            )
    shutil.rmtree(copied)
    model = foveal.resume(tmp_path / "runs" / "classify" / "cut", verbose=False)
    assert before(model)["labels"]["dropped"] == ["square"]


def _stop_shipping(*_: object) -> None:
    raise _Stopped
