"""Answering files: order, errors as records, folders and globs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from drawing import DrawFolder

from foveal.bundle import Bundle
from foveal.errors import DataError, MissingExtraError
from foveal.extras import install_extra
from foveal.predict import Predictor
from foveal.predict.files import answer_pictures
from foveal.predict.inputs import expand, read_each
from foveal.types import JsonObject


@pytest.fixture
def predictor(tiny_bundle: Bundle) -> Predictor:
    return Predictor(tiny_bundle, threads=1)


def records_of(
    predictor: Predictor, files: Iterable[str], batch_size: int = 32
) -> Iterator[JsonObject]:
    answers = answer_pictures(predictor, read_each(list(files)), batch_size=batch_size)
    return (answer.record for answer in answers)


def test_every_file_gets_its_answer_in_order(
    predictor: Predictor, draw_folder: DrawFolder, tmp_path: Path
) -> None:
    files = list(expand([draw_folder(tmp_path, n=7)]))
    records = list(records_of(predictor, files, batch_size=4))
    assert [record["source"] for record in records] == files
    assert [record["label"] for record in records] == ["circle"] * 7 + ["square"] * 7


def test_a_broken_picture_yields_its_error_and_the_others_are_answered(
    predictor: Predictor, draw_folder: DrawFolder, tmp_path: Path
) -> None:
    root = draw_folder(tmp_path, n=2)
    (root / "circle" / "0.png").write_bytes(b"no picture")
    records = list(records_of(predictor, expand([root])))
    assert "error" in records[0]
    assert records[0]["error"]["code"] == "image_format"
    assert [record.get("label") for record in records[1:]] == ["circle", "square", "square"]


def test_one_missing_file_yields_an_error_record(predictor: Predictor, tmp_path: Path) -> None:
    records = list(records_of(predictor, [str(tmp_path / "nowhere.png")]))
    assert "nowhere.png" in records[0]["error"]["message"]


def test_a_bundle_that_reads_pages_says_at_once_that_it_needs_opencv(
    tiny_reader: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tiny_reader.manifest
    reads_pages = replace(manifest, pipeline=replace(manifest.pipeline, steps=("grey",)))
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match="needs OpenCV") as caught:
        Predictor(replace(tiny_reader, manifest=reads_pages))
    assert caught.value.hint == install_extra("page")


def test_no_files_give_no_records(predictor: Predictor) -> None:
    assert list(records_of(predictor, [])) == []


def test_a_record_has_the_keys_of_the_contract(
    predictor: Predictor, draw_folder: DrawFolder, tmp_path: Path
) -> None:
    root = draw_folder(tmp_path, n=1)
    record = next(records_of(predictor, [str(root / "circle" / "0.png")]))
    assert set(record) == {
        "label",
        "confidence",
        "unsure",
        "scores",
        "source",
        "model",
        "version",
        "ms",
    }


def test_globs_and_folders_expand_in_order_and_pass_hidden_files_over(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    root = draw_folder(tmp_path, n=2)
    (root / ".hidden.png").write_bytes(b"")
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "a.png").write_bytes(b"")
    by_folder = list(expand([root]))
    assert by_folder == sorted(by_folder)
    assert len(by_folder) == 4
    assert list(expand([str(root / "*" / "1.png")])) == [
        str(root / "circle" / "1.png"),
        str(root / "square" / "1.png"),
    ]


def test_a_folder_without_pictures_and_a_glob_without_matches_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures"):
        list(expand([tmp_path]))
    with pytest.raises(DataError, match="No file matches"):
        list(expand([str(tmp_path / "*.jpg")]))
