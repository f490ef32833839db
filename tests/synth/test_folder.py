import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from foveal.errors import UsageError
from foveal.synth import CAPTCHA, KINDS, LETTERS, write_folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.*"))}


def test_every_class_gets_equally_many_pictures(tmp_path: Path) -> None:
    write_folder(LETTERS, tmp_path / "drawn", count=52, seed=0, workers=1)

    classes = sorted(p.name for p in (tmp_path / "drawn").iterdir())
    assert "".join(classes) == "abcdefghijklmnopqrstuvwxyz"
    assert {len(list(p.iterdir())) for p in (tmp_path / "drawn").iterdir()} == {2}


def test_texts_stand_in_a_table_beside_their_pictures(tmp_path: Path) -> None:
    write_folder(CAPTCHA, tmp_path / "drawn", count=3, seed=5, workers=1)

    with (tmp_path / "drawn" / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"images/00000{i}.png" for i in range(3)]
    assert [(row["text"],) for row in rows] == [CAPTCHA.target(5, i) for i in range(3)]
    stored = np.asarray(PILImage.open(tmp_path / "drawn" / "images" / "000002.png"))
    assert np.array_equal(stored, CAPTCHA.prepared().draw(5, 2).pixels)


@pytest.mark.parametrize("name", ["letters", "captcha"])
def test_the_same_seed_draws_the_same_bytes(name: str, tmp_path: Path) -> None:
    for folder, seed in (("first", 7), ("again", 7), ("other", 8)):
        write_folder(KINDS[name], tmp_path / folder, count=12, seed=seed, workers=1)

    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "again")
    assert bytes_of(tmp_path / "first") != bytes_of(tmp_path / "other")


def test_more_pictures_begin_with_the_fewer_ones(tmp_path: Path) -> None:
    few_letters = replace(LETTERS, characters="abc")
    write_folder(few_letters, tmp_path / "few", count=4, seed=0, workers=1)
    write_folder(few_letters, tmp_path / "many", count=9, seed=0, workers=1)

    few, many = bytes_of(tmp_path / "few"), bytes_of(tmp_path / "many")
    assert len(many) == 9
    assert {name: many[name] for name in few} == few


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")

    with pytest.raises(UsageError, match="not an empty folder"):
        write_folder(LETTERS, tmp_path, count=26, seed=0, workers=1)

    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_count_of_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="count"):
        write_folder(LETTERS, tmp_path / "drawn", count=0, seed=0, workers=1)
    assert not (tmp_path / "drawn").exists()
