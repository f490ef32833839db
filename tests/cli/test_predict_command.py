import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from drawing import DrawFolder
from heic import HEIC
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.export.formats import FORMATS, Format
from foveal.export.job import ExportJob
from foveal.predict.engines import ENGINES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a dark picture, a bright picture, and one that is damaged."""
    place = tmp_path / "pictures"
    place.mkdir()
    PILImage.new("RGB", (20, 16), (20, 20, 20)).save(place / "dark.png")
    PILImage.new("RGB", (20, 16), (240, 240, 240)).save(place / "light.png")
    (place / "torn.png").write_bytes((place / "dark.png").read_bytes()[:-30])
    return place


def test_a_broken_picture_is_an_error_line_and_the_others_are_answered(
    tiny_bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle.path), str(folder), "--json"]) == 1
    streams = capsys.readouterr()
    records = {Path(r["source"]).name: r for r in map(json.loads, streams.out.splitlines())}
    assert records["dark.png"]["label"] == "circle"
    assert records["light.png"]["label"] == "square"
    assert records["torn.png"]["error"]["code"] == "image_unreadable"
    assert streams.err.startswith(f"error: {folder / 'torn.png'}: ")
    assert "1 of 3 pictures could not be read" in streams.err


def test_what_decodes_heic_is_named_once(
    tiny_bundle: Bundle,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif.as_plugin", None)
    for name in ("one.heic", "two.heic"):
        (folder / name).write_bytes(HEIC)
    assert run(["predict", str(tiny_bundle.path), str(folder)]) == 1
    hints = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hint: ")]
    assert len(hints) == 1
    assert hints[0].startswith("hint: pip install")
    assert "[heic]" in hints[0]
    assert run(["check", str(folder)]) == 3
    assert "[heic]" in capsys.readouterr().out


def test_an_offset_that_no_integer_holds_does_not_end_the_command(
    tiny_bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.tif").write_bytes(b"II+\0\x08\0\0\0" + b"\xff" * 8)
    names = [str(folder / name) for name in ("a.tif", "dark.png", "light.png")]
    assert run(["predict", str(tiny_bundle.path), *names, "--json"]) == 1
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records[0]["error"]["code"] == "image_unreadable"
    assert [record["label"] for record in records[1:]] == ["circle", "square"]


def test_people_get_an_aligned_table(
    tiny_bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(folder / "dark.png"), str(folder / "light.png")]
    assert run(["predict", str(tiny_bundle.path), *names]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["answer", "confidence", "picture"]
    assert first.startswith("circle") and first.endswith(names[0])
    assert second.startswith("square") and second.endswith(names[1])
    assert first.index(names[0]) == second.index(names[1]) == header.index("picture")


def test_one_picture_shows_its_best_scores(
    tiny_bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle.path), str(folder / "dark.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:]] == ["circle", "square"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("answers.csv", "foveal predict MODEL PICTURE --csv > answers.csv"),
        ("answers.jsonl", "foveal predict MODEL PICTURE --json > answers.jsonl"),
        ("answer.png", "use --out answer"),
    ],
)
def test_no_folder_is_made_with_the_name_of_a_file(
    tiny_bundle: Bundle,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    hint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["predict", str(tiny_bundle.path), str(folder), "--out", name]) == 2
    said = capsys.readouterr().err
    assert "is named like a file" in said
    assert f"hint: {hint}\n" in said
    assert not Path(name).exists()


def test_csv_has_a_row_for_each_picture_and_a_column_for_errors(
    tiny_bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle.path), str(folder), "--csv"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["answer"] for row in rows] == ["circle", "square", ""]
    assert [bool(row["error"]) for row in rows] == [False, False, True]
    for row in rows[:2]:
        scores = {label: float(row[f"score:{label}"]) for label in ("circle", "square")}
        assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
        assert max(scores, key=scores.__getitem__) == row["answer"]
    assert rows[2]["score:circle"] == ""


def test_a_missing_file_does_not_stop_the_others(
    tiny_bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, there = str(folder / "nothing.png"), str(folder / "light.png")
    assert run(["predict", str(tiny_bundle.path), missing, there, "--json"]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert "error" in first
    assert second["label"] == "square"


def test_a_missing_model_is_status_4(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tmp_path / "no-model"), str(folder / "dark.png")]) == 4
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.splitlines()[0].startswith("error: There is no bundle at")


def from_stdin(bundle: Bundle, data: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "foveal", "predict", str(bundle.path), "-", "--json"]
    return subprocess.run(command, input=data, capture_output=True, check=False)


def test_a_picture_can_come_from_stdin(tiny_bundle: Bundle, folder: Path) -> None:
    done = from_stdin(tiny_bundle, (folder / "light.png").read_bytes())
    assert done.returncode == 0
    record = json.loads(done.stdout)
    assert (record["source"], record["label"]) == ("-", "square")


def test_paths_can_come_from_stdin(tiny_bundle: Bundle, folder: Path) -> None:
    paths = f"{folder / 'light.png'}\n\n{folder / 'dark.png'}\n"
    done = from_stdin(tiny_bundle, paths.encode())
    assert done.returncode == 0
    assert [json.loads(x)["label"] for x in done.stdout.splitlines()] == ["square", "circle"]


def test_a_torn_picture_from_stdin_is_an_error_record(tiny_bundle: Bundle, folder: Path) -> None:
    done = from_stdin(tiny_bundle, (folder / "torn.png").read_bytes())
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "image_unreadable"


def test_nothing_on_stdin_is_a_usage_error(tiny_bundle: Bundle) -> None:
    done = from_stdin(tiny_bundle, b"")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: stdin is empty.")


def test_predicting_loads_neither_torch_nor_what_draws_or_serves(
    tiny_bundle: Bundle, folder: Path
) -> None:
    code = (
        "import sys\n"
        "from foveal.cli.main import run\n"
        "run(sys.argv[1:])\n"
        "sys.stdout.write('\\n'.join(['MODULES', *sys.modules]))\n"
    )
    command = [sys.executable, "-c", code, "predict", str(tiny_bundle.path)]
    done = subprocess.run(
        [*command, str(folder / "dark.png")], capture_output=True, text=True, check=True
    )
    answer, _, modules = done.stdout.partition("MODULES\n")
    heavy = {"torch", "timm", "onnx", "matplotlib", "uvloop", "starlette", "rich", "jinja2"}
    heavy |= {"foveal.recipe", "foveal.server", "foveal.train", "fsspec", "yaml"}
    assert "circle" in answer
    assert set(modules.split("\n")) & heavy == set()


def test_explain_writes_the_heat_map_over_the_picture(
    tiny_bundle: Bundle, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "why.png"
    model, picture = str(tiny_bundle.path), str(folder / "dark.png")
    assert run(["explain", model, picture, "--label", "circle", "--out", str(out), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["explained"], value["out"]) == ("circle", str(out))
    assert value["prediction"]["label"] == "circle"
    with PILImage.open(out) as written:
        assert written.size == (20, 16)


def test_explain_names_the_nearest_label(
    tiny_bundle: Bundle, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, picture = str(tiny_bundle.path), str(folder / "dark.png")
    out = tmp_path / "why.png"
    assert run(["explain", model, picture, "--label", "cirkle", "--out", str(out)]) == 3
    assert "Did you mean 'circle'?" in capsys.readouterr().err
    assert not out.exists()


def test_explain_says_when_it_cannot_write(
    tiny_bundle: Bundle, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, picture = str(tiny_bundle.path), str(folder / "dark.png")
    out = tmp_path / "no-such-folder" / "why.png"
    assert run(["explain", model, picture, "--out", str(out)]) == 2
    assert "Cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["onnx", "foveal"])
def test_export_writes_what_predict_or_onnxruntime_can_read(
    to: str, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"model.{to}"
    line = ["export", str(tiny_bundle.path), "--to", to, "--out", str(out), "--json"]
    assert run(line) == 0
    value = json.loads(capsys.readouterr().out)
    assert value == {
        "schema_version": 1,
        "to": to,
        "path": str(out),
        "bytes": out.stat().st_size,
        "proof": None,
    }
    model = out.read_bytes() if to == "onnx" else Bundle.open(out).model_bytes()
    # An ONNX file also says what it is, behind the network.
    assert model.startswith(tiny_bundle.model_bytes())


def test_export_of_a_folder_says_its_size_and_replaces_none(
    tiny_bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(job: ExportJob, out: Path) -> None:
        out.mkdir()
        (out / "a").write_bytes(bytes(300))
        (out / "b").write_bytes(bytes(12))

    monkeypatch.setitem(FORMATS._own, "parts", Format("in parts", ".d", write, is_folder=True))
    out = tmp_path / "model.d"
    line = ["export", str(tiny_bundle.path), "--to", "parts", "--out", str(out), "--json"]
    assert run(line) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 312
    (out / "mine").touch()
    assert run(line) == 2
    assert "it is an existing folder" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "mine"]


def test_export_refuses_a_format_that_does_not_exist(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "x")
    assert run(["export", str(tiny_bundle.path), "--to", "tflite", "--out", out]) == 2
    assert "Unknown format 'tflite'" in capsys.readouterr().err


def test_the_engine_and_its_proof_are_said_once_on_stderr(
    tiny_bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not ENGINES["openvino"].runtime:
        pytest.skip("OpenVINO is not installed")
    asked = ["predict", str(tiny_bundle.path), str(folder / "dark.png"), "--engine", "openvino"]
    assert run([*asked, "--json"]) == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out)["label"] == "circle"
    (line,) = streams.err.splitlines()
    assert line.startswith("tiny: openvino (openvino 20")
    assert "proof pictures as onnxruntime" in line
    assert run([*asked, "--debug"]) == 0
    assert capsys.readouterr().err.count("proof pictures") == 1
    assert run([*asked, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_an_unknown_engine_is_a_usage_error(
    tiny_bundle: Bundle, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(tiny_bundle.path), str(folder), "--engine", "tensorRT"]) == 2
    assert "Did you mean 'tensorrt'?" in capsys.readouterr().err


def test_evaluate_says_which_pictures_were_left_out(
    tiny_bundle: Bundle,
    draw_folder: DrawFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = draw_folder(tmp_path / "photos", n=1)
    (photos / "circle" / "words.png").write_text("no picture")
    (photos / "triangle").mkdir()
    shutil.copy(photos / "circle" / "0.png", photos / "triangle" / "1.png")
    assert run(["evaluate", str(tiny_bundle.path), str(photos)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("2 pictures\n")
    left_out = [line for line in said.err.splitlines() if line.startswith("warning: 1 ")]
    assert ["cannot be read" in line or "unknown to the bundle" in line for line in left_out] == [
        True,
        True,
    ]
    assert "circle/words.png" in said.err
    assert "triangle/1.png" in said.err
    # Said by the table already.
    assert "[evaluate.baseline]" not in said.err
    assert run(["evaluate", str(tiny_bundle.path), str(photos), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_one_picture_is_not_pictures(
    tiny_bundle: Bundle,
    draw_folder: DrawFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = draw_folder(tmp_path / "photos", n=1, classes=("circle",))
    assert run(["evaluate", str(tiny_bundle.path), str(photos)]) == 0
    assert capsys.readouterr().out.startswith("1 picture\n")
