from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from curation.trees import journal_of, snapshot, write
from PIL import Image as PILImage

from foveal.curation.plan import Change, Plan, make_plan
from foveal.data.files_source import FileSource
from foveal.data.layouts import open_source
from foveal.data.source import ReadAnything, TargetKind
from foveal.errors import DataError


def picture(path: Path, grey: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(np.full((6, 6), grey, np.uint8)).save(path)


def quarantine(sample: str) -> Change:
    return Change(sample, "quarantine", None, "of no use", None)


def relabel(sample: str, label: str) -> Change:
    return Change(sample, "relabel", label, "decided", None)


def planned(
    data: Path,
    changes: Sequence[Change],
    target: TargetKind = "labels",
    label_regex: str | None = None,
) -> Plan:
    options = ReadAnything(target=target, label_regex=label_regex)
    source = open_source(data, options)
    assert isinstance(source, FileSource)
    folder = data if data.is_dir() else data.parent
    return make_plan(source, folder, target, changes)


def edited(plan: Plan, data: Path) -> bytes:
    """Return the new content of the first file that is edited."""
    edit = plan.edits[0]
    return edit.make((data / edit.name).read_bytes())


def moved(plan: Plan) -> dict[str, str]:
    return {move.source: move.target for move in plan.moves}


def cleaned(data: Path, plan: Plan) -> None:
    """Apply a plan; undoing it is tried too."""
    before = snapshot(data)
    (data / ".foveal").mkdir(exist_ok=True)
    journal = journal_of(data)
    with journal.alone():
        journal.apply({}, plan.moves, plan.edits)
        journal.undo()
        assert snapshot(data) == before
        journal.apply({}, plan.moves, plan.edits)


def test_class_folders_keep_sides_and_inner_folders(tmp_path: Path) -> None:
    for name in ("train/cat/a.png", "train/dog/b.png", "val/cat/deep/c.png", "val/dog/d.png"):
        picture(tmp_path / name)
    plan = planned(tmp_path, [relabel("val/cat/deep/c.png", "dog"), quarantine("train/cat/a.png")])
    assert moved(plan) == {
        "val/cat/deep/c.png": "val/dog/deep/c.png",
        "train/cat/a.png": ".foveal/quarantine/train/cat/a.png",
    }
    assert [change.was for change in plan.changes] == ["cat", "cat"]
    cleaned(tmp_path, plan)
    source = open_source(tmp_path)
    labels = {(sample.id, sample.raw) for sample in source.samples}
    assert ("val/dog/deep/c.png", ("dog",)) in labels


def test_what_belongs_to_a_picture_goes_with_it_and_taken_names_get_a_number(
    tmp_path: Path,
) -> None:
    for name in ("cat/a.png", "dog/A.png", "cat/b.png", "cat/b.jpg", "dog/c.png"):
        picture(tmp_path / name)
    for name in ("cat/a.json", "cat/a.txt", "cat/b.txt", "dog/a-2.txt", "cat/ab.txt"):
        write(tmp_path / name, b"{}")
    # b.txt may be of b.png or b.jpg, and a-2 is taken.
    plan = planned(tmp_path, [relabel("cat/a.png", "dog"), relabel("cat/b.png", "dog")])
    assert moved(plan) == {
        "cat/a.png": "dog/a-3.png",
        "cat/a.json": "dog/a-3.json",
        "cat/a.txt": "dog/a-3.txt",
        "cat/b.png": "dog/b.png",
    }
    cleaned(tmp_path, plan)


def test_two_pictures_of_one_name_do_not_meet_in_the_quarantine(tmp_path: Path) -> None:
    picture(tmp_path / "cat/a.png")
    picture(tmp_path / "dog/b.png")
    cleaned(tmp_path, planned(tmp_path, [quarantine("cat/a.png")]))
    picture(tmp_path / "cat/a.png", 255)
    cleaned_again = planned(tmp_path, [quarantine("cat/a.png")])
    assert moved(cleaned_again) == {"cat/a.png": ".foveal/quarantine/cat/a-2.png"}


def test_a_table_is_edited_and_its_pictures_are_moved(tmp_path: Path) -> None:
    for name in ("images/a.png", "images/b.png", "images/c.png"):
        picture(tmp_path / name)
    table = b'\xef\xbb\xbfimage;label;note\r\na.png;cat;"x;y"\r\nb.png;dog;\r\nc.png;cat;1\r\n'
    write(tmp_path / "labels.csv", table)
    plan = planned(tmp_path, [relabel("images/a.png", "dog"), quarantine("images/b.png")])
    assert moved(plan) == {"images/b.png": ".foveal/quarantine/images/b.png"}
    cleaned(tmp_path, plan)
    assert (tmp_path / "labels.csv").read_bytes() == (
        b'\xef\xbb\xbfimage;label;note\r\na.png;dog;"x;y"\r\nc.png;cat;1\r\n'
    )
    # The same, where the table is what is given.
    again = planned(tmp_path / "labels.csv", [relabel("images/c.png", "cow|dog")])
    assert b"c.png;cow|dog;1" in edited(again, tmp_path)


def test_a_text_in_a_list_and_in_a_name_is_corrected(tmp_path: Path) -> None:
    picture(tmp_path / "list/a.png")
    write(tmp_path / "list/labels.txt", b"a.png one two\n")
    plan = planned(tmp_path / "list", [relabel("a.png", "one three")], "text")
    assert edited(plan, tmp_path / "list") == b"a.png one three\n"
    for name in ("AB3K_17.png", "X.png", "Y.png"):
        picture(tmp_path / "names" / name)
    changes = [relabel("AB3K_17.png", "AB3X"), relabel("X.png", "Y"), relabel("Y.png", "a/b")]
    plan = planned(tmp_path / "names", changes, "text")
    assert moved(plan) == {"AB3K_17.png": "AB3X_17.png", "X.png": "Y_2.png"}
    assert plan.passed_over == {"'a/b' cannot be in the name of a file": ("Y.png",)}


def test_a_label_that_an_expression_finds_in_the_name_is_corrected(tmp_path: Path) -> None:
    for name in ("2024-cat-1.png", "2024-dog-2.png"):
        picture(tmp_path / name)
    regex = r"-([a-z]+)-"
    changes = [relabel("2024-cat-1.png", "dog"), relabel("2024-dog-2.png", "d0g")]
    plan = planned(tmp_path, changes, label_regex=regex)
    assert moved(plan) == {"2024-cat-1.png": "2024-dog-1.png"}
    assert plan.passed_over == {"'d0g' would not be found in the name again": ("2024-dog-2.png",)}


def test_a_mask_goes_with_its_picture(tmp_path: Path) -> None:
    for stem in "ab":
        picture(tmp_path / f"images/{stem}.png")
        picture(tmp_path / f"masks/{stem}_mask.png", 255)
    plan = planned(tmp_path, [quarantine("images/a.png"), relabel("images/b.png", "x")], "mask")
    assert moved(plan) == {
        "images/a.png": ".foveal/quarantine/images/a.png",
        "masks/a_mask.png": ".foveal/quarantine/masks/a_mask.png",
    }
    assert plan.passed_over == {"masks, which have no label to change": ("images/b.png",)}
    cleaned(tmp_path, plan)


def test_shapes_of_one_picture_go_with_it(tmp_path: Path) -> None:
    shapes = {
        "imagePath": "a.png",
        "imageWidth": 6,
        "imageHeight": 6,
        "shapes": [{"label": "x", "shape_type": "polygon", "points": [[0, 0], [5, 0], [5, 5]]}],
    }
    for stem in "ab":
        picture(tmp_path / f"{stem}.png")
        write(tmp_path / f"{stem}.json", json.dumps(shapes).encode())
    plan = planned(tmp_path, [quarantine("a.png")], "mask")
    assert moved(plan) == {
        "a.png": ".foveal/quarantine/a.png",
        "a.json": ".foveal/quarantine/a.json",
    }


def test_what_is_gone_or_as_decided_or_behind_a_link_is_passed_over(tmp_path: Path) -> None:
    data = tmp_path / "data"
    picture(data / "cat/a.png")
    picture(data / "dog/b.png")
    picture(tmp_path / "elsewhere/c.png")
    (data / "bird").symlink_to("../elsewhere")
    (data / "cow").symlink_to("dog")
    changes = [
        quarantine("cat/gone.png"),
        relabel("cat/a.png", "cat"),
        quarantine("bird/c.png"),
        relabel("cow/b.png", "cat"),
        relabel("dog/b.png", ".hidden"),
    ]
    plan = planned(data, changes)
    assert plan.moves == ()
    assert plan.passed_over == {
        "no longer there": ("cat/gone.png",),
        "already labelled this way": ("cat/a.png",),
        "outside the folder, or behind a link": ("bird/c.png", "cow/b.png"),
        "'.hidden' cannot be the name of a folder": ("dog/b.png",),
    }


def test_a_picture_elsewhere_that_a_table_names_is_relabelled_and_not_moved(
    tmp_path: Path,
) -> None:
    picture(tmp_path / "elsewhere.png")
    picture(tmp_path / "data/a.png")
    write(tmp_path / "data/labels.csv", b"image,label\n../elsewhere.png,cat\na.png,cat\n")
    data = tmp_path / "data"
    assert edited(planned(data, [relabel("../elsewhere.png", "dog")]), data) == (
        b"image,label\n../elsewhere.png,dog\na.png,cat\n"
    )
    plan = planned(data, [quarantine("../elsewhere.png")])
    assert plan.moves == plan.edits == ()


def test_pictures_without_labels_have_no_place_for_one(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    plan = planned(tmp_path, [relabel("a.png", "cat")])
    assert list(plan.passed_over.values()) == [("a.png",)]


def test_a_label_that_a_table_cannot_hold_is_an_error(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    write(tmp_path / "labels.txt", b"a.png x\n")
    with pytest.raises(DataError, match="cannot be edited"):
        planned(tmp_path, [relabel("a.png", "x\ny")], "text")


def test_a_table_that_changed_since_it_was_read_is_not_overwritten(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    write(tmp_path / "labels.csv", b"image,label\na.png,x\n")
    plan = planned(tmp_path, [relabel("a.png", "y")])
    write(tmp_path / "labels.csv", b"image,label\na.png,z\n")
    with pytest.raises(DataError, match="changed in the meantime"):
        edited(plan, tmp_path)


def test_tables_of_the_sides_are_edited_each_in_its_own_column(tmp_path: Path) -> None:
    for name in ("train/a.png", "train/b.png", "val/a.png"):
        picture(tmp_path / name)
    write(tmp_path / "train/metadata.csv", b"file_name,Kind\na.png,cat\nb.png,cat\n")
    write(tmp_path / "val/metadata.csv", b"file_name,Kind\na.png,cat\n")
    source = open_source(tmp_path, ReadAnything(label_column="kind"))
    assert isinstance(source, FileSource)
    changes = [relabel("train/a.png", "dog"), quarantine("train/b.png")]
    plan = make_plan(source, tmp_path, "labels", changes)
    assert [edit.name for edit in plan.edits] == ["train/metadata.csv"]
    assert edited(plan, tmp_path) == b"file_name,Kind\na.png,dog\n"


COCO = """{"info": {"year": 2026},
  "annotations": [
    {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [[1, 1, 4, 1, 4, 4]]},
    {"id": 2, "image_id": 8, "category_id": 3, "segmentation": [[1.50, 1, 4, 1, 4, 4]]},
    {"id": 3, "image_id": 7, "category_id": 3, "segmentation": [[2, 2, 5, 2, 5, 5]]}
  ],
  "images": [
    {"id": 7, "file_name": "a.png", "width": 6, "height": 6},
    {"id": 8, "file_name": "b.png", "width": 6, "height": 6, "note": "\\u00fc ü"}
  ],
  "categories": [{"id": 3, "name": "thing"}]}
"""


@pytest.mark.parametrize("name", ["instances.json", "images/a.json"])
def test_a_coco_file_no_longer_lists_a_picture(tmp_path: Path, name: str) -> None:
    for file in ("images/a.png", "images/b.png"):
        picture(tmp_path / file)
    write(tmp_path / name, COCO.encode())
    plan = planned(tmp_path, [quarantine("images/a.png")], "mask")
    assert moved(plan) == {"images/a.png": ".foveal/quarantine/images/a.png"}
    kept = [line for number, line in enumerate(COCO.splitlines()) if number not in (2, 4, 7)]
    # The comma before the last element that was left out goes with it.
    kept[2] = kept[2].removesuffix(",")
    assert edited(plan, tmp_path).decode() == "\n".join(kept) + "\n"
    cleaned(tmp_path, plan)
    source = open_source(tmp_path, ReadAnything(target="mask"))
    assert [sample.id for sample in source.samples] == ["images/b.png"]
    assert not source.findings


def test_a_coco_file_without_its_last_picture_is_still_json(tmp_path: Path) -> None:
    for file in ("a.png", "b.png"):
        picture(tmp_path / file)
    write(tmp_path / "shapes.json", b"\xef\xbb\xbf" + COCO.replace("\n", "").encode())
    plan = planned(tmp_path, [quarantine("b.png"), quarantine("a.png")], "mask")
    content = edited(plan, tmp_path)
    assert content.startswith(b"\xef\xbb\xbf")
    left = json.loads(content.decode("utf-8-sig"))
    assert (left["images"], left["annotations"]) == ([], [])
    assert left["categories"] == [{"id": 3, "name": "thing"}]
