"""The split of texts: by length, fast however many, and only true copies stay together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal.data.near import together
from foveal.data.scan import Scan
from foveal.data.source import Sample
from foveal.data.split import assign_splits
from foveal.data.texts import length_strata


@dataclass(frozen=True)
class Shares:
    val_share: float = 0.2
    test_share: float = 0.0


def scan_for(count: int, *, same_look: bool = False) -> Scan:
    """Return a scan of pictures whose bytes all differ, and whose looks do or do not."""
    rng = np.random.default_rng(0)
    scan = Scan.empty(count)
    scan.ok[:] = True
    scan.spread[:] = 50
    scan.digest[:, :8] = np.arange(count, dtype=np.int64)[:, None].view(np.uint8)
    if same_look:
        scan.thumb[:] = rng.integers(0, 256, (16, 16), np.uint8)
    else:
        scan.phash[:] = rng.integers(0, 1 << 63, count)
    return scan


def samples_for(texts: list[str]) -> list[Sample]:
    return [Sample(f"{i}.png", (text,) if text else None) for i, text in enumerate(texts)]


def split(texts: list[str], scan: Scan | None = None, seed: int = 0) -> NDArray[np.int8]:
    sides, findings = assign_splits(
        samples_for(texts),
        scan or scan_for(len(texts)),
        Shares(),
        seed=seed,
        near_distance=2,
        target="text",
    )
    assert findings == []
    return sides


def test_distinct_texts_are_dealt_out_by_their_length() -> None:
    texts = [f"{i:03}" for i in range(100)] + [f"{i:05}" for i in range(50)]
    sides = split(texts)
    # A fifth of each length; by label every one of the 150 would be trained on.
    assert (sides[:100] == 1).sum() == 20
    assert (sides[100:] == 1).sum() == 10


def test_an_unlabelled_or_unreadable_picture_is_on_no_side() -> None:
    scan = scan_for(30)
    scan.ok[7] = False
    sides = split(["AB", ""] + ["CD"] * 28, scan)
    assert sides[[1, 7]].tolist() == [-1, -1]
    assert (sides == -1).sum() == 2


def test_alike_pictures_of_different_texts_are_free() -> None:
    texts = [f"{i:04}" for i in range(100)]
    sides = split(texts, scan_for(100, same_look=True))
    assert (sides == 1).sum() == 20


def test_alike_pictures_of_one_text_stay_together() -> None:
    texts = ["AB"] * 10 + ["CD"] * 10 + [f"{i:02}" for i in range(80)]
    scan = scan_for(100)
    scan.phash[:20] = 1
    scan.thumb[:20] = np.random.default_rng(1).integers(0, 256, (16, 16), np.uint8)
    for seed in range(8):
        sides = split(texts, scan, seed)
        assert len(set(sides[:10].tolist())) == 1
        assert len(set(sides[10:20].tolist())) == 1


def test_byte_equal_pictures_stay_together_whatever_their_texts() -> None:
    texts = [f"{i:02}" for i in range(40)]
    scan = scan_for(40)
    scan.digest[1] = scan.digest[0]
    for seed in range(8):
        sides = split(texts, scan, seed)
        assert sides[0] == sides[1]


def test_pictures_of_one_text_are_neither_forced_apart_nor_together() -> None:
    pairs = [f"{i:03}" for i in range(200) for _ in range(2)]
    sides = split(pairs).reshape(-1, 2)
    assert (sides == 1).sum() == 80
    apart = int((sides[:, 0] != sides[:, 1]).sum())
    # 2 * 0.2 * 0.8 of the 200 pairs by chance; four standard deviations on either side.
    assert 37 <= apart <= 91


@settings(deadline=None)
@given(st.lists(st.text("AB", min_size=1, max_size=6), min_size=2, max_size=60), st.integers(0, 9))
def test_the_split_depends_on_contents_and_seed_alone(texts: list[str], seed: int) -> None:
    scan = scan_for(len(texts))
    order = np.random.default_rng(seed).permutation(len(texts))
    shuffled = scan_for(len(texts))
    shuffled.digest[:], shuffled.phash[:] = scan.digest[order], scan.phash[order]
    sides = split(texts, scan, seed)
    assert split([texts[i] for i in order], shuffled, seed).tolist() == sides[order].tolist()
    assert set(sides.tolist()) == {0, 1}


def test_rare_lengths_share_a_stratum_with_their_neighbours() -> None:
    lengths = [2] * 3 + [3] * 30 + [4] * 19 + [7] + [90] * 5
    strata = length_strata("x" * length for length in lengths)
    assert strata == {2: "2-3", 3: "2-3", 4: "4-90", 7: "4-90", 90: "4-90"}
    assert length_strata([]) == {}


def test_long_tails_of_lengths_do_not_starve_training() -> None:
    texts = ["x" * length for length in range(1, 101) for _ in range(2)]
    # By length alone one of every two would be held out.
    assert (split(texts) == 1).sum() == pytest.approx(40, abs=3)


def test_two_hundred_thousand_distinct_texts_are_split_by_their_length() -> None:
    count = 200_000
    texts = [f"{i:0{4 + i % 5}}" for i in range(count)]
    lengths = np.array([len(text) for text in texts])
    sides = split(texts, scan_for(count))
    for length in np.unique(lengths):
        mine = sides[lengths == length]
        assert (mine == 1).mean() == pytest.approx(0.2, abs=0.5 / len(mine) + 1e-9)


def test_kinds_keep_what_looks_the_same_apart() -> None:
    scan = scan_for(4, same_look=True)
    positions = np.arange(4, dtype=np.int64)
    kinds = np.array([0, 1, 0, 1], np.int64)
    assert together(scan, positions, 2).sets(positions) == [[0, 1, 2, 3]]
    assert together(scan, positions, 2, kinds=kinds).sets(positions) == [[0, 2], [1, 3]]
    scan.digest[1] = scan.digest[0]
    assert together(scan, positions, 2, kinds=kinds).sets(positions) == [[0, 1, 2, 3]]
