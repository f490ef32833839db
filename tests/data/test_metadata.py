"""Hugging Face imagefolders, and tables in the folders of the sides."""

import json
from pathlib import Path

import pytest
from drawing import DrawFolder

from foveal.data.files_source import FileSource, TableLabels
from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything
from foveal.errors import DataError
from foveal.recipe import Recipe, make_recipe
from foveal.workflow.sources import open_for


@pytest.fixture
def folder(tmp_path: Path, draw_folder: DrawFolder) -> Path:
    """Return a folder with `train/0.png` and `1.png`, and `validation/0.png`."""
    for side, count in (("train", 2), ("validation", 1)):
        draw_folder(tmp_path / "drawn" / side, classes=("circle",), n=count)
        (tmp_path / "drawn" / side / "circle").rename(tmp_path / side)
    return tmp_path


def raws(root: Path, **options: str) -> list[tuple[str, object, str | None]]:
    return [(s.id, s.raw, s.split) for s in open_source(root, ReadAnything(**options)).samples]  # type: ignore[arg-type]


def test_tables_of_the_sides_are_relative_to_their_folders(folder: Path) -> None:
    (folder / "train" / "metadata.csv").write_text("file_name,label\n0.png,cat\n1.png,dog\n")
    rows = [{"file_name": "0.png", "label": 7}]
    (folder / "validation" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert raws(folder) == [
        ("train/0.png", ("cat",), "train"),
        ("train/1.png", ("dog",), "train"),
        ("validation/0.png", ("7",), "val"),
    ]
    source = open_source(folder)
    assert source.layout == (
        "3 pictures in train/metadata.csv and validation/metadata.jsonl with 3 labels, "
        "split as given (train 2, val 1)"
    )
    assert source.findings == ()


def test_tables_of_labels_in_the_sides_are_read_too(folder: Path) -> None:
    (folder / "train" / "labels.csv").write_text("image,text\n0.png,A B\n")
    (folder / "validation" / "labels.csv").write_text("image,text\n0.png,C\n../train/1.png,D\n")
    assert raws(folder, target="text") == [
        ("train/0.png", ("A B",), "train"),
        ("validation/0.png", ("C",), "val"),
        ("train/1.png", ("D",), "val"),
    ]


def test_one_table_for_everything_may_state_the_side(folder: Path) -> None:
    table = folder / "metadata.csv"
    table.write_text("file_name,label,split\ntrain/0.png,cat,train\nvalidation/0.png,dog,test\n")
    assert raws(folder) == [
        ("train/0.png", ("cat",), "train"),
        ("validation/0.png", ("dog",), "test"),
    ]
    source = open_source(folder)
    assert isinstance(source, FileSource)
    assert source.labelled_by == TableLabels(("metadata.csv",))
    assert [found.id for found in source.findings] == ["table.unlisted_file"]


def test_the_column_of_the_labels_is_found_or_chosen(folder: Path) -> None:
    table = folder / "metadata.csv"
    table.write_text("file_name,Kind,colour\ntrain/0.png,cat,red\ntrain/1.png,dog,red\n")
    with pytest.raises(DataError, match="no column for the label") as caught:
        open_source(folder)
    assert caught.value.hint == "if the labels are there: --set data.label_column=colour"
    recipe = make_recipe(None, ["data.label_column=kind"], {})
    assert [s.raw for s in open_for(folder, recipe).samples] == [("cat",), ("dog",)]
    by = open_for(folder, recipe).labelled_by  # type: ignore[attr-defined]
    assert by == TableLabels(("metadata.csv",), "kind")
    with pytest.raises(DataError, match=r"Did you mean 'Kind'\? Expected one of: kinds"):
        open_source(folder, ReadAnything(label_column="kinds"))


def test_a_recipe_without_the_column_has_the_digest_that_it_always_had() -> None:
    assert "label_column" not in Recipe().to_dict()["data"]
    assert make_recipe(None, ["data.label_column=a"], {}).to_dict()["data"]["label_column"] == "a"


def test_a_table_about_something_else_beside_class_folders_is_passed_over(
    tmp_path: Path, draw_folder: DrawFolder
) -> None:
    draw_folder(tmp_path, n=2)
    (tmp_path / "metadata.csv").write_text("camera,lens\nA,B\n")
    assert open_source(tmp_path).layout == "4 pictures in 2 class folders"
    with pytest.raises(DataError, match="no column for the image"):
        open_source(tmp_path, ReadAnything(layout="metadata"))


def test_what_is_wrong_is_said(folder: Path) -> None:
    (folder / "train" / "metadata.csv").write_text("file_name,label\ngone.png,cat\n0.png,cat\n")
    source = open_source(folder)
    assert [found.id for found in source.findings] == ["table.missing_file", "table.unlisted_file"]
    assert source.findings[0].samples == ("gone.png",)
    (folder / "train" / "labels.csv").write_text("image,label\n0.png,cat\n")
    with pytest.raises(DataError, match=r"contains train/.*Expected one table"):
        open_source(folder)
    (folder / "train" / "labels.csv").unlink()
    (folder / "train" / "metadata.csv").write_text("file_name,label\nno.png,cat\n")
    with pytest.raises(DataError, match=r"None of the pictures in train/metadata.csv exists"):
        open_source(folder)
