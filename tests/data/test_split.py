"""The split: what belongs together stays together, every label gets its share, order is nothing."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal.data.scan import Scan
from foveal.data.source import Sample
from foveal.data.split import assign_folds, assign_splits
from foveal.data.split_csv import read_split_csv, write_split_csv
from foveal.errors import DataError
from foveal.types import Finding, RawTarget, SplitName


@dataclass(frozen=True)
class Shares:
    val_share: float = 0.2
    test_share: float = 0.0


def scan_for(contents: list[int], looks: list[int] | None = None) -> Scan:
    """Return a scan: equal contents are byte-equal, equal looks are near-duplicates (0 is none)."""
    count = len(contents)
    scan = Scan.empty(count)
    scan.ok[:] = True
    for i, content in enumerate(contents):
        scan.digest[i] = np.frombuffer(int(content).to_bytes(16, "big"), np.uint8)
    for i, look in enumerate(looks or []):
        if look:
            scan.phash[i] = look * 0x0123_4567_89AB_CDEF % (1 << 64)
            scan.spread[i] = 50
            scan.thumb[i] = np.random.default_rng(look).integers(0, 256, (16, 16), np.uint8)
    return scan


def samples_for(labels: list[str], groups: list[str | None] | None = None) -> list[Sample]:
    return [
        Sample(
            f"{i}.png",
            tuple(label.split("|")) if label else None,
            None,
            groups[i] if groups else None,
        )
        for i, label in enumerate(labels)
    ]


def split(
    samples: list[Sample], scan: Scan | None = None, shares: Shares | None = None, seed: int = 0
) -> tuple[NDArray[np.int8], list[Finding]]:
    return assign_splits(
        samples,
        scan or scan_for(list(range(len(samples)))),
        shares or Shares(),
        seed=seed,
        near_distance=2,
    )


def counts(samples: list[Sample], sides: NDArray[np.int8], label: str) -> list[int]:
    has = np.array([label in (sample.raw or ()) for sample in samples])
    return [int((sides[has] == side).sum()) for side in (0, 1, 2)]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=60),
    st.floats(0.05, 0.5),
    st.one_of(st.just(0.0), st.floats(0.05, 0.3)),
    st.integers(0, 99),
)
def test_every_label_gets_its_share_to_the_nearest_picture(
    labels: list[str], val: float, test: float, seed: int
) -> None:
    samples = samples_for(labels)
    sides, findings = split(samples, shares=Shares(val, test), seed=seed)
    assert findings == []
    for label in set(labels):
        total = labels.count(label)
        in_train, in_val, in_test = counts(samples, sides, label)
        assert in_train + in_val + in_test == total
        assert in_train >= 1
        assert abs(in_val - val * total) < 1 or in_train == 1
        assert abs(in_test - test * total) < 1 or in_train == 1
        assert in_val >= 1 or total == 1


def described(seed: int, count: int) -> tuple[list[str], list[str | None], list[int], list[int]]:
    rng = np.random.default_rng(seed)
    labels = [str(v) for v in rng.choice(["a", "b", "c", "a|b", ""], count)]
    groups = [str(v) or None for v in rng.choice(["", "", "g1", "g2", "g3", "g4"], count)]
    contents = [int(v) for v in rng.integers(0, max(1, 2 * count), count)]
    # Byte-equal pictures look the same.
    look_of = rng.choice([0, 0, 0, 1, 2, 3, 4], 2 * count)
    looks = [int(look_of[content]) for content in contents]
    return labels, groups, contents, looks


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 50), st.integers(0, 3))
def test_what_belongs_together_stays_together(seed: int, count: int, split_seed: int) -> None:
    labels, groups, contents, looks = described(seed, count)
    samples = samples_for(labels, groups)
    sides, _ = split(samples, scan_for(contents, looks), Shares(0.3, 0.1), split_seed)
    used = [i for i in range(count) if labels[i]]
    assert all((sides[i] >= 0) == bool(labels[i]) for i in range(count))
    for keys in (groups, contents, looks):
        is_key = {key for key in keys if key is not None and (keys is contents or key != 0)}
        for key in is_key:
            assert len({int(sides[i]) for i in used if keys[i] == key}) <= 1


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 50), st.randoms(use_true_random=False))
def test_neither_order_nor_names_matter(seed: int, count: int, random: object) -> None:
    labels, groups, contents, _ = described(seed, count)
    # Of byte-equal pictures it cannot matter which is which, so each is there once.
    contents = list(range(count))
    samples = samples_for(labels, groups)
    sides, _ = split(samples, scan_for(contents))
    order = np.random.default_rng(seed).permutation(count)
    shuffled = [replace(samples[i], id=f"renamed{i}.png") for i in order]
    again, _ = split(shuffled, scan_for([contents[i] for i in order]))
    np.testing.assert_array_equal(again, sides[order])


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    samples = samples_for(["a", "b"] * 50)
    first, again, other = (split(samples, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_unreadable_and_unlabelled_samples_are_unused() -> None:
    samples = samples_for(["a", "", "b", "a", "b"])
    scan = scan_for(list(range(5)))
    scan.ok[2] = False
    sides, _ = split(samples, scan)
    assert sides[1] == sides[2] == -1
    assert (sides[[0, 3, 4]] >= 0).all()


def test_no_samples_give_an_empty_split() -> None:
    assert split([])[0].shape == (0,)


def test_a_class_of_one_is_trained_on_and_one_of_two_is_held_out() -> None:
    samples = samples_for(["a", "b", "b"])
    sides, _ = split(samples)
    assert counts(samples, sides, "a") == [1, 0, 0]
    assert counts(samples, sides, "b") == [1, 1, 0]


def test_groups_are_dealt_out_so_that_shares_are_met_as_well_as_they_can_be() -> None:
    # Ten writers of ten pages each, half of each label.
    labels = ["a", "b"] * 50
    groups: list[str | None] = [f"w{i // 10}" for i in range(100)]
    samples = samples_for(labels, groups)
    sides, _ = split(samples)
    assert counts(samples, sides, "a") == [40, 10, 0]
    assert counts(samples, sides, "b") == [40, 10, 0]


def test_two_large_groups_are_one_to_train_on_and_one_to_measure() -> None:
    samples = samples_for(["a"] * 20, ["x"] * 10 + ["y"] * 10)
    assert sorted(counts(samples, split(samples)[0], "a")) == [0, 10, 10]


def test_labels_that_come_together_get_their_shares() -> None:
    raws = ["a", "b", "a|b", "c", "a|c"] * 40
    samples = samples_for(raws)
    sides, _ = split(samples)
    for label in "abc":
        total = sum(label in raw.split("|") for raw in raws)
        assert abs(counts(samples, sides, label)[1] - 0.2 * total) <= 1


def given_sides(*sides: SplitName | None, raw: RawTarget = ("a",)) -> list[Sample]:
    return [Sample(f"{i}.png", raw, side) for i, side in enumerate(sides)]


def test_a_given_split_is_kept() -> None:
    samples = given_sides("train", "val", "test", "train", "val")
    sides, findings = split(samples, shares=Shares(0.5, 0.3))
    assert sides.tolist() == [0, 1, 2, 0, 1]
    assert findings == []


def test_a_given_split_without_validation_gives_some_of_its_training_pictures() -> None:
    samples = given_sides(*(["train"] * 10), *(["test"] * 4))
    sides, findings = split(samples)
    assert sides[10:].tolist() == [2] * 4
    assert sorted(sides[:10].tolist()) == [0] * 8 + [1] * 2
    assert [f.id for f in findings] == ["split.no_validation"]


def test_byte_equal_pictures_on_two_given_sides_are_a_leak() -> None:
    samples = given_sides("train", "val", "train", "val")
    sides, findings = split(samples, scan_for([5, 5, 6, 7]))
    assert sides.tolist() == [0, 1, 0, 1]
    (leak,) = findings
    assert (leak.id, leak.count, leak.samples) == ("split.leak", 2, ("0.png", "1.png"))
    assert "1 of byte-equal pictures" in leak.message


def test_near_duplicates_and_groups_on_two_given_sides_are_leaks() -> None:
    samples = [
        *given_sides("train", "val"),
        Sample("2.png", ("a",), "train", "g"),
        Sample("3.png", ("a",), "test", "g"),
    ]
    _, findings = split(samples, scan_for([1, 2, 3, 4], [1, 1, 0, 0]))
    assert "1 of near-duplicates, 1 of one group" in findings[0].message
    assert findings[0].count == 4


def test_a_copy_of_a_held_out_picture_is_not_trained_on() -> None:
    samples = given_sides("test", None, "train", None, "val")
    sides, findings = split(samples, scan_for([1, 1, 2, 3, 4]))
    assert sides.tolist() == [2, 2, 0, 0, 1]
    assert findings == []


def test_validation_pictures_are_not_taken_from_copies_of_test_pictures() -> None:
    samples = given_sides("train", "train", "train", "test")
    sides, findings = split(samples, scan_for([1, 2, 3, 1]), Shares(0.5))
    assert sides[[0, 3]].tolist() == [0, 2]
    assert sorted(sides[[1, 2]].tolist()) == [0, 1]
    assert [f.id for f in findings] == ["split.leak", "split.no_validation"]


def test_a_search_cut_short_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveal.data.near.MAX_EFFORT", 0)
    _, findings = split(samples_for(["a"] * 3), scan_for([1, 2, 3], [1, 1, 1]))
    assert [f.id for f in findings] == ["split.search_cut_short"]


def test_a_split_is_written_and_read(tmp_path: Path) -> None:
    samples = samples_for(["a", "b|c", "", "a"])
    sides = np.array([0, 1, -1, 2], np.int8)
    write_split_csv(tmp_path / "split.csv", samples, sides)
    assert (tmp_path / "split.csv").read_text().splitlines() == [
        "image,label,split",
        "0.png,a,train",
        "1.png,b|c,val",
        "2.png,,",
        "3.png,a,test",
    ]
    read, folds = read_split_csv(tmp_path / "split.csv", samples)
    np.testing.assert_array_equal(read, sides)
    assert folds is None
    assert [p.name for p in tmp_path.iterdir()] == ["split.csv"]


def test_a_split_of_other_samples_is_refused(tmp_path: Path) -> None:
    samples = samples_for(["a", "b"])
    write_split_csv(tmp_path / "split.csv", samples, np.zeros(2, np.int8))
    with pytest.raises(DataError, match="had 2 pictures and has 1 now"):
        read_split_csv(tmp_path / "split.csv", samples[:1])


@pytest.mark.parametrize("text", ["", "image,label,split\n1.png,a,holdout\n", "nonsense\n1\n"])
def test_a_file_that_is_no_split_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(DataError, match=r"split.csv"):
        read_split_csv(tmp_path / "split.csv", samples_for(["a"]))


def fold_of(
    samples: list[Sample], scan: Scan | None = None, folds: int = 4, seed: int = 0
) -> NDArray[np.int8]:
    usable = np.array([sample.raw is not None for sample in samples], bool)
    return assign_folds(
        samples,
        scan or scan_for(list(range(len(samples)))),
        np.flatnonzero(usable),
        folds,
        seed=seed,
        near_distance=2,
    )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(20, 60), st.integers(0, 3))
def test_folds_are_complete_and_what_belongs_together_shares_one(
    content_seed: int, count: int, seed: int
) -> None:
    _, groups, contents, looks = described(content_seed, count)
    linking = (groups, contents, [look or None for look in looks])
    # Everything may be linked with everything by chance.
    assume(len(linked(linking, count)) > 1)
    fold = fold_of(
        samples_for(["a"] * count, groups), scan_for(contents, looks), folds=2, seed=seed
    )
    assert set(fold.tolist()) == {0, 1}
    for members in linked(linking, count):
        assert len(set(fold[list(members)].tolist())) == 1


def linked(linking: Sequence[Sequence[Hashable]], count: int) -> list[set[int]]:
    """Return the sets of samples that are linked by equal keys, which may be None."""
    sets = [{i} for i in range(count)]
    for keys in linking:
        for key in set(keys) - {None}:
            own = {i for i in range(count) if keys[i] == key}
            sets = [s for s in sets if not s & own] + [own.union(*(s for s in sets if s & own))]
    return sets


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from("ab"), min_size=4, max_size=40), st.integers(2, 5))
def test_single_pictures_of_a_label_are_spread_to_within_one(labels: list[str], folds: int) -> None:
    labels = [*labels, *"ababababab"]
    fold = fold_of(samples_for(labels), folds=folds).tolist()
    for kept in ("a", "b", "ab"):
        own = [k for k, label in zip(fold, labels, strict=True) if label in kept]
        sizes = [own.count(k) for k in range(folds)]
        assert max(sizes) - min(sizes) <= (1 if kept != "ab" else 2)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_folds_depend_on_the_content_and_the_seed_alone(seed: int, random: Any) -> None:
    order = list(range(30))
    random.shuffle(order)
    labels = ["ab"[i % 2] for i in range(30)]
    first = fold_of(samples_for(labels), scan_for(order_of(range(30))), seed=seed)
    shuffled = fold_of(
        samples_for([labels[i] for i in order]), scan_for(order_of(order)), seed=seed
    )
    assert [int(first[i]) for i in order] == shuffled.tolist()
    other = fold_of(samples_for(labels), scan_for(order_of(range(30))), seed=seed + 1)
    assert other.tolist() != first.tolist()


def order_of(places: Iterable[int]) -> list[int]:
    return [1000 + i for i in places]


def test_samples_outside_have_no_fold() -> None:
    fold = fold_of(samples_for(["a", "", "a", "a", "", "a"]), folds=2)
    assert (fold == -1).tolist() == [False, True, False, False, True, False]


@pytest.mark.parametrize(
    ("labels", "groups", "hint"),
    [
        # Three of b, for four folds.
        (["a"] * 9 + ["b"] * 3, None, "use --folds 3"),
        (["a"] * 9 + ["b"], None, "add pictures, or train without --folds"),
        # Nine pictures of b, but of two groups.
        (["a"] * 9 + ["b"] * 9, [None] * 9 + ["x"] * 4 + ["y"] * 5, "use --folds 2"),
    ],
)
def test_a_label_that_is_too_rare_for_the_folds_is_named(
    labels: list[str], groups: list[str | None] | None, hint: str
) -> None:
    with pytest.raises(DataError, match="into 4 folds: 'b' has only") as caught:
        fold_of(samples_for(labels, groups))
    assert caught.value.hint == hint


def test_folds_are_written_beside_the_split_and_read(tmp_path: Path) -> None:
    samples = samples_for(["a", "b", "", "a"])
    path = tmp_path / "split.csv"
    split = np.array([0, 0, -1, 2], np.int8)
    fold = np.array([1, 0, -1, -1], np.int8)
    write_split_csv(path, samples, split, fold)
    assert path.read_text().splitlines()[:2] == ["image,label,split,fold", "0.png,a,train,2"]
    sides, folds = read_split_csv(path, samples)
    assert sides.tolist() == split.tolist()
    assert folds is not None
    assert folds.tolist() == fold.tolist()
