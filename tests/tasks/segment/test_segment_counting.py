"""Counts of pixels and boundaries: by hand, against brute force, and strip by strip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal.tasks.segment import boundary, counting
from foveal.tasks.segment.boundary import boundary_counts, dilate, edges
from foveal.tasks.segment.counting import confusion_counts, count_pixels, strips
from foveal.types import IGNORED, Mask


def mask(*rows: str) -> Mask:
    """A mask from digits; `x` is ignored."""
    return np.array([[IGNORED if c == "x" else int(c) for c in row] for row in rows], np.uint8)


def random_masks(seed: int, classes: int) -> tuple[Mask, Mask]:
    """An answer and a truth with some ignored pixels, of up to 17 x 13."""
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 18)), int(rng.integers(1, 14)))
    truth = rng.integers(0, classes, size).astype(np.uint8)
    truth[rng.random(size) < rng.choice([0, 0.05])] = IGNORED
    return rng.integers(0, classes, size).astype(np.uint8), truth


def brute_boundary(answer: Mask, truth: Mask, classes: int, distance: int) -> NDArray[np.int64]:
    """The definition, pixel by pixel."""
    height, width = truth.shape
    pixels = [(y, x) for y in range(height) for x in range(width)]

    def inside(y: int, x: int) -> bool:
        return 0 <= y < height and 0 <= x < width

    def is_edge(values: Mask, y: int, x: int) -> bool:
        beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        return values[y, x] != IGNORED and any(
            inside(*p) and values[p] not in (values[y, x], IGNORED) for p in beside
        )

    def around(y: int, x: int, reach: int) -> list[tuple[int, int]]:
        reached = range(-reach, reach + 1)
        return [(y + i, x + j) for i in reached for j in reached if inside(y + i, x + j)]

    counts = np.zeros((classes, 4), np.int64)
    for y, x in pixels:
        if any(truth[p] == IGNORED for p in around(y, x, distance + 1)):
            continue
        for place, (own, other) in ((0, (answer, truth)), (2, (truth, answer))):
            label = own[y, x]
            if is_edge(own, y, x):
                near = around(y, x, distance)
                counts[label, place] += any(other[p] == label and is_edge(other, *p) for p in near)
                counts[label, place + 1] += 1
    return counts


def test_strips_cover_all_rows_once() -> None:
    assert list(strips(10, 5, 15)) == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert list(strips(2, 1000, 15)) == [(0, 1), (1, 2)]
    assert list(strips(0, 5)) == []


def test_confusion_has_true_labels_as_rows_and_leaves_out_what_is_ignored() -> None:
    counts = confusion_counts(mask("0112", "0011"), mask("0012", "xx11"), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 3, 0], [0, 0, 1]]


def test_confusion_counts_labels_that_do_not_fit_into_one_byte() -> None:
    counts = confusion_counts(np.full((2, 2), 199, np.uint8), np.full((2, 2), 200, np.uint8), 201)
    assert counts[200, 199] == counts.sum() == 4


@pytest.mark.parametrize("classes", [2, 3])
def test_pixels_are_counted_by_label(classes: int) -> None:
    assert count_pixels(mask("011", "001"), classes).tolist() == [3, 3, 0][:classes]


def test_the_edge_of_the_picture_and_of_what_is_ignored_is_no_boundary() -> None:
    assert not edges(mask("11", "11")).any()
    assert not edges(mask("1x", "11")).any()
    assert edges(mask("1100", "1100")).tolist() == [[False, True, True, False]] * 2


def test_a_boundary_that_is_off_by_the_tolerance_is_met() -> None:
    answer, truth = mask("1100000"), mask("1111000")
    # Label 1 ends at column 1 in the answer and at column 3 in the truth.
    assert boundary_counts(answer, truth, 2, 2).tolist() == [[1, 1, 1, 1], [1, 1, 1, 1]]
    assert boundary_counts(answer, truth, 2, 1).tolist() == [[0, 1, 0, 1], [0, 1, 0, 1]]


def test_boundaries_around_ignored_pixels_are_left_out() -> None:
    answer, truth = mask("1110000000"), mask("11x0000111")
    counts = boundary_counts(answer, truth, 2, 0)
    # The answer's boundary at columns 2 and 3 touches the ignored pixel; the true one at 6 and 7
    # does not.
    assert counts.tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]


def test_dilation_reaches_a_square_around_each_pixel() -> None:
    point = np.zeros((9, 9), bool)
    point[4, 4] = True
    for distance in range(5):
        grown = dilate(point, distance)
        side = slice(4 - distance, 5 + distance)
        assert grown.sum() == (2 * distance + 1) ** 2
        assert grown[side, side].all()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), classes=st.integers(1, 3), distance=st.integers(0, 3))
def test_boundaries_equal_the_definition(seed: int, classes: int, distance: int) -> None:
    answer, truth = random_masks(seed, classes)
    expected = brute_boundary(answer, truth, classes, distance)
    assert boundary_counts(answer, truth, classes, distance).tolist() == expected.tolist()


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_counts_of_strips_add_up_to_those_of_the_whole(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [random_masks(seed, 3) for seed in range(40)]
    whole = [
        (confusion_counts(a, t, 3).tolist(), boundary_counts(a, t, 3, 2).tolist()) for a, t in pairs
    ]

    def few_rows(height: int, width: int) -> list[tuple[int, int]]:
        return [(start, min(height, start + rows)) for start in range(0, height, rows)]

    monkeypatch.setattr(counting, "strips", few_rows)
    monkeypatch.setattr(boundary, "strips", few_rows)
    again = [
        (confusion_counts(a, t, 3).tolist(), boundary_counts(a, t, 3, 2).tolist()) for a, t in pairs
    ]
    assert again == whole
