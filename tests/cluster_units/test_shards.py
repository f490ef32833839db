"""Files of answers: whole or not there, and of one model and list of pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from drawing import DrawFolder

import foveal
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.cluster.shards import Manifest, ShardFolder, format_of
from foveal.errors import DataError, UsageError
from foveal.types import JsonObject

ABOUT = Manifest("cats", "1", 3, "abc", 2, "jsonl", {"engine": "onnxruntime"})
ODD = "/pictures/\udcff.png"


def records(*sources: str) -> list[JsonObject]:
    return [{"source": source, "label": "cat", "confidence": 0.5} for source in sources]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_records_come_back_as_they_were_in_order(tmp_path: Path, form: str) -> None:
    about = replace(ABOUT, format=form)
    folder = ShardFolder(str(tmp_path / "out"))
    folder.begin(about)
    unread = {"source": "b.png", "error": {"code": "x", "message": "damaged", "hint": None}}
    folder.write(1, about, records("c.png"), ["cat"])
    folder.write(0, about, [*records(ODD), unread], ["cat", None])
    assert list(folder.records(about)) == [*records(ODD), unread, *records("c.png")]


def test_parquet_has_the_columns_that_people_ask_for(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    about = replace(ABOUT, format="parquet")
    folder = ShardFolder(str(tmp_path))
    folder.write(1, about, records("c.png"), ["cat"])
    table = parquet.read_table(tmp_path / "part-000001.parquet")
    assert table.column("source").to_pylist() == ["c.png"]
    assert table.column("answer").to_pylist() == ["cat"]
    assert table.column("error").to_pylist() == [None]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(ABOUT, version="2"), "another model: cats 1"),
        (replace(ABOUT, listing="def", pictures=4), "other pictures"),
        (replace(ABOUT, settings={"engine": "openvino"}), "other settings"),
        (replace(ABOUT, format="parquet"), "another form"),
    ],
)
def test_a_folder_of_other_answers_is_left_alone(
    tmp_path: Path, other: Manifest, said: str
) -> None:
    ShardFolder(str(tmp_path)).begin(ABOUT)
    with pytest.raises(UsageError, match=said):
        ShardFolder(str(tmp_path)).begin(other)


def test_a_shard_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    folder = ShardFolder(str(tmp_path))
    with pytest.raises(DataError, match=r"part-000000\.jsonl is missing"):
        list(folder.records(ABOUT))
    folder.write(0, ABOUT, records("a.png"), ["cat"])
    with pytest.raises(DataError, match=r"has 1 answers\. Expected 2"):
        folder.read(0, ABOUT)


def test_a_machine_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist on"):
        ShardFolder(str(tmp_path)).check_seen(ABOUT)


def test_attempts_are_counted_until_the_shard_is_there(tmp_path: Path) -> None:
    folder = ShardFolder(str(tmp_path))
    assert [folder.attempt(0), folder.attempt(0), folder.attempt(1)] == [0, 1, 0]
    folder.write(0, ABOUT, records("a.png", "b.png"), ["cat", "cat"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".tmp-attempts-000001",
        "part-000000.jsonl",
    ]


def test_the_ending_of_the_folder_chooses_the_format() -> None:
    assert format_of(None, "s3://bucket/answers.parquet/") == "parquet"
    assert format_of(None, "answers") == "jsonl"
    assert format_of("parquet", "answers.jsonl") == "parquet"
    with pytest.raises(UsageError, match="Unknown format 'csv'"):
        format_of("csv", "answers")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--on", "ray:local"], "--out is required"),
        (["--on", "ray:local", "--out", "x", "--csv"], "--csv and --maps are not supported"),
        (["--workers", "2"], "--workers needs --on"),
        (["--format", "parquet"], "--format needs --on"),
        (["--on", "moon", "--out", "x"], "Invalid target 'moon'"),
        (["--on", "vertex:my-project/europe-west4", "--out", "x"], "Cannot run on vertex"),
    ],
)
def test_options_that_do_not_go_together(
    tiny_bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    options = [str(tmp_path / "out") if option == "x" else option for option in options]
    assert run(["predict", str(tiny_bundle.path), str(tmp_path / "a.png"), *options]) == 2
    assert said in capsys.readouterr().err


def test_for_answers_that_are_all_there_no_cluster_is_started(
    tiny_bundle: Bundle, draw_folder: DrawFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started(Exception):
        pass

    def connected(target: object) -> None:
        raise Started

    monkeypatch.setattr("foveal.cluster.predict.connected", connected)
    pictures, out = str(draw_folder(tmp_path, n=10)), str(tmp_path / "out")
    model = foveal.load(tiny_bundle.path)
    with pytest.raises(Started):
        model.predict_on("ray:local", pictures, out, verbose=False)
    folder = ShardFolder(out)
    about = folder.manifest()
    assert (about.pictures, about.shards) == (20, 2)
    unread = {"source": "b.png", "error": {"code": "x", "message": "damaged", "hint": None}}
    folder.write(0, about, [*records(*"c" * (about.size(0) - 1)), unread], [None] * about.size(0))
    with pytest.raises(Started):
        model.predict_on("ray:local", pictures, out, verbose=False)
    folder.write(1, about, records(*"d" * about.size(1)), ["cat"] * about.size(1))
    files = model.predict_on("ray:local", pictures, out, verbose=False)
    assert (files.pictures, files.failed) == (20, 1)
    assert list(files.records()) == list(folder.records(about))


def test_a_url_is_read_as_a_folder_of_pictures(
    tiny_bundle: Bundle, draw_folder: DrawFolder, tmp_path: Path
) -> None:
    files = pytest.importorskip("fsspec").filesystem("memory")
    root = draw_folder(tmp_path, n=2)
    for path in sorted(root.rglob("*.png")):
        files.pipe_file(f"/pictures-of-predict/{path.relative_to(root)}", path.read_bytes())
    model = foveal.load(tiny_bundle.path)
    there = model.predict("memory://pictures-of-predict", verbose=False)
    here = model.predict(str(root), verbose=False)
    assert [answer.label for answer in there] == [answer.label for answer in here]
    one = model.predict("memory://pictures-of-predict/circle/0.png")
    assert (one.source, one.label) == ("memory://pictures-of-predict/circle/0.png", "circle")
    with pytest.raises(DataError, match="does not exist"):
        model.predict("memory://nothing-of-predict", verbose=False)
