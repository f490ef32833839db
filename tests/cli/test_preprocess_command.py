import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

import foveal
from foveal.cli.main import run
from foveal.errors import ImageError, UsageError


def write_page(path: Path) -> None:
    page = PILImage.new("RGB", (400, 200), (255, 255, 255))
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=50)
    pen.text((40, 20), "12345", fill=(0, 0, 0), font=font)
    pen.text((60, 120), "67890", fill=(0, 0, 0), font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)


def test_every_picture_of_a_folder_becomes_a_strip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_page(tmp_path / "pages" / "a.png")
    write_page(tmp_path / "pages" / "b.png")
    out = tmp_path / "out"
    assert run(["preprocess", str(tmp_path / "pages"), "--out", str(out), "--quiet"]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.png"]
    with PILImage.open(out / "a.png") as strip:
        size = f"{strip.width} x {strip.height}"
        assert strip.height < 100
    assert capsys.readouterr().out.splitlines()[1].split() == ["2", *size.split(), f"{out}/a.png"]


def test_json_tells_the_pieces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, out = tmp_path / "page.png", tmp_path / "out"
    write_page(page)
    assert run(["preprocess", str(page), "--out", str(out), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["schema_version"], value["out"]) == (1, str(out))
    [picture] = value["pictures"]
    assert (picture["source"], picture["out"]) == (str(page), str(out / "page.png"))
    assert [set(piece) for piece in picture["pieces"]] == [{"box", "x", "y"}] * 2
    assert picture["pieces"][0]["x"] == 0


def test_each_writes_every_step_and_an_overview(tmp_path: Path) -> None:
    page, out = tmp_path / "page.png", tmp_path / "out"
    write_page(page)
    words = ["preprocess", str(page), "--out", str(out), "--each", "--step", "grey"]
    assert run([*words, "--step", "median:5", "--step", "threshold", "--quiet"]) == 0
    assert sorted(p.name for p in (out / "page").iterdir()) == [
        "01-grey.png",
        "02-median.png",
        "03-threshold.png",
        "overview.png",
    ]
    with (
        PILImage.open(out / "page.png") as last,
        PILImage.open(out / "page" / "03-threshold.png") as t,
    ):
        np.testing.assert_array_equal(np.asarray(last), np.asarray(t))


def test_pictures_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_page(tmp_path / folder / "a.png")
    out = tmp_path / "out"
    pages = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert run(["preprocess", *pages, "--out", str(out), "--step", "grey", "--quiet"]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["a-2.png", "a.png"]


def test_an_unreadable_picture_is_listed_and_the_others_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_page(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no picture")
    out = tmp_path / "out"
    assert run(["preprocess", str(tmp_path), "--out", str(out)]) == 1
    errors = capsys.readouterr().err
    assert f"error: {tmp_path / 'bad.png'}: Not a picture" in errors
    assert "1 of 2 pictures could not be read" in errors
    assert [p.name for p in out.iterdir()] == ["good.png"]


def test_the_status_is_3_when_nothing_could_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing.png")
    assert run(["preprocess", missing, "--out", str(tmp_path / "out"), "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["pictures"][0]["error"]["code"] == "image_missing"
    assert "error: None of the pictures could be read." in captured.err


def test_a_wrong_step_stops_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_page(tmp_path / "page.png")
    out = tmp_path / "out"
    words = ["preprocess", str(tmp_path / "page.png"), "--out", str(out), "--step", "gray"]
    assert run(words) == 2
    assert "Did you mean 'grey'?" in capsys.readouterr().err
    assert not out.exists()


def test_an_out_that_is_a_file_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_page(tmp_path / "page.png")
    out = tmp_path / "file"
    out.write_text("")
    assert run(["preprocess", str(tmp_path / "page.png"), "--out", str(out), "--quiet"]) == 2
    assert "is not a folder" in capsys.readouterr().err
    out = tmp_path / "strips.png"
    assert run(["preprocess", str(tmp_path / "page.png"), "--out", str(out), "--quiet"]) == 2
    assert f"hint: use --out {tmp_path / 'strips'}\n" in capsys.readouterr().err
    assert not out.exists()


def test_in_python_the_results_stay_in_memory_and_show_their_stages(tmp_path: Path) -> None:
    page = tmp_path / "page.png"
    write_page(page)
    [result] = foveal.preprocess(page, steps=["grey", "threshold", "lines"])
    assert result.path is None
    assert result.image.shape == (*result.size, 3)
    assert len(result.pieces) == 2
    assert [stage.step for stage in result.stages] == ["grey", "threshold", "boxes", "lines"]
    html = result._repr_html_()
    assert html.count("<img ") == 4
    assert "2 lines" in html
    assert repr(result).endswith("2 pieces)")


def test_in_python_a_written_result_is_read_back(tmp_path: Path) -> None:
    page = tmp_path / "page.png"
    write_page(page)
    [kept] = foveal.preprocess([page])
    [written] = foveal.preprocess([page], out=tmp_path / "out")
    assert written.kept is None
    np.testing.assert_array_equal(written.image, kept.image)


def test_in_python_an_unreadable_picture_keeps_its_reason(tmp_path: Path) -> None:
    [result] = foveal.preprocess(tmp_path / "missing.png")
    assert result.error is not None
    assert "does not exist" in result._repr_html_()
    assert "does not exist" in repr(result)
    with pytest.raises(ImageError, match="does not exist"):
        result.stages  # noqa: B018  # The access is the test.
    with pytest.raises(ImageError, match="does not exist"):
        result.image  # noqa: B018  # The access is the test.


def test_in_python_pictures_may_be_in_memory(tmp_path: Path) -> None:
    page = tmp_path / "page.png"
    write_page(page)
    pixels = np.asarray(PILImage.open(page))
    [expected] = foveal.preprocess(page)
    results = foveal.preprocess([pixels, PILImage.open(page), page.read_bytes()])
    for result in results:
        np.testing.assert_array_equal(result.image, expected.image)
        assert [stage.step for stage in result.stages][-1] == "lines"
    [alone] = foveal.preprocess(pixels, out=tmp_path / "out")
    assert alone.path == tmp_path / "out" / "picture 0.png"
    np.testing.assert_array_equal(alone.image, expected.image)


def test_in_python_what_is_no_picture_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"Invalid picture\. Expected a path, .* Received: int"):
        foveal.preprocess(3)  # type: ignore[arg-type]


def test_pages_may_be_in_an_archive(tmp_path: Path) -> None:
    write_page(tmp_path / "page.png")
    with ZipFile(tmp_path / "pages.zip", "w") as archive:
        archive.write(tmp_path / "page.png", "one.png")
    out = tmp_path / "out"
    assert run(["preprocess", str(tmp_path / "pages.zip"), "--out", str(out), "--quiet"]) == 0
    assert [p.name for p in out.iterdir()] == ["one.png"]
