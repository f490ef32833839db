"""`foveal predict --out` writes masks, drawn answers and maps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage
from shading import ShadeTask, half_light, shade_manifest, shade_model

from foveal.bundle import Bundle
from foveal.bundle import bundle as bundle_module
from foveal.cli.main import run
from foveal.errors import UsageError
from foveal.model import Model
from foveal.predict import answer
from foveal.predict.write import _map_endings


@pytest.fixture
def shade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the path of a bundle that says which pixels are light."""
    monkeypatch.setattr(bundle_module, "get_task", lambda name: ShadeTask)
    path = tmp_path / "bundles" / "shade"
    path.parent.mkdir()
    Bundle.write(path, shade_manifest(), {"model.onnx": shade_model()})
    return str(path)


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """Return a folder with two pictures of one stem, a TIFF and a damaged one."""
    for name in ("a", "b"):
        (tmp_path / "slides" / name).mkdir(parents=True)
    place = tmp_path / "slides"
    PILImage.fromarray(half_light(20, 40)).save(place / "a" / "one.png")
    PILImage.fromarray(half_light(30, 40)).save(place / "b" / "one.png")
    PILImage.fromarray(half_light(50, 60)).save(place / "b" / "two.tif")
    (place / "b" / "torn.png").write_bytes(b"no picture")
    return place


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with PILImage.open(path) as image:
        return np.asarray(image)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_masks_and_overlays_are_written_and_records_hold_their_paths(
    shade: str, slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(["predict", shade, str(slides), "--out", str(out), "--json"]) == 1
    streams = capsys.readouterr()
    records = [json.loads(line) for line in streams.out.splitlines()]
    assert files_in(out) == [
        "one-2.png",
        "one-2_overlay.jpg",
        "one.png",
        "one_overlay.jpg",
        "two.png",
        "two_overlay.jpg",
    ]
    assert [record.get("mask") for record in records] == [
        {"path": str(out / "one.png")},
        {"path": str(out / "one-2.png")},
        None,
        {"path": str(out / "two.png")},
    ]
    assert records[0]["overlay"] == {"path": str(out / "one_overlay.jpg")}
    assert "error" in records[2]
    mask = pixels_of(out / "two.png")
    assert np.array_equal(mask, (half_light(50, 60)[..., 0] > 127).astype(np.uint8))
    assert pixels_of(out / "two_overlay.jpg").shape[:2] == (50, 60)
    assert f"answers written to {out}: 3\n" in streams.err
    assert "predict  100 %" in streams.err


def test_the_table_is_as_without_files_and_quiet_says_nothing_else(
    shade: str, slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(slides / "a" / "one.png")
    assert run(["predict", shade, picture]) == 0
    plain = capsys.readouterr().out
    assert run(["predict", shade, picture, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    streams = capsys.readouterr()
    assert streams.out == plain
    assert "dark 50.0 %, light 50.0 %" in plain
    assert streams.err == ""


def test_maps_are_grey_pictures_of_each_label(shade: str, slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    picture = str(slides / "a" / "one.png")
    assert run(["predict", shade, picture, "--out", str(out), "--maps"]) == 0
    assert files_in(out) == ["one.png", "one_dark.png", "one_light.png", "one_overlay.jpg"]
    light = pixels_of(out / "one_light.png")
    assert light[0].tolist() == [0] * 20 + [255] * 20


def test_a_large_picture_is_drawn_on_a_copy(shade: str, tmp_path: Path) -> None:
    wide = tmp_path / "wide.tif"
    PILImage.fromarray(half_light(10, 4096)).save(wide)
    out = tmp_path / "out"
    assert run(["predict", shade, str(wide), "--out", str(out)]) == 0
    assert pixels_of(out / "wide.png").shape[:2] == (10, 4096)
    assert pixels_of(out / "wide_overlay.jpg").shape[:2] == (5, 2048)


def test_the_other_tasks_write_the_drawn_picture_too(
    tiny_bundle: Bundle, slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    picture = str(slides / "a" / "one.png")
    assert run(["predict", str(tiny_bundle.path), picture, "--out", str(out), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert files_in(out) == ["one_overlay.jpg"]
    assert "mask" not in record
    assert record["overlay"] == {"path": str(out / "one_overlay.jpg")}
    assert pixels_of(out / "one_overlay.jpg").shape[:2] == (20, 40)


def test_readings_keep_their_place_in_the_original_when_they_are_drawn(
    tiny_reader: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "red.png"
    PILImage.new("RGB", (3000, 1000), (255, 0, 0)).save(picture)
    arguments = ["predict", str(tiny_reader.path), str(picture), "--json"]
    run(arguments)
    plain = json.loads(capsys.readouterr().out)
    run([*arguments, "--out", str(tmp_path / "out")])
    written = json.loads(capsys.readouterr().out)
    assert written["characters"] == plain["characters"]
    assert written["text"] == plain["text"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--maps"], "--maps needs a folder"),
        (["--out", "HERE"], "overwrite the pictures"),
        (["--out", "HERE/one.png"], "one.png is not a folder"),
    ],
    ids=["maps need a folder", "the pictures' own folder", "a file"],
)
def test_what_cannot_be_written_is_said_before_anything_is_answered(
    shade: str,
    slides: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    here = str(slides / "a")
    given = [argument.replace("HERE", here) for argument in arguments]
    assert run(["predict", shade, str(slides / "a" / "one.png"), *given]) == 2
    streams = capsys.readouterr()
    assert message in streams.err
    assert streams.out == ""
    assert files_in(slides / "a") == ["one.png"]


def test_a_model_without_masks_has_no_maps(tiny_bundle: Bundle, slides: Path) -> None:
    with pytest.raises(UsageError, match="predicts no mask"):
        Model(tiny_bundle.path).predict([slides], out=slides.parent / "out", maps=True)


def test_labels_make_file_names_of_their_own() -> None:
    assert _map_endings(["cell wall", "a/b", "a b", "tumör"]) == {
        "cell wall": "_cell_wall.png",
        "a/b": "_a_b.png",
        "a b": "_2_a_b.png",
        "tumör": "_tumör.png",
    }


def test_a_model_in_python_answers_a_tiff_over_the_limits_with_a_small_copy(
    shade: str, slides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(shade)
    whole = model(slides / "b" / "two.tif")
    assert (whole.picture.height, whole.picture.width) == (50, 60)
    assert whole.prediction.maps is not None

    monkeypatch.setattr(model.predictor, "limits", type(model.predictor.limits)(10_000, 1000))
    monkeypatch.setattr(answer, "_COPY_PX", 30)
    large = model(slides / "b" / "two.tif")
    assert large.prediction.mask.shape == (50, 60)
    assert large.prediction.maps is None
    assert large.overlay.shape == (25, 30, 3)
