"""Connected components: by hand, and the same as OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal.tasks.segment.components import find_components

SPIRAL = (
    "1111111",
    "0000001",
    "1111101",
    "1000101",
    "1011101",
    "1000001",
    "1111111",
)


def inside(*rows: str) -> NDArray[np.bool_]:
    return np.array([[c == "1" for c in row] for row in rows])


def painted(mask: NDArray[np.bool_], *, diagonal: bool) -> NDArray[np.int64]:
    """Return the number of each pixel's component, from 1; 0 is outside."""
    found = find_components(mask, diagonal=diagonal)
    image = np.zeros(mask.shape, np.int64)
    for row, start, end, owner in zip(found.row, found.start, found.end, found.owner, strict=True):
        assert not image[row, start:end].any()
        image[row, start:end] = owner + 1
    return image


def test_corners_connect_only_when_asked() -> None:
    mask = inside("101", "010")
    assert painted(mask, diagonal=True).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert painted(mask, diagonal=False).tolist() == [[1, 0, 2], [0, 3, 0]]


def test_a_row_does_not_go_on_into_the_next() -> None:
    assert painted(inside("001", "100"), diagonal=True).max() == 2
    assert painted(inside("0011", "1100"), diagonal=False).max() == 2


@pytest.mark.parametrize("turns", range(4))
def test_arms_that_meet_late_are_one(turns: int) -> None:
    found = find_components(np.rot90(inside(*SPIRAL), turns), diagonal=False)
    assert found.areas.tolist() == [31]
    comb = inside("1010101", "1010101", "1111111")
    assert painted(np.rot90(comb, turns), diagonal=False).max() == 1


def test_areas_and_first_rows() -> None:
    found = find_components(inside("0110", "0000", "1001", "1000"), diagonal=False)
    assert found.areas.tolist() == [2, 2, 1]
    assert found.top.tolist() == [0, 2, 2]


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (2, 2)])
def test_nothing_has_no_components(size: tuple[int, int]) -> None:
    found = find_components(np.zeros(size, np.bool_), diagonal=True)
    assert len(found.areas) == len(found.row) == 0


@given(
    seed=st.integers(0, 100_000),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    share=st.floats(0.1, 0.9),
    grain=st.integers(1, 4),
    diagonal=st.booleans(),
)
def test_components_are_those_of_opencv(
    seed: int, height: int, width: int, share: float, grain: int, diagonal: bool
) -> None:
    coarse = np.random.default_rng(seed).random((-(-height // grain), -(-width // grain))) < share
    mask = np.kron(coarse, np.ones((grain, grain), np.bool_))[:height, :width]
    count, ids, stats, _ = cv2.connectedComponentsWithStats(
        mask.view(np.uint8), connectivity=8 if diagonal else 4
    )

    image = painted(mask, diagonal=diagonal)

    pairs = np.unique(np.stack([image.ravel(), ids.ravel()]), axis=1)
    ours, theirs = pairs[:, pairs[0] > 0]
    assert ours.tolist() == list(range(1, count))
    assert sorted(theirs.tolist()) == list(range(1, count))
    found = find_components(mask, diagonal=diagonal)
    assert found.areas.tolist() == stats[theirs, cv2.CC_STAT_AREA].tolist()
    assert found.top.tolist() == stats[theirs, cv2.CC_STAT_TOP].tolist()
