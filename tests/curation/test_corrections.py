"""Corrections: their order, what is decided, and how they are merged."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from drawing import draw_shape
from PIL import Image as PILImage

import foveal
from foveal.cli.main import run
from foveal.curation.feedback import Said
from foveal.curation.feedback_folder import FeedbackFolder, Room
from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything
from foveal.errors import DataError, UsageError

SAID = Said(
    "tiny", "abc", "labels", ("circle",), 0.9, False, ("square",), False, "", None, "person"
)
RIGHT = replace(SAID, truth=("circle",), right=True)
UNSURE = replace(SAID, truth=None, right=None, unsure=True, confidence=0.5, origin="unsure")
Keep = Callable[..., int]


def png(seed: int, shape: str = "circle", size: int = 40) -> bytes:
    buffer = io.BytesIO()
    draw_shape(shape, np.random.default_rng(seed), size).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def keep(kept: Path) -> Keep:
    folder = FeedbackFolder(kept, Room(10**9, 10**6, 10**6))

    def one(picture: bytes, said: Said, mask: bytes | None = None) -> int:
        return folder.keep(picture, said, mask)[0]

    return one


def labels_in(data: Path, target: str = "labels") -> dict[str, tuple[str, ...] | None]:
    source = open_source(data, ReadAnything(target=target))  # type: ignore[arg-type]
    return {sample.id: sample.raw for sample in source.samples}


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_wrong_answers_come_first_then_the_least_sure(kept: Path, keep: Keep) -> None:
    pictures = [png(0), png(1, "square"), png(2, "triangle"), png(3, "square", 90)]
    keep(pictures[0], RIGHT)
    keep(pictures[1], UNSURE)
    keep(pictures[2], SAID)
    keep(pictures[3], replace(SAID, confidence=0.6))
    assert [one.id for one in foveal.corrections(kept)] == [4, 3, 2, 1]
    foveal.corrections(kept, reject=[4])
    assert [(one.id, one.state) for one in foveal.corrections(kept)][-1] == (4, "rejected")


def test_near_copies_stand_together_and_contradictions_are_said(kept: Path, keep: Keep) -> None:
    picture = png(0, "square", 64)
    smaller = io.BytesIO()
    PILImage.open(io.BytesIO(picture)).resize((48, 48)).save(smaller, "JPEG", quality=80)
    keep(picture, SAID)
    keep(smaller.getvalue(), SAID)
    keep(picture, replace(RIGHT, by="key00001"))
    keep(png(5, "triangle", 64), SAID)
    found = {one.id: one for one in foveal.corrections(kept)}
    assert {id: set(one.like) for id, one in found.items()} == {
        1: {2, 3},
        2: {1, 3},
        3: {1, 2},
        4: set(),
    }
    assert [id for id in sorted(found) if found[id].contradicted] == [1, 3]
    after = foveal.corrections(kept, accept="all")
    assert sorted(one.id for one in after if one.state == "accepted") == [2, 4]


def test_class_folders_get_each_picture_once(kept: Path, keep: Keep, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for side, count in (("train", 3), ("val", 1)):
        for i in range(count):
            path = data / side / "circle" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(100 + i + 10 * (side == "val")))
    before = tree(data)
    keep(png(1), SAID)
    keep(png(100), RIGHT)  # it is in train/circle already
    keep(png(101), SAID)  # it is there as another class
    keep(png(2), UNSURE)
    foveal.corrections(kept, accept="all")
    foveal.corrections(kept, accept=[4], label="ring")
    merged = foveal.corrections(kept, merge=data).merged
    assert merged is not None
    assert sorted(merged.added) == [1, 4]
    assert merged.already == {2: "train/circle/0.png"}
    assert merged.conflicting == {3: ("train/circle/1.png", ("circle",))}
    assert (data / merged.added[1]).read_bytes() == png(1)
    assert merged.added[1].startswith("train/square/")
    assert merged.added[4].startswith("train/ring/")
    assert merged.new_classes == ("ring", "square")
    after = tree(data)
    assert before.items() <= after.items()
    lines = (data / ".foveal" / "corrections.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [(line["file"], line["label"], line["id"]) for line in told] == [
        (merged.added[1], ["square"], 1),
        (merged.added[4], ["ring"], 4),
    ]
    # Again, and from the beginning: nothing more.
    again = foveal.corrections(kept, merge=data).merged
    assert again is not None
    assert again.added == {}
    (kept / "verdicts.jsonl").unlink()
    foveal.corrections(kept, accept=[1, 2])
    foveal.corrections(kept, merge=data)
    assert tree(data) == after


@pytest.mark.parametrize(
    ("table", "text", "row"),
    [
        ("labels.csv", "image,label\na.png,circle\n", "corrections/{name},square\n"),
        (
            "labels.csv",
            "split;label;file;x\r\nval;circle;a.png;1",
            "\ntrain;square;corrections/{name};\r\n",
        ),
        (
            "labels.jsonl",
            '{"file_name": "a.png", "label": "circle"}\n',
            '{{"file_name": "corrections/{name}", "label": "square"}}\n',
        ),
    ],
)
def test_a_table_gets_a_row(
    kept: Path, keep: Keep, tmp_path: Path, table: str, text: str, row: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.png").write_bytes(png(9))
    (data / table).write_text(text, newline="")
    keep(png(1), SAID)
    foveal.corrections(kept, accept="all", merge=data)
    found = labels_in(data)
    (name,) = set(found) - {"a.png"}
    assert found == {"a.png": ("circle",), name: ("square",)}
    with (data / table).open(newline="") as file:
        assert file.read() == text + row.format(name=Path(name).name)


def test_a_row_that_a_kill_left_out_is_added(kept: Path, keep: Keep, tmp_path: Path) -> None:
    data = tmp_path / "data"
    said = replace(SAID, target="text", answer=("AB",), truth=('A,"B',))
    keep(png(1), said)
    foveal.corrections(kept, accept="all", merge=data)
    whole = tree(data)
    assert labels_in(data, "text") == {next(n for n in whole if n.endswith(".png")): ('A,"B',)}
    (data / "labels.csv").write_text("image,text\n")
    (kept / "verdicts.jsonl").unlink()
    foveal.corrections(kept, accept="all", merge=data)
    assert tree(data) == whole


def test_masks_that_are_right_are_merged_with_the_sets_own_values(
    kept: Path, keep: Keep, tmp_path: Path
) -> None:
    mask = PILImage.new("P", (40, 40))
    mask.putpalette([0, 0, 0, 10, 20, 30])
    mask.paste(1, (5, 5, 20, 20))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    said = replace(RIGHT, target="mask", truth=None, answer=(), classes=("background", "cell"))
    keep(png(1), said, buffer.getvalue())
    keep(png(2), replace(said, right=False, note="cut off", classes=()))
    with pytest.raises(UsageError, match="no corrected mask"):
        foveal.corrections(kept, accept=[2])
    foveal.corrections(kept, accept="all", merge=tmp_path / "new")
    source = open_source(tmp_path / "new", ReadAnything(target="mask"))
    assert source.classes == ("background", "cell")
    np.testing.assert_array_equal(source.mask(source.samples[0]), np.asarray(mask))

    old = tmp_path / "old"
    for folder in ("images", "masks"):
        (old / folder).mkdir(parents=True)
    (old / "images" / "a.png").write_bytes(png(3))
    values = np.zeros((40, 40), np.uint8)
    values[:9] = 7
    PILImage.fromarray(values).save(old / "masks" / "a.png")
    (old / "classes.txt").write_text("0 background\n7 cell\n")
    (kept / "verdicts.jsonl").unlink()
    merged = foveal.corrections(kept, accept="all", merge=old).merged
    assert merged is not None
    (name,) = merged.added.values()
    assert set(np.unique(np.asarray(PILImage.open(old / "masks" / Path(name).name)))) == {0, 7}


def test_texts_are_not_merged_into_pictures_with_masks(
    kept: Path, keep: Keep, tmp_path: Path
) -> None:
    data = tmp_path / "cells"
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
        (data / folder / "a.png").write_bytes(png(3))
    keep(png(1), replace(RIGHT, target="text"))
    with pytest.raises(DataError, match="contains pictures and masks"):
        foveal.corrections(kept, accept="all", merge=data)
    assert sorted(path.name for path in data.iterdir()) == ["images", "masks"]


@pytest.mark.parametrize("odd", ["\u540d" * 86, "__MACOSX", "a:b"])
def test_a_class_that_cannot_be_a_folder_stops_the_merge_before_it_begins(
    kept: Path, keep: Keep, tmp_path: Path, odd: str
) -> None:
    data = tmp_path / "data"
    keep(png(1), SAID)
    keep(png(2), replace(SAID, truth=(odd,)))
    foveal.corrections(kept, accept="all")
    with pytest.raises(DataError, match="of correction 2 cannot be the name of a folder") as caught:
        foveal.corrections(kept, merge=data)
    assert caught.value.hint == "use --accept 2 --label NAME"
    assert not any(path.is_file() for path in data.rglob("*.png"))


@pytest.mark.parametrize(
    ("target", "empty"), [("labels", ""), ("labels", " "), ("labels", "|"), ("text", "")]
)
def test_an_empty_label_is_refused(kept: Path, keep: Keep, target: str, empty: str) -> None:
    keep(png(1), replace(SAID, target=target))
    with pytest.raises(UsageError, match="The label is empty") as caught:
        foveal.corrections(kept, accept=[1], label=empty)
    assert caught.value.hint == "use --accept 1 --label NAME"
    assert next(iter(foveal.corrections(kept))).state == "new"


def test_an_empty_answer_that_was_called_right_is_not_merged(kept: Path, keep: Keep) -> None:
    keep(png(1), replace(SAID, target="text", answer=("",), truth=("",), right=True))
    keep(png(2), replace(SAID, answer=(), truth=(), right=True))
    assert {one.state for one in foveal.corrections(kept, accept="all")} == {"new"}
    with pytest.raises(UsageError, match="does not say what the picture shows"):
        foveal.corrections(kept, accept=[1])


def test_a_merge_of_nothing_does_not_look_at_the_set(
    kept: Path, keep: Keep, tmp_path: Path
) -> None:
    keep(png(1), replace(SAID, target="mask", truth=None, right=False))
    # A set with masks, which a merge of labels would refuse.
    for folder in ("images", "masks"):
        (tmp_path / "cells" / folder).mkdir(parents=True)
        (tmp_path / "cells" / folder / "a.png").write_bytes(png(2))
    merged = foveal.corrections(kept, merge=tmp_path / "cells").merged
    assert merged is not None
    assert (merged.added, merged.already, merged.conflicting) == ({}, {}, {})


def test_what_cannot_be_is_said(kept: Path, keep: Keep, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no feedback"):
        foveal.corrections(kept)
    keep(png(1), UNSURE)
    keep(png(2), SAID)
    for asked, words in (
        ({"accept": [1]}, "does not say what the picture shows"),
        ({"accept": [9]}, "no correction 9"),
        ({"accept": [2], "reject": [2]}, "cannot be both accepted and rejected"),
        ({"label": "ring"}, "--accept|accepted"),
        ({"model": "tny"}, "tiny"),
    ):
        with pytest.raises(UsageError, match=words):
            foveal.corrections(kept, **asked)
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "AB3K.png").write_bytes(png(1))
    keep(png(4), replace(SAID, target="text", truth=("AB",)))
    foveal.corrections(kept, accept=[2, 3])
    with pytest.raises(UsageError, match="labels and text"):
        foveal.corrections(kept, merge=tmp_path / "names")


def test_the_command_lists_accepts_and_merges(
    kept: Path, keep: Keep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(png(1), SAID)
    keep(png(2, "triangle"), replace(RIGHT, note="<script>alert(1)</script>"))

    def ran(*arguments: str) -> str:
        assert run(["corrections", str(kept), *arguments]) == 0
        return capsys.readouterr().out

    first, second = ran("--quiet").splitlines()[1:]
    assert first.split() == ["1", "new", "circle", "90.0", "%", "square"]
    assert "the same" in second
    page = tmp_path / "page.html"
    ran("--report", str(page))
    assert page.read_text().count("<figure>") == 2
    assert "<script>alert" not in page.read_text()
    assert ran("--all", "--quiet") == "2 accepted\n"
    out = ran("--merge", str(tmp_path / "data"), "--quiet")
    assert out == f"2 pictures added to {tmp_path / 'data'}\n"
    keep(png(3), SAID)
    ran("--accept", "3", "--label", "sqare")
    assert "the set had no pictures of 'sqare' before\n" in ran("--merge", str(tmp_path / "data"))
    said = json.loads(ran("--json"))
    assert [one["state"] for one in said["corrections"]] == ["merged", "merged", "merged"]
    assert run(["corrections", str(kept), "--merge", str(tmp_path / "data")]) == 0
    words = capsys.readouterr().err
    assert "nothing is accepted that was not merged before" in words
    assert "foveal train" not in words


@pytest.mark.parametrize(
    "use", [foveal.check, foveal.review, partial(foveal.clean, auto=True), foveal.train]
)
def test_feedback_that_is_not_merged_is_not_taken_for_a_class(
    kept: Path, keep: Keep, use: Callable[..., object]
) -> None:
    keep(png(0), SAID)
    with pytest.raises(
        DataError, match="contains feedback collected by `foveal serve --collect`"
    ) as e:
        use(kept, verbose=False)
    assert e.value.hint == f"foveal corrections {kept} --all --merge DATA, then use DATA"
