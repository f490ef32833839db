"""Files that plausibly hold the labels but are not read."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as PILImage

from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything, TargetKind
from foveal.types import Finding


def unread(root: Path, *names: str, target: TargetKind = "labels") -> list[Finding]:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            PILImage.new("RGB", (2, 2)).save(path)
        else:
            path.write_text("image,label\na.png,cat\n")
    source = open_source(root, ReadAnything(target=target))
    return [found for found in source.findings if found.id == "data.table_not_read"]


@pytest.mark.parametrize("name", ["labels.xlsx", "Ground truth.XLS", "a.ods", "labels.json"])
@pytest.mark.parametrize("picture", ["a.png", "images/a.png"])
def test_a_table_that_cannot_be_read_is_said_where_there_are_no_labels(
    tmp_path: Path, name: str, picture: str
) -> None:
    (found,) = unread(tmp_path, name, picture)
    assert found.message == f"1 table beside the pictures, not read: {name!r}."
    assert found.hint and "labels.csv" in found.hint


def test_a_spreadsheet_beside_pictures_of_texts_is_said(tmp_path: Path) -> None:
    assert unread(tmp_path, "AB3K.png", "labels.xlsx", target="text")


def test_a_spreadsheet_beside_labels_is_not_mentioned(tmp_path: Path) -> None:
    assert not unread(tmp_path / "folders", "cat/a.png", "dog/b.png", "prices.xlsx")
    assert not unread(tmp_path / "table", "a.png", "labels.csv", "labels.xlsx")


def test_json_files_about_single_pictures_are_not_mentioned(tmp_path: Path) -> None:
    assert not unread(tmp_path, "a.png", "a.json")
