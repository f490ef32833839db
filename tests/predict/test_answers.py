"""One picture gives an answer, several give answers, from every road."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discs import draw_disc_folder
from drawing import DrawFolder, draw_shape
from PIL import Image as PILImage

import foveal
from foveal.bundle import Bundle
from foveal.errors import DataError, ImageError, UsageError
from foveal.model import Answer, Answers, Model


@pytest.fixture
def model(tiny_bundle: Bundle) -> Model:
    return Model(tiny_bundle.path)


@pytest.fixture
def photos(draw_folder: DrawFolder, tmp_path: Path) -> Path:
    return draw_folder(tmp_path / "photos", n=3)


def roads(model: Model, pictures: Any) -> list[Any]:
    return [model(pictures), model.predict(pictures), foveal.predict(model, pictures)]


def test_one_picture_has_the_same_answer_from_every_road(model: Model, photos: Path) -> None:
    path = photos / "circle" / "0.png"
    pixels = np.asarray(PILImage.open(path))
    for given in (path, str(path), path.read_bytes(), PILImage.open(path), pixels, pixels / 255):
        for answer in roads(model, given):
            assert isinstance(answer, Answer)
            assert (answer.label, answer.error) == ("circle", None)
            assert answer.record["confidence"] == pytest.approx(answer.confidence, abs=1e-6)


def test_several_pictures_have_the_same_answers_from_every_road(model: Model, photos: Path) -> None:
    paths = sorted(photos.rglob("*.png"))
    for given in (photos, str(photos / "*" / "*.png"), paths, (str(path) for path in paths)):
        answers = model.predict(given)
        assert isinstance(answers, Answers)
        assert [answer.label for answer in answers] == ["circle"] * 3 + ["square"] * 3
        assert [answer.source for answer in answers] == [str(path) for path in paths]
    for answers in roads(model, photos):
        assert isinstance(answers, Answers)


def test_answers_are_a_sequence(model: Model, photos: Path) -> None:
    answers = model(photos)
    assert (len(answers), answers[0].label, answers[-1].label) == (6, "circle", "square")
    assert isinstance(answers[2:4], Answers)
    assert [answer.label for answer in answers[2:4]] == ["circle", "square"]
    assert next(iter(reversed(answers))).label == "square"
    with pytest.raises(IndexError):
        answers[6]
    assert answers.probs.shape == (6, 2)
    assert answers.probs.argmax(axis=1).tolist() == [0, 0, 0, 1, 1, 1]
    assert repr(answers) == "Answers(6 pictures: circle 3, square 3)"
    assert repr(answers[:1]) == "Answers(1 picture: circle 1)"
    assert repr(answers[:0]) == "Answers(0 pictures)"
    assert json.loads(json.dumps(answers.records)) == answers.records


def test_a_stream_answers_as_it_is_read(model: Model, photos: Path) -> None:
    read = []

    def pictures() -> Any:
        for path in sorted(photos.rglob("*.png")):
            read.append(path)
            yield path

    stream = model.predict(pictures(), stream=True, batch_size=1)
    assert read == []
    assert next(stream).label == "circle"
    assert len(read) < 6
    assert [answer.label for answer in stream] == ["circle"] * 2 + ["square"] * 3


def test_a_picture_that_cannot_be_read_raises_alone_and_is_an_answer_among_others(
    model: Model, photos: Path
) -> None:
    torn = photos / "circle" / "0.png"
    torn.write_bytes(b"no picture")
    for road in (model, model.predict):
        with pytest.raises(ImageError, match="Not a picture"):
            road(torn)
    answers = model(photos)
    assert [answer.error is None for answer in answers] == [False] + [True] * 5
    (failure,) = answers.failed
    assert str(failure).startswith("error: ")
    assert failure.record["error"]["code"] == "image_format"
    assert "1 could not be read" in repr(answers)
    for use in (lambda: failure.label, lambda: failure.overlay, lambda: answers.probs):
        with pytest.raises(ImageError):
            use()
    assert "error" in answers._repr_html_()
    assert "0.png" in failure._repr_html_()


@pytest.mark.parametrize("form", [str, lambda path: [str(path)]])
def test_what_does_not_exist_is_said_in_one_line(model: Model, photos: Path, form: Any) -> None:
    given = form(photos / "circle" / "00.png")
    if isinstance(given, str):
        with pytest.raises(ImageError, match=r"00\.png does not exist") as caught:
            model(given)
        assert "did you mean" in str(caught.value.hint)
    else:
        assert "does not exist" in str(model(given)[0])


def test_empty_places_are_errors_and_empty_lists_are_not(model: Model, tmp_path: Path) -> None:
    assert len(model([])) == 0
    with pytest.raises(DataError, match="no pictures in the folder"):
        model(tmp_path)
    with pytest.raises(DataError, match="No file matches"):
        model(tmp_path / "*.png")


def test_an_empty_path_is_not_the_current_folder(
    model: Model, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    with pytest.raises(ImageError, match="path of the picture is empty"):
        model("")
    answers = model(["", "circle/0.png"])
    assert answers[0].error is not None and "is empty" in answers[0].error.message
    assert answers[1].label == "circle"


def test_an_answer_has_its_classes_in_every_form(model: Model, photos: Path) -> None:
    answer = model(photos / "square" / "1.png")
    assert answer.top(1) == [("square", answer.confidence)]
    assert list(answer.scores) == ["square", "circle"]
    assert answer.probs.tolist() == pytest.approx([answer.scores[n] for n in model.labels])
    assert (answer.probs.top1, answer.probs.top5) == (1, [1, 0])
    assert model.names[answer.probs.top1] == answer.label == answer.text
    assert answer.probs.top1conf == pytest.approx(answer.confidence)
    assert answer.mask is None
    assert repr(answer) == f"Answer({answer.headline!r}, source={answer.source!r})"
    assert "label" in dir(answer)
    assert answer.to_json() == answer.record


def test_an_answer_of_many_is_drawn_by_opening_its_picture_again(
    model: Model, photos: Path
) -> None:
    path = photos / "circle" / "1.png"
    alone, among = model(path), model([path])[0]
    assert among._shown is None and among.prediction.evidence is None
    assert np.array_equal(alone.overlay, among.overlay)
    assert np.array_equal(alone.heat("square"), among.heat("square"))
    assert np.array_equal(among.picture.pixels, alone.picture.pixels)
    assert among._repr_html_().count("<img") == 2


def test_answers_are_saved_and_plotted(model: Model, photos: Path, tmp_path: Path) -> None:
    answer = model(photos / "circle" / "1.png")
    assert answer.save(tmp_path / "new" / "one.png") == tmp_path / "new" / "one.png"
    with PILImage.open(tmp_path / "new" / "one.png") as image:
        assert np.array_equal(np.asarray(image), answer.overlay)
    answer.save(tmp_path / "one.json")
    assert json.loads((tmp_path / "one.json").read_text()) == answer.record
    with pytest.raises(UsageError, match="unknown file extension"):
        answer.save(tmp_path / "one.xyz")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Cannot write"):
        answer.save(tmp_path / "file" / "one.png")

    answers = model(photos)
    assert [path.name for path in answers.save(tmp_path / "all")][:2] == [
        "00000_0.jpg",
        "00001_1.jpg",
    ]
    assert answers.plot(limit=3).width > answers.plot(limit=1).width
    with pytest.raises(UsageError, match="no answer to draw"):
        answers[:0].plot()


def test_a_plot_is_matplotlibs_where_it_is(
    model: Model, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    answer = model(photos / "circle" / "1.png")
    axes = answer.plot()
    assert axes.get_title() == str(answer)
    assert answer.plot(axes) is axes
    pyplot.close("all")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert isinstance(answer.plot(), PILImage.Image)


def test_a_data_frame_has_a_row_for_each_picture(model: Model, photos: Path) -> None:
    pytest.importorskip("pandas")
    (photos / "square" / "2.png").write_bytes(b"torn")
    frame = model(photos).to_pandas()
    assert list(frame.columns) == [
        *("source", "answer", "confidence", "unsure", "error"),
        *("score:circle", "score:square"),
    ]
    assert frame["answer"].tolist()[:5] == ["circle"] * 3 + ["square"] * 2
    assert frame["error"].notna().tolist() == [False] * 5 + [True]
    assert list(model([]).to_pandas().columns)[:2] == ["source", "answer"]


def test_masks_are_kept_compressed_and_come_back(tiny_masks: Bundle, tmp_path: Path) -> None:
    model = Model(tiny_masks.path)
    folder = draw_disc_folder(tmp_path, 2) / "images"
    answers = model(folder)
    written = model.predict(folder, out=tmp_path / "out")
    for answer, other, path in zip(answers, written, sorted(folder.iterdir()), strict=True):
        assert answer.prediction.mask is None
        mask = model(path).mask
        assert mask is not None and mask.any()
        assert np.array_equal(answer.mask, mask)
        assert np.array_equal(other.mask, mask)
        assert answer.text == other.text
    with pytest.raises(UsageError, match="Only classification has probabilities"):
        answers[0].top()
    one = model.predict(sorted(folder.iterdir())[0], out=tmp_path / "one")
    assert isinstance(one, Answer)
    assert Path(one.record["overlay"]["path"]).is_file()


def test_probabilities_of_pictures_as_an_array(
    model: Model, tiny_reader: Bundle, photos: Path
) -> None:
    rng = np.random.default_rng(0)
    arrays = [np.asarray(draw_shape("circle", rng, 16)), np.asarray(draw_shape("square", rng, 20))]
    chances = model.predict_proba(arrays)
    assert (chances.shape, chances.dtype) == ((2, 2), np.float32)
    assert chances.argmax(axis=1).tolist() == [0, 1]
    assert chances.sum(axis=1) == pytest.approx([1, 1])
    assert model.predict_proba([]).shape == (0, 2)
    assert model.predict_proba(photos / "circle" / "0.png").shape == (1, 2)
    with pytest.raises(ImageError, match=r"none\.png does not exist"):
        model.predict_proba([photos / "none.png"])
    with pytest.raises(
        ImageError, match="picture 1: Not a picture of a supported format"
    ) as caught:
        model.predict_proba([arrays[0], b"words"])
    assert caught.value.hint == "convert it to JPEG or PNG"
    with pytest.raises(UsageError, match="Only classification has probabilities"):
        Model(tiny_reader.path).predict_proba(arrays)


def test_a_model_says_what_it_is(model: Model) -> None:
    assert (model.task, model.labels) == ("classify", ("circle", "square"))
    assert model.names == {0: "circle", 1: "square"}
    accuracy = model.metrics["accuracy"]
    assert isinstance(accuracy, float)
    assert accuracy.low <= accuracy <= accuracy.high
    info = model.info()
    assert (info["task"], info["labels"]) == ("classify", ["circle", "square"])
    assert json.loads(json.dumps(info))["metrics"]["accuracy"] == accuracy
    assert "\n" not in repr(model)


def test_a_model_is_pickled_by_its_path(tiny_bundle: Bundle, photos: Path) -> None:
    model = pickle.loads(pickle.dumps(Model(tiny_bundle.path, max_pixels=255)))
    assert model.bundle.path == tiny_bundle.path
    with pytest.raises(ImageError, match="at most 255"):
        model(photos / "circle" / "0.png")


def test_a_model_stays_usable_when_the_working_directory_changes(
    tiny_bundle: Bundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "classify" / "tiny"
    shutil.copytree(tiny_bundle.path, run / "bundle")
    for name in ("recipe.yaml", "split.csv"):
        (run / name).touch()
    (run / "results.csv").write_text("epoch,val_loss\n1,0.5\n")
    monkeypatch.chdir(tmp_path)
    model = Model(Path("runs/classify/tiny"))
    assert repr(model).endswith(f", {Path('runs/classify/tiny/bundle')})")

    monkeypatch.chdir(photos)
    assert model.history() == [{"epoch": 1.0, "val_loss": 0.5}]
    assert model.save(tmp_path / "tiny.foveal").is_file()
    for one in (model, pickle.loads(pickle.dumps(model))):
        assert (one.run, one.bundle.path) == (run, run / "bundle")
        assert one(photos / "circle" / "0.png").label == "circle"


def test_answers_are_pickled_without_their_model(model: Model, photos: Path) -> None:
    path = photos / "circle" / "0.png"
    one = model(path)
    same = pickle.loads(pickle.dumps(one))
    assert (same.record, same.label, str(same)) == (one.record, one.label, str(one))
    assert np.array_equal(same.overlay, one.overlay)
    assert np.array_equal(same.probs, one.probs)
    several = pickle.loads(pickle.dumps(model([path, photos / "square" / "0.png"])))
    assert [answer.label for answer in several] == ["circle", "square"]
    with pytest.raises(UsageError, match="pickled, so that it has no model") as error:
        several[0].heat()
    assert error.value.hint


def test_an_answer_that_failed_is_pickled_with_its_error(model: Model, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    (answer,) = pickle.loads(pickle.dumps(model([tmp_path / "broken.png"])))
    assert answer.error.error_code == "image_format"
    with pytest.raises(ImageError):
        answer.label  # noqa: B018


def test_a_model_is_saved_as_one_file(
    model: Model, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert foveal.load(model.save("best.foveal"))(photos / "circle" / "0.png").label == "circle"
    assert model.export() == Path("tiny.onnx")
    assert (tmp_path / "tiny.onnx").stat().st_size > 0


def test_evaluating_without_data_needs_the_run(model: Model) -> None:
    with pytest.raises(UsageError, match="run of this model cannot be found"):
        model.val()


def test_a_metric_is_a_float_that_prints_with_its_interval() -> None:
    from foveal.metrics import Interval

    metric = Interval(0.975, 0.955, 0.986)
    assert f"{metric}" == repr(metric) == "97.5 % (95.5 to 98.6)"
    assert (f"{metric:.2f}", metric + 1, metric.value) == ("0.97", 1.975, 0.975)
    assert json.dumps([metric]) == "[0.975]"
    copy = pickle.loads(pickle.dumps(metric))
    assert (copy, copy.low, copy.high) == (0.975, 0.955, 0.986)
    undefined = Interval.from_json({"value": None, "low": None, "high": None})
    assert repr(undefined) == "undefined"
    assert Interval.from_json(metric.to_json()) == metric
    assert repr(Interval.from_json({"value": 0.5})) == "50.0 %"
