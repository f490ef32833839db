"""Mistakes, confusion and answers of an evaluation, for people who work in Python."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import pytest
from colored import draw_blocks
from drawing import DrawFolder
from PIL import Image as PILImage

import foveal
from foveal.bundle import Bundle
from foveal.errors import DataError, MissingExtraError, UsageError
from foveal.evaluate.evaluate import Evaluation
from foveal.model import Model

pandas = pytest.importorskip("pandas")


@pytest.fixture
def photos(draw_folder: DrawFolder, tmp_path: Path) -> Path:
    """Return circles and squares, one square of which lies among the circles."""
    root = draw_folder(tmp_path / "photos", n=3)
    (root / "square" / "2.png").rename(root / "circle" / "wrong.png")
    return root


@pytest.fixture
def evaluation(tiny_bundle: Bundle, photos: Path) -> Evaluation:
    return Model(tiny_bundle.path).evaluate(photos)


def test_the_confusion_is_a_frame_of_counts(evaluation: Evaluation) -> None:
    frame = evaluation.confusion
    assert (frame.index.name, frame.columns.name) == ("target", "answer")
    assert list(frame.index) == list(frame.columns) == ["circle", "square"]
    assert frame.to_numpy().tolist() == [[3, 1], [0, 2]]


def test_mistakes_are_a_sequence_with_the_surest_first(evaluation: Evaluation) -> None:
    (mistake,) = evaluation.mistakes
    assert (mistake.image, mistake.target, mistake.answer) == (
        "circle/wrong.png",
        "circle",
        "square",
    )
    assert repr(evaluation.mistakes) == ("Mistakes(1: circle/wrong.png is 'circle', not 'square')")
    assert evaluation.mistakes.to_pandas()["image"].tolist() == ["circle/wrong.png"]
    assert "circle/wrong.png" in evaluation.mistakes._repr_html_()


def test_every_answer_is_a_row(evaluation: Evaluation) -> None:
    frame = evaluation.to_pandas()
    assert len(frame) == 6
    assert frame["correct"].sum() == 5
    assert list(frame.columns)[-2:] == ["score:circle", "score:square"]


def test_the_confusion_is_drawn(evaluation: Evaluation) -> None:
    matplotlib.use("agg")
    axes = evaluation.plot()
    assert [text.get_text() for text in axes.texts] == ["3", "1", "2"]
    assert axes.get_xlabel() == "answer"
    assert evaluation.plot(axes) is axes
    matplotlib.pyplot.close("all")


def test_without_pandas_there_is_one_line(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for use in (lambda: evaluation.confusion, evaluation.to_pandas, evaluation.mistakes.to_pandas):
        with pytest.raises(MissingExtraError, match="pandas, which is not installed"):
            use()


def test_texts_are_not_confused(tiny_reader: Bundle, tmp_path: Path) -> None:
    PILImage.fromarray(draw_blocks("AB")).save(tmp_path / "AB.png")
    PILImage.fromarray(draw_blocks("C")).save(tmp_path / "A.png")
    evaluation = Model(tiny_reader.path).evaluate(tmp_path)
    with pytest.raises(UsageError, match="no confusion"):
        evaluation.confusion  # noqa: B018
    assert [(m.target, m.answer) for m in evaluation.mistakes] == [("A", "C")]
    assert list(evaluation.to_pandas().columns)[-1] == "correct"


def test_evaluations_are_compared_picture_by_picture(
    tiny_bundle: Bundle, photos: Path, evaluation: Evaluation
) -> None:
    comparison = foveal.compare(evaluation, Model(tiny_bundle.path).evaluate(photos))
    assert [run.name for run in comparison.runs] == ["tiny 1", "tiny 2"]
    (test,) = comparison.tests
    assert (test.common, test.gained, test.lost) == (6, 0, 0)
    with pytest.raises(UsageError, match="run of tiny cannot be found"):
        foveal.compare([Model(tiny_bundle.path), evaluation])


def test_a_run_that_is_not_there_is_named_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "classify" / "ants").mkdir(parents=True)
    (tmp_path / "runs" / "classify" / "ants" / "recipe.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="There is no run at antz") as caught:
        foveal.compare("antz", "ants")
    assert caught.value.hint == "did you mean ants?"
    with pytest.raises(DataError, match="There is no run at c3"):
        foveal.compare("c3", "ants")


def test_what_python_shows_is_one_line(
    tiny_bundle: Bundle, tiny_reader: Bundle, photos: Path, evaluation: Evaluation
) -> None:
    model, picture = Model(tiny_bundle.path), photos / "circle" / "0.png"
    answer = model(picture)
    for value in (
        *(model, answer, answer.prediction, answer.picture, model(photos), evaluation),
        answer.probs,
        *(model.explain(picture), Model(tiny_reader.path)(picture).prediction),
        *(evaluation.mistakes, foveal.compare(evaluation, evaluation), foveal.check(photos)),
    ):
        shown = repr(value)
        assert "\n" not in shown and len(shown) < 250, shown
        assert "array" not in shown
    assert repr(evaluation).startswith("Evaluation(tiny: accuracy 83.3 % (")
