"""When the report of the last check still fits."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import DrawFolder

from foveal.checks.base import CheckInput
from foveal.console import NoProgress
from foveal.curation.workspace import Workspace
from foveal.errors import MissingExtraError
from foveal.recipe import Recipe, make_recipe
from foveal.workflow.check import AddAnswers, check_source
from foveal.workflow.kept import MakeAnswers, checked


@pytest.fixture
def folder(tmp_path: Path, draw_folder: DrawFolder) -> Path:
    return draw_folder(tmp_path / "shapes", n=4, size=16)


def looks(folder: Path, caplog: pytest.LogCaptureFixture, recipe: Recipe | None = None) -> str:
    """Return why the data were checked again; nothing where they were not."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "foveal.workflow.kept"):
        found = checked(folder, recipe or Recipe(), NoProgress())
    assert found.report == checked(folder, recipe or Recipe(), NoProgress()).report
    return " ".join(record.getMessage() for record in caplog.records)


def test_a_check_is_kept_until_the_data_change(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert "not been checked yet" in looks(folder, caplog)
    assert looks(folder, caplog) == ""
    picture = next(folder.rglob("*.png"))
    status = picture.stat()
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert "the data has changed" in looks(folder, caplog)
    picture.rename(picture.with_name("other.png"))
    assert "the data has changed" in looks(folder, caplog)
    (folder / ".foveal").mkdir()
    (folder / ".foveal" / "review.jsonl").write_text("{}")
    assert looks(folder, caplog) == ""


def test_what_is_not_given_is_read_as_it_was_checked(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    as_texts = make_recipe(None, (), {"task": "read", "label_regex": "(.)"})
    check_source(folder, as_texts, NoProgress())
    assert looks(folder, caplog) == ""
    assert checked(folder, Recipe(), NoProgress()).recipe.data.label_regex == "(.)"
    assert looks(folder, caplog, as_texts) == ""
    assert "other settings" in looks(folder, caplog, make_recipe(None, (), {"task": "classify"}))


def test_a_damaged_report_is_made_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    looks(folder, caplog)
    Workspace.of(folder).report.write_text("{")
    assert "not been checked yet" in looks(folder, caplog)


def test_features_are_computed_again_where_the_last_check_had_them(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []

    def add(given: CheckInput, *_: object) -> CheckInput:
        asked.append(len(given.samples))
        return replace(given, features=np.eye(len(given.samples), 8, dtype=np.float32))

    def missing() -> AddAnswers:
        raise MissingExtraError("Features need torch.")

    def again(answers: MakeAnswers) -> bool:
        (folder / f"new{len(list(folder.iterdir()))}").mkdir()
        picture = next(folder.rglob("*.png"))
        picture.rename(picture.with_stem(picture.stem + "x"))
        return checked(folder, Recipe(), NoProgress(), answers=answers).report.features

    assert not checked(folder, Recipe(), NoProgress(), answers=lambda: add).report.features
    assert not again(lambda: add)
    check_source(folder, Recipe(), NoProgress(), answer=add)
    assert again(lambda: add)
    assert len(asked) == 2
    assert checked(folder, Recipe(), NoProgress()).report.features
    assert not again(missing)
    assert "Features need torch" in caplog.text
