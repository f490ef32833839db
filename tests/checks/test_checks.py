"""The checks: each finds what it is for, counts it, and is silent otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from foveal.checks import CHECKS, CheckInput, class_balance, run_checks
from foveal.console import NoProgress
from foveal.data.cache import Cache
from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.scan import Scan
from foveal.data.source import Sample
from foveal.pipeline import Pipeline
from foveal.types import Finding

LIMITS = DecodeLimits(max_bytes=1_000_000, max_pixels=1_000_000)


def facts(labels: list[str], sides: list[int] | None = None) -> CheckInput:
    """Return facts about pictures that all look different and have equal sizes."""
    count = len(labels)
    scan = Scan.empty(count)
    scan.ok[:] = True
    scan.sizes[:] = 32
    scan.spread[:] = 50
    rng = np.random.default_rng(0)
    scan.digest[:] = rng.integers(0, 256, scan.digest.shape)
    scan.phash[:] = rng.integers(0, 1 << 63, count)
    samples = tuple(
        Sample(f"{i}.png", tuple(label.split("|")) if label else None)
        for i, label in enumerate(labels)
    )
    split = np.array(sides if sides is not None else [i % 2 for i in range(count)], np.int8)
    return CheckInput(samples, scan, split, near_distance=2)


def check(looked_at: CheckInput, task: str = "classify") -> dict[str, Finding]:
    found = run_checks(looked_at, task=task)
    assert len({finding.id for finding in found}) == len(found)
    return {finding.id: finding for finding in found}


def test_good_data_has_no_findings() -> None:
    assert check(facts(["a", "a", "b", "b"] * 10)) == {}


def test_unreadable_pictures_are_counted_by_kind() -> None:
    looked_at = facts(["a", "a", "b", "b"])
    for i, code in ((3, "image_format"), (1, "image_unreadable")):
        looked_at.scan.ok[i] = False
        looked_at.scan.errors[i] = (code, f"reason {i}")
    found = check(looked_at)["images.unreadable"]
    assert (found.severity, found.count, found.samples) == ("warning", 2, ("1.png", "3.png"))
    assert "2 of 4 pictures (image_format 1, image_unreadable 1)" in found.message
    assert found.message.endswith("the first is 1.png: reason 1")


def test_all_pictures_unreadable_is_an_error() -> None:
    looked_at = facts(["a", "b"])
    looked_at.scan.ok[:] = False
    looked_at.scan.errors.update({0: ("image_format", "x"), 1: ("image_format", "x")})
    assert check(looked_at)["images.unreadable"].severity == "error"


def test_copies_are_counted_and_those_under_two_labels_are_warned_of() -> None:
    looked_at = facts(["a", "a", "a", "b", "b"])
    looked_at.scan.digest[1] = looked_at.scan.digest[0]
    looked_at.scan.digest[4] = looked_at.scan.digest[2]
    found = check(looked_at)
    assert (found["images.near_duplicate"].severity, found["images.near_duplicate"].count) == (
        "info",
        4,
    )
    assert ": 4 pictures in 2 sets." in found["images.near_duplicate"].message
    assert found["images.two_labels"].severity == "warning"
    assert found["images.two_labels"].count == 2
    assert found["images.two_labels"].samples == ("2.png", "4.png")
    assert "2.png and 4.png look the same" in found["images.two_labels"].message


def test_a_finding_counts_the_pictures_that_are_reviewed() -> None:
    looked_at = facts([*"aabbab", "", ""], sides=[0, 1, 0, 0, 1, 1, 0, 1])
    for copy, original in ((1, 0), (3, 2), (4, 2)):
        looked_at.scan.digest[copy] = looked_at.scan.digest[original]
    looked_at.scan.spread[5] = 0
    counts = {
        id: (finding.count, len({suspect.sample for suspect in finding.suspects}))
        for id, finding in check(looked_at).items()
        if finding.suspects
    }
    assert counts == {
        "images.near_duplicate": (5, 5),
        "images.two_labels": (3, 3),
        "images.blank": (1, 1),
    }


def test_the_same_picture_in_two_folders_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("rose", 3), ("tulip", 2)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(count):
            coarse = PILImage.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
            picture = coarse.resize((60, 60), PILImage.Resampling.BICUBIC)
            picture.save(tmp_path / "data" / name / f"{i}.jpg", quality=95)
    copy = PILImage.open(tmp_path / "data" / "rose" / "1.jpg")
    copy.save(tmp_path / "data" / "tulip" / "copy.jpg", quality=70)
    source = open_source(tmp_path / "data")
    cache = Cache.build(
        source, Pipeline(32, 32), tmp_path / "cache", LIMITS, workers=1, progress=NoProgress()
    )
    looked_at = CheckInput(source.samples, cache.scan, np.zeros(6, np.int8), 2)
    assert check(looked_at)["images.two_labels"].samples == ("rose/1.jpg", "tulip/copy.jpg")


def test_blank_pictures_are_counted() -> None:
    looked_at = facts(["a", "a", "b", "b"])
    looked_at.scan.spread[2] = 0
    assert check(looked_at)["images.blank"].samples == ("2.png",)


def test_one_class_is_an_error() -> None:
    found = check(facts(["cat"] * 4))["labels.one_class"]
    assert found.severity == "error"
    assert "'cat'" in found.message
    assert found.hint is not None


def test_a_class_of_one_picture_is_warned_of() -> None:
    found = check(facts(["a", "a", "b", "b", "c"]))["labels.single_picture"]
    assert (found.severity, found.count, found.samples) == ("warning", 1, ("c",))


def test_a_rare_class_is_warned_of() -> None:
    found = check(facts(["a"] * 40 + ["b"] * 4 + ["c"] * 20))["labels.imbalance"]
    assert found.samples == ("b",)
    assert "'a' has 40 pictures, 'b' only 4" in found.message
    assert "labels.imbalance" not in check(facts(["a"] * 39 + ["b"] * 4))


def test_missing_labels_are_counted() -> None:
    assert check(facts(["a", "b", "", "a", "b", ""]))["labels.missing"].count == 2


def test_a_class_that_is_never_held_out_is_warned_of() -> None:
    found = check(facts(["a", "a", "b", "b"], [0, 1, 0, 0]))["labels.not_measured"]
    assert found.samples == ("b",)


def test_checks_of_classes_do_not_judge_texts() -> None:
    assert check(facts(["AB3K", "3KAB", "KBA3", "A3BK"]), task="read") == {}


def test_a_size_that_gives_the_class_away_is_warned_of() -> None:
    looked_at = facts(["tall"] * 50 + ["flat"] * 50)
    looked_at.scan.sizes[:48, 0] = 100
    found = check(looked_at)["data.size_shortcut"]
    # 48 of 50 tall ones and all flat ones; the height alone says it, as does the aspect ratio.
    assert "height" in found.message
    assert "98.0 %" in found.message


def test_sizes_that_say_little_are_no_finding() -> None:
    looked_at = facts(["a", "b"] * 50)
    looked_at.scan.sizes[:60, 0] = 100
    assert "data.size_shortcut" not in check(looked_at)


def test_the_balance_counts_each_label_on_each_side() -> None:
    looked_at = facts(["b", "a|b", "a", ""], [0, 1, 2, -1])
    assert class_balance(looked_at) == {"a": {"val": 1, "test": 1}, "b": {"train": 1, "val": 1}}


def test_findings_come_the_most_severe_first() -> None:
    looked_at = facts(["a", "a", "a"])
    looked_at.scan.digest[1] = looked_at.scan.digest[0]
    severities = [finding.severity for finding in check(looked_at).values()]
    assert severities == ["error", "warning", "info"]


def test_labels_that_are_texts_suggest_reading() -> None:
    texts = [f"AB{i}" for i in range(12)]
    alone = check(facts(texts))["labels.texts"]
    assert alone.severity == "error"
    assert str(alone.hint).endswith("--task read")
    assert check(facts([*texts, "AB1"]))["labels.texts"].severity == "warning"


@pytest.mark.parametrize("labels", [["a", "b"] * 10, [f"c{i}" for i in range(12)] * 3, ["a", "b"]])
def test_classes_are_not_taken_for_texts(labels: list[str]) -> None:
    assert "labels.texts" not in check(facts(labels))


def test_many_classes_of_three_pictures_are_a_finding() -> None:
    found = check(facts([f"class{i}" for i in range(30)] * 3))["labels.few_pictures"]
    assert (found.severity, found.count) == ("warning", 30)
    assert "labels.few_pictures" not in check(facts(["a", "b"] * 5))


def test_equal_pictures_that_are_all_in_two_classes_are_an_error() -> None:
    looked_at = facts(["a", "b", "a", "b"])
    looked_at.scan.digest[1] = looked_at.scan.digest[0]
    looked_at.scan.phash[1] = looked_at.scan.phash[0]
    assert check(looked_at)["images.two_labels"].severity == "warning"
    looked_at.scan.digest[3] = looked_at.scan.digest[2]
    looked_at.scan.phash[3] = looked_at.scan.phash[2]
    assert check(looked_at)["images.two_labels"].severity == "error"


def test_without_a_single_label_there_is_nothing_to_learn() -> None:
    assert check(facts(["", ""]))["labels.missing"].severity == "error"


@pytest.mark.parametrize(("sides", "name"), [([0, 0], "validation"), ([1, 1], "training")])
def test_an_empty_side_of_the_split_is_an_error(sides: list[int], name: str) -> None:
    found = check(facts(["a", "b"], sides=sides))["split.empty_side"]
    assert found.severity == "error"
    assert f"There are no {name} pictures: 2 in all" in found.message


def test_the_shortcut_of_the_signatures_is_noticed(shared_data: Path) -> None:
    source = open_source(shared_data / "signature_text")
    scan = Scan.empty(len(source.samples))
    scan.ok[:] = True
    scan.spread[:] = 50
    for i, sample in enumerate(source.samples):
        scan.digest[i, :4] = np.frombuffer(i.to_bytes(4, "big"), np.uint8)
        scan.phash[i] = i * 0x9E37_79B9_7F4A_7C15 % (1 << 64)
        with PILImage.open(shared_data / "signature_text" / sample.id) as picture:
            scan.sizes[i] = picture.height, picture.width
    looked_at = CheckInput(source.samples, scan, np.zeros(len(source.samples), np.int8), 2)
    found = list(CHECKS["data.size_shortcut"].run(looked_at))
    # The README of the pictures says: height alone about 95 %.
    assert "height alone" in found[0].message
    share = float(found[0].message.split(" % of the pictures")[0].rpartition(" ")[2])
    assert 94 < share < 98


def test_a_picture_without_a_label_is_not_called_unreadable() -> None:
    scan = Scan.empty(2)
    scan.ok[0] = True
    scan.errors[1] = ("unlabelled", "The picture has no mask.")
    samples = (Sample("a.png", ("cell",)), Sample("b.png", None))
    found = CheckInput(samples, scan, np.zeros(2, np.int8), 2, "mask")
    assert list(CHECKS["images.unreadable"].run(found)) == []


def test_masks_of_one_class_are_nothing_to_learn() -> None:
    looked_at = facts(["background"] * 4)
    (found,) = CHECKS["labels.one_class"].run(replace(looked_at, target="mask"))
    assert found.severity == "error" and "'background' alone" in found.message
    assert found.hint == "add pictures whose masks contain a second class"
