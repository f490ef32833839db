"""Labels checked by the predictions of a run: whose are used, and which are refused."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import pytest
from drawing import DrawFolder

import foveal
from foveal.checks.report import CheckReport
from foveal.cli.main import run as run_command
from foveal.console import NoProgress
from foveal.errors import DataError
from foveal.recipe import Recipe
from foveal.workflow.kept import checked

HEAD = ("image", "target", "prediction", "confidence", "unsure", "correct", "trained_on")
SCORES = ("score:circle", "score:square")


def write(path: Path, rows: list[list[object]], head: tuple[str, ...] = (*HEAD, *SCORES)) -> Path:
    """Write a table as `write_predictions` does."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([list(head), *rows])
    return path


def answered(image: str, circle: float, trained_on: object = 0) -> list[object]:
    """Return a row that gives the probability of a circle."""
    target = image.partition("/")[0]
    prediction = "circle" if circle > 0.5 else "square"
    right = int(prediction == target)
    return [image, target, prediction, circle, 0, right, trained_on, circle, 1 - circle]


@pytest.fixture
def photos(tmp_path: Path, draw_folder: DrawFolder) -> Path:
    return draw_folder(tmp_path / "photos", n=12)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run whose networks are sure of all labels but the one of square/3.png."""
    rows = [
        *(answered(f"circle/{i}.png", 0.99) for i in range(12)),
        *(answered(f"square/{i}.png", 0.99 if i == 3 else 0.01) for i in range(12)),
    ]
    folder = tmp_path / "run"
    folder.mkdir()
    write(folder / "predictions.csv", rows)
    return folder


def suspects(report: CheckReport) -> list[tuple[str, str | None]]:
    found = next((f for f in report.findings if f.id == "labels.suspect"), None)
    return [] if found is None else [(s.sample, s.label) for s in found.suspects]


def test_a_label_that_the_networks_contradict_is_a_suspect(photos: Path, run: Path) -> None:
    report = foveal.check(photos, predictions=run, verbose=False)
    assert suspects(report) == [("square/3.png", "circle")]
    finding = next(f for f in report.findings if f.id == "labels.suspect")
    assert "1 label of 24" in finding.message
    assert f"networks that were not trained on the picture ({run}/predictions.csv)" in (
        finding.method
    )
    assert not report.features


def test_the_command_takes_the_run_or_its_file(
    photos: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (run, run / "predictions.csv"):
        assert run_command(["check", str(photos), "--predictions", str(path), "--quiet"]) == 0
        assert "square/3.png is labelled 'square'" in capsys.readouterr().out


def test_pictures_that_the_model_learned_are_not_judged(photos: Path, tmp_path: Path) -> None:
    rows = [
        *(answered(f"circle/{i}.png", 0.99) for i in range(12)),
        *(answered(f"square/{i}.png", 0.99 if i > 8 else 0.01, int(i > 9)) for i in range(12)),
    ]
    path = write(tmp_path / "predictions.csv", rows)
    assert suspects(foveal.check(photos, predictions=path, verbose=False)) == [
        ("square/9.png", "circle")
    ]


def test_pictures_that_were_moved_since_are_counted(
    photos: Path, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "circle" / "0.png").unlink()
    with caplog.at_level(logging.WARNING, logger="foveal"):
        report = foveal.check(photos, predictions=run, verbose=False)
    assert suspects(report) == [("square/3.png", "circle")]
    assert "1 of the 24 pictures" in caplog.text


def test_the_next_check_uses_them_again(
    photos: Path, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    foveal.check(photos, predictions=run, verbose=False)
    (photos / "circle" / "0.png").unlink()
    assert suspects(checked(photos, Recipe(), NoProgress()).report) == [("square/3.png", "circle")]
    (photos / "circle" / "1.png").unlink()
    (run / "predictions.csv").unlink()
    assert suspects(checked(photos, Recipe(), NoProgress()).report) == []
    assert f"{run}/predictions.csv is gone" in caplog.text


@pytest.mark.parametrize(
    ("rows", "head", "expected"),
    [
        (
            [answered(f"dog/{i}.png", 0.9) for i in range(9)],
            (*HEAD, *SCORES),
            "0 of its 9 pictures",
        ),
        ([answered("circle/0.png", 0.9)], (*HEAD, "score:circle", "score:dog"), "label 'square'"),
        ([answered("circle/0.png", 0.9, 1)], (*HEAD, *SCORES), "not to have learned"),
        ([answered("circle/0.png", 0.9, "")], (*HEAD, *SCORES), "not to have learned"),
        ([answered("circle/0.png", 0.9)[:7]], HEAD, "no scores of classes"),
        ([], (*HEAD, *SCORES), "no scores of classes"),
        ([[*answered("circle/0.png", 0.9)[:7], "x", "y"]], (*HEAD, *SCORES), "Cannot read"),
        ([["circle/0.png"]], ("image",), "Cannot read"),
    ],
    ids=[
        "other pictures",
        "other labels",
        "all were trained on",
        "not known what was trained on",
        "another task",
        "empty",
        "no numbers",
        "another table",
    ],
)
def test_predictions_that_say_nothing_of_these_labels_are_refused(
    photos: Path,
    tmp_path: Path,
    rows: list[list[object]],
    head: tuple[str, ...],
    expected: str,
) -> None:
    if "label" in expected:
        rows = [*rows, answered("square/0.png", 0.1)]
    path = write(tmp_path / "predictions.csv", rows, head)
    with pytest.raises(DataError, match=expected) as caught:
        foveal.check(photos, predictions=path, verbose=False)
    assert "\n" not in caught.value.message


def test_few_predictions_check_nothing(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [answered(f"circle/{i}.png", 0.01) for i in range(10)]
    path = write(tmp_path / "predictions.csv", rows)
    assert suspects(foveal.check(photos, predictions=path, verbose=False)) == []
    assert "has only 10 of them" in caplog.text


def test_a_run_may_be_given_by_its_name(
    photos: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (run / "recipe.yaml").touch()
    (tmp_path / "runs" / "classify").mkdir(parents=True)
    run.rename(tmp_path / "runs" / "classify" / "photos")
    assert suspects(foveal.check(photos, predictions="photos", verbose=False)) == [
        ("square/3.png", "circle")
    ]


def test_what_has_no_predictions_is_refused(photos: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no run at .*missing\."):
        foveal.check(photos, predictions=tmp_path / "missing", verbose=False)
    with pytest.raises(DataError, match=r"photos is no run\."):
        foveal.check(photos, predictions=photos, verbose=False)
    (run / "recipe.yaml").touch()
    (run / "predictions.csv").unlink()
    with pytest.raises(DataError, match="not finished") as caught:
        foveal.check(photos, predictions=run, verbose=False)
    assert caught.value.hint == f"foveal train --resume {run}"


def test_texts_are_not_checked_by_predictions(run: Path, tmp_path: Path) -> None:
    foveal.synth("captcha", tmp_path / "captcha", count=3, verbose=False)
    with pytest.raises(DataError, match="Only labels can be checked by predictions"):
        foveal.check(tmp_path / "captcha", task="read", predictions=run, verbose=False)
