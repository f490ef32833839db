"""A study whose workers are tasks of Ray."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
from drawing import DrawFolder
from running_ray import RunningRay

import foveal
from foveal.recipe import Recipe
from foveal.tune.result import Tuning
from foveal.tune.work import Worker

pytest.importorskip("optuna", reason="optuna is not installed: pip install 'foveal[tune]'")

pytestmark = pytest.mark.slow

OVERRIDES = ("split.val_share=0.3", "evaluate.bootstrap=100", "train.label_smoothing=0.0")


@pytest.fixture
def photos(tmp_path: Path, draw_folder: DrawFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return pictures, to be tuned on by other processes than this one."""

    def refuse(self: Worker) -> None:
        raise AssertionError("this process must not train")

    monkeypatch.setattr(Worker, "run", refuse)
    return draw_folder(tmp_path / "photos", n=12, size=16)


def tuned(photos: Path, *, trials: int, epochs: int = 3) -> Tuning:
    return foveal.tune(
        photos,
        trials=trials,
        workers=2,
        on="ray:auto",
        out=photos.parent / "runs",
        overrides=OVERRIDES,
        epochs=epochs,
        backbone="cnn2",
        image_size=16,
        batch_size=4,
        verbose=False,
    )


def test_a_study_is_worked_on_by_tasks_and_ends_with_its_comparison(
    running_ray: RunningRay, photos: Path
) -> None:
    found = tuned(photos, trials=3)
    assert [row.number for row in found.trials] == [0, 1, 2]
    assert found.trials[0].is_default and found.trials[0].state == "trained"
    assert len(found.verdict.default) == len(found.verdict.best) == 3
    assert Recipe.load(found.recipe).model.backbone == "cnn2"
    assert foveal.load(found.study).labels == ("circle", "square")


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_ends_the_tasks_and_the_same_call_goes_on(
    running_ray: RunningRay, photos: Path
) -> None:
    ended = threading.Event()
    journal = photos.parent / "runs" / "tune" / "classify" / "photos" / "journal.log"

    def press() -> None:
        while not journal.is_file():
            ended.wait(0.05)
        signal.raise_signal(signal.SIGINT)

    pressing = threading.Thread(target=press, daemon=True)
    pressing.start()
    found = tuned(photos, trials=2, epochs=12)
    pressing.join()
    assert found.interrupted
    again = tuned(photos, trials=2, epochs=12)
    assert not again.interrupted
    assert again.trials[0].state == "trained"
    assert len(again.verdict.default) == 3
