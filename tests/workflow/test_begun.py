"""Which run an earlier start of the same job began, in a folder of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from drawing import DrawFolder

import foveal
from foveal.errors import UsageError
from foveal.recipe import Recipe, make_recipe
from foveal.train.callbacks import ProgressReport
from foveal.train.records import StepRecord
from foveal.workflow.begun import begun_before
from foveal.workflow.remote_run import Runs
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.state import write_state

GIVEN = make_recipe(None, (), {"epochs": 3})


def begin(out: Path, key: str | None, recipe: Recipe = GIVEN) -> Path:
    run = RunDirectory.create(out, "classify", "photos")
    run.recipe.write_text(recipe.to_yaml(), encoding="utf-8")
    write_state(run, "photos", ())
    if key is not None:
        run.key.write_text(key, encoding="utf-8")
    return run.path


def found(out: Path, key: str, recipe: Recipe = GIVEN) -> Path | None:
    return begun_before(Runs.at(out), recipe, "classify", "photos", key)


def test_the_run_of_the_key_is_found_whatever_number_it_has(tmp_path: Path) -> None:
    assert found(tmp_path, "b") is None
    begin(tmp_path, None)
    begin(tmp_path, "a")
    third = begin(tmp_path, "b")
    assert found(tmp_path, "b") == third == tmp_path / "classify" / "photos-3"
    assert found(tmp_path, "c") is None


def test_other_settings_than_those_of_the_run_are_refused(tmp_path: Path) -> None:
    begin(tmp_path, "a")
    with pytest.raises(UsageError, match=r"other settings: train\.epochs was 3 and is 4"):
        found(tmp_path, "a", make_recipe(None, (), {"epochs": 4}))
    # What is left open is as it was chosen.
    assert found(tmp_path, "a", make_recipe(None, (), {})) is not None


def test_a_key_is_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Invalid key 'a b'"):
        foveal.train(tmp_path, out=tmp_path, resume_key="a b", verbose=False)


@pytest.mark.slow
def test_pictures_may_be_elsewhere_by_then(
    tmp_path: Path, draw_folder: DrawFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = draw_folder(tmp_path / "photos", n=12, size=16)
    real = ProgressReport.step_done

    def stop(self: ProgressReport, step: StepRecord) -> None:
        real(self, step)
        if step.step == 4:
            raise KeyboardInterrupt

    asked = {"out": tmp_path / "runs", "resume_key": "a", "verbose": False}
    asked |= {"epochs": 3, "backbone": "cnn2", "image_size": 16, "batch_size": 8}
    with monkeypatch.context() as patch:
        patch.setattr(ProgressReport, "step_done", stop)
        with pytest.raises(foveal.errors.TrainingInterrupted):
            foveal.train(photos, **asked)
    moved = tmp_path / "another" / "photos"
    moved.parent.mkdir()
    shutil.move(photos, moved)
    model = foveal.train(moved, **asked)
    assert model.run == tmp_path / "runs" / "classify" / "photos"
    assert len(model.history()) == 3
