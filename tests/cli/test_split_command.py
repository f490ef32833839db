from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from curation.trees import snapshot, write
from discs import DISCS, draw_discs
from PIL import Image as PILImage

import foveal
from foveal.cli.main import run
from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything
from foveal.errors import UsageError

Captured = pytest.CaptureFixture[str]


def noise(path: Path, seed: int, size: tuple[int, int] = (20, 40)) -> None:
    """Write a picture of blotches, unlike those of other seeds."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(pixels).resize(size[::-1], PILImage.Resampling.BICUBIC).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of ten, some of one name in inner folders, and a file that is no picture."""
    for number in range(20):
        label = ("cat", "dog")[number % 2]
        noise(tmp_path / "photos" / label / str(number // 10) / f"{number % 10}.png", number)
    write(tmp_path / "photos/cat/broken.jpg", b"nothing")
    return tmp_path / "photos"


def sides_of(tree: Path) -> dict[str, int]:
    return dict(Counter(path.parts[-3] for path in tree.rglob("*.png")))


def test_class_folders_are_written_for_each_side(photos: Path, capsys: Captured) -> None:
    before = snapshot(photos)
    out = photos.parent / "tree"
    words = ["split", str(photos), "--out", str(out), "--val", "0.2", "--test", "0.1"]
    assert run(words) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "class  train  val  test",
        "cat        7    2     1",
        "dog        7    2     1",
        "all       14    4     2",
        "left out, unreadable or without a label: 1",
    ]
    assert snapshot(photos) == before
    # Every picture once, as it was; equal names do not collide.
    originals = sorted(path.read_bytes() for path in photos.rglob("*.png"))
    assert sorted(path.read_bytes() for path in out.rglob("*.png")) == originals
    assert {path.parent.name for path in out.rglob("*.png")} == {"cat", "dog"}
    source = open_source(out)
    assert Counter(sample.split for sample in source.samples) == {"train": 14, "val": 4, "test": 2}
    # It is never written over.
    assert run(words) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_it_is_there_whole_or_not_at_all(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    out = photos.parent / "tree"
    out.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", _full)
        assert run(["split", str(photos), "--out", str(out)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert sorted(path.name for path in photos.parent.iterdir()) == ["photos"]
    # What a killed process left is replaced.
    write(photos.parent / ".tmp-tree/train/old.png", b"")
    assert foveal.split(photos, out).totals == {"train": 16, "val": 4}
    assert sorted(path.name for path in photos.parent.iterdir()) == ["photos", "tree"]


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("link", ["hard", "symbolic"])
def test_files_may_be_linked(photos: Path, link: str) -> None:
    out = photos.parent / "tree"
    assert run(["split", str(photos), "--out", str(out), "--link", link, "--quiet"]) == 0
    for path in out.rglob("*.png"):
        assert path.is_symlink() is (link == "symbolic")
        assert any(path.samefile(original) for original in photos.rglob("*.png"))
    assert run(["split", str(photos), "--out", f"{out}2", "--link", link, "--size", "8"]) == 2


@pytest.mark.parametrize(("size", "expected"), [("16", (16, 8)), ("99", (40, 20)), ("9x7", (9, 7))])
def test_pictures_are_resized_when_asked(
    photos: Path, size: str, expected: tuple[int, int]
) -> None:
    out = photos.parent / "tree"
    assert run(["split", str(photos), "--out", str(out), "--size", size, "--quiet"]) == 0
    for path in out.rglob("*.png"):
        with PILImage.open(path) as picture:
            assert picture.size == expected


def test_copies_and_groups_stay_together(photos: Path) -> None:
    for number in range(4):
        shutil.copy(photos / "cat/0/0.png", photos / f"cat/copy{number}.png")
    overrides = [r"data.group_regex=dog/(\d)"]
    out = photos.parent / "tree"
    foveal.split(photos, out, val=0.4, overrides=overrides)
    same = (photos / "cat/0/0.png").read_bytes()
    copies = [path for path in out.rglob("*.png") if path.read_bytes() == same]
    assert len(copies) == 5
    assert len({path.parts[-3] for path in copies}) == 1
    group = {path.read_bytes() for path in photos.glob("dog/0/*.png")}
    sides = {path.parts[-3] for path in out.rglob("*.png") if path.read_bytes() in group}
    assert len(sides) == 1
    # Without a look at the pictures, copies may part.
    blind = foveal.split(photos, photos.parent / "blind", look=False)
    assert (blind.left_out, sum(blind.totals.values())) == (0, 25)


def test_archives_and_arrays_are_written_as_files(photos: Path, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in photos.rglob("*.png"):
            archive.write(path, path.relative_to(photos))
    foveal.split(tmp_path / "photos.zip", tmp_path / "tree")
    assert sides_of(tmp_path / "tree") == {"train": 16, "val": 4}
    images = np.random.default_rng(0).integers(0, 256, (10, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(10) % 2)
    foveal.split(tmp_path / "a.npz", tmp_path / "arrays")
    assert sides_of(tmp_path / "arrays") == {"train": 8, "val": 2}
    with pytest.raises(UsageError, match="are not files"):
        foveal.split(tmp_path / "a.npz", tmp_path / "links", link="hard")


def test_texts_and_several_labels_get_a_table_on_each_side(
    tmp_path: Path, capsys: Captured
) -> None:
    rows = ["image,text"]
    for number in range(10):
        noise(tmp_path / f"plates/images/{number}.png", number)
        rows.append(f'{number}.png,"A, {number}"')
    write(tmp_path / "plates/labels.csv", "\n".join(rows).encode())
    words = ["split", str(tmp_path / "plates"), "--out", str(tmp_path / "tree"), "--task", "read"]
    assert run(words) == 0
    assert f"next    foveal train {tmp_path / 'tree'} --task read\n" in capsys.readouterr().err
    found = {}
    for side in ("train", "val"):
        source = open_source(tmp_path / "tree" / side, ReadAnything(target="text"))
        found.update({sample.id: sample.raw for sample in source.samples})
    assert found == {f"{number}.png": (f"A, {number}",) for number in range(10)}
    rows = ["image,label", *(f"{number}.png,{('A|B', 'A')[number % 2]}" for number in range(10))]
    write(tmp_path / "plates/labels.csv", "\n".join(rows).encode())
    report = foveal.split(tmp_path / "plates", tmp_path / "several", task="classify")
    assert report.counts["A"] == {"train": 8, "val": 2}
    assert (tmp_path / "several/val/labels.csv").read_text().startswith("image,label\n")


def test_pictures_with_masks_keep_them(tmp_path: Path) -> None:
    for number in range(6):
        discs = [("red", 20, 20 + number, 8), ("blue", 40, 30, 6 + number)]
        pixels, mask = draw_discs(discs, (60, 80), number)
        colors = np.array([(0, 0, 0), (0, 0, 255), (255, 0, 0)], np.uint8)
        for folder, content in (("images", pixels), ("masks", colors[mask])):
            path = tmp_path / f"cells/{folder}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            PILImage.fromarray(content).save(path)
    write(tmp_path / "cells/classes.txt", b"#000000 background\n#0000ff blue\n#ff0000 red\n")
    foveal.split(tmp_path / "cells", tmp_path / "tree", val=0.34, size=40, task="segment")
    source = open_source(tmp_path / "tree", ReadAnything(target="mask"))
    assert source.classes == DISCS
    assert Counter(sample.split for sample in source.samples) == {"train": 4, "val": 2}
    for sample in source.samples:
        mask = source.mask(sample)
        assert mask.shape == (30, 40)
        assert set(np.unique(mask)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--val", "1"], "Invalid shares"),
        (["--val", "0"], "Invalid shares"),
        (["--val", "0.6", "--test", "0.4"], "Invalid shares"),
        (["--size", "big"], "Invalid --size"),
        (["--size", "0"], "Invalid --size"),
        (["--set", "train.epochs=3"], "no effect on a split"),
    ],
)
def test_what_makes_no_sense_is_refused(
    photos: Path, capsys: Captured, words: list[str], said: str
) -> None:
    assert run(["split", str(photos), "--out", str(photos.parent / "tree"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (photos.parent / "tree").exists()


def test_a_folder_inside_of_the_data_is_refused(photos: Path, capsys: Captured) -> None:
    assert run(["split", str(photos), "--out", str(photos / "tree")]) == 2
    assert "is inside" in capsys.readouterr().err
    assert run(["split", str(photos.parent / "missing"), "--out", str(photos.parent / "t")]) == 3


def test_labels_that_are_no_folder_names_and_pictures_without_labels(
    tmp_path: Path, capsys: Captured
) -> None:
    noise(tmp_path / "data/a.png", 0)
    assert run(["split", str(tmp_path / "data"), "--out", str(tmp_path / "tree")]) == 3
    assert "No picture in" in capsys.readouterr().err
    write(tmp_path / "data/labels.csv", b"image,label\na.png,a/b\n")
    assert run(["split", str(tmp_path / "data"), "--out", str(tmp_path / "tree")]) == 3
    assert "'a/b' cannot be the name of a class folder" in capsys.readouterr().err


def test_json_and_a_notebook_show_the_counts(photos: Path, capsys: Captured) -> None:
    assert run(["split", str(photos), "--out", str(photos.parent / "tree"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["totals"] == {"train": 16, "val": 4}
    assert report["counts"]["cat"] == {"train": 8, "val": 2}
    divided = foveal.split(photos, photos.parent / "other", seed=3)
    assert repr(divided).endswith("train 16, val 4)")
    assert "<td" in divided._repr_html_()
