"""Small patches and holes: by hand, against brute force, and strips against the whole."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.tasks.segment.patches import (
    LARGEST_AREA,
    Kind,
    find_patches,
    tidy,
)
from foveal.types import Mask

SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def mask(*rows: str) -> Mask:
    return np.array([[int(c) for c in row] for row in rows], np.uint8)


def tidied(
    start: Mask, smallest: tuple[int, ...] = (), holes: tuple[int, ...] = (), classes: int = 3
) -> list[list[int]]:
    changed = start.copy()
    tidy(changed, smallest, holes, classes)
    return changed.tolist()


def brute(start: Mask, kind: Kind, label: int, limit: int) -> list[list[int]]:
    """The definition, by flooding from pixel to pixel."""
    height, width = start.shape
    is_patch = kind == "smallest"
    inside = (start == label) if is_patch else (start != label)
    seen, changed = np.zeros(start.shape, bool), start.copy()
    for first in zip(*np.nonzero(inside), strict=True):
        if seen[first]:
            continue
        seen[first] = True
        patch, waiting, touches = [], [first], False
        borders: Counter[int] = Counter()
        while waiting:
            y, x = waiting.pop()
            patch.append((y, x))
            for down, right in SIDES + CORNERS:
                beside = (y + down, x + right)
                is_side = (down, right) in SIDES
                if not (0 <= beside[0] < height and 0 <= beside[1] < width):
                    touches |= is_side
                elif inside[beside] and not seen[beside] and (is_patch or is_side):
                    seen[beside] = True
                    waiting.append(beside)
                elif is_side and start[beside] != label:
                    borders[int(start[beside])] += 1
        if len(patch) >= limit or (touches and not is_patch):
            continue
        best = max(borders.values(), default=0)
        given = min((k for k, n in borders.items() if n == best), default=label)
        for place in patch:
            changed[place] = given if is_patch else label
    return changed.tolist()


def in_strips(start: Mask, kind: Kind, label: int, limit: int, rows: int) -> list[list[int]]:
    changed = start.copy()
    strip_px = rows * start.shape[1]
    for patches in find_patches(changed, kind, label, limit, 3, strip_px=strip_px):
        flat = patches.window.reshape(-1).copy()
        flat[patches.places] = patches.becomes[patches.owner]
        patches.window[:] = flat.reshape(patches.window.shape)
    return changed.tolist()


def test_a_small_patch_is_given_to_what_surrounds_it() -> None:
    start = mask("00000", "01100", "00000", "00011", "00011")
    expected = mask("00000", "00000", "00000", "00011", "00011").tolist()
    assert tidied(start, (0, 3)) == expected


def test_pixels_that_touch_at_a_corner_are_one_patch() -> None:
    start = mask("1000", "0100", "0010")
    assert tidied(start, (0, 3)) == start.tolist()
    assert tidied(start, (0, 4)) == mask("0000", "0000", "0000").tolist()


def test_a_patch_takes_the_label_with_which_it_shares_the_longest_border() -> None:
    start = mask("0222", "0122", "0222")
    assert tidied(start, (0, 2, 0)) == mask("0222", "0222", "0222").tolist()


def test_a_patch_that_fills_the_picture_stays() -> None:
    start = mask("11", "11")
    assert tidied(start, (0, 100)) == start.tolist()


def test_an_enclosed_hole_is_filled_and_an_open_one_is_not() -> None:
    closed = mask("11111", "10211", "11111")
    assert tidied(closed, (), (0, 3)) == mask("11111", "11111", "11111").tolist()
    assert tidied(closed, (), (0, 2)) == closed.tolist()
    at_the_edge = mask("11011", "11111", "11111")
    assert tidied(at_the_edge, (), (0, 9)) == at_the_edge.tolist()


def test_a_hole_does_not_leak_through_a_diagonal_line() -> None:
    start = mask("00100", "01010", "00100")
    assert tidied(start, (), (0, 2)) == mask("00100", "01110", "00100").tolist()


def test_nothing_asked_for_changes_nothing() -> None:
    assert tidied(mask("010"), (0, 0), (0, 1)) == [[0, 1, 0]]


def test_an_area_that_strips_could_not_show_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 1024"):
        list(find_patches(mask("010"), "smallest", 1, LARGEST_AREA + 1, 2))


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 100_000),
    kind=st.sampled_from(["smallest", "holes"]),
    limit=st.integers(2, 12),
    rows=st.integers(1, 9),
)
def test_strips_clear_what_the_definition_says(
    seed: int, kind: Kind, limit: int, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 40)), int(rng.integers(1, 9)))
    start = rng.choice(3, size, p=rng.dirichlet([2, 2, 1])).astype(np.uint8)
    expected = brute(start, kind, 1, limit)
    assert in_strips(start, kind, 1, limit, 10_000) == expected
    assert in_strips(start, kind, 1, limit, rows) == expected


def test_a_patch_as_long_as_it_may_be_is_seen_whole_by_the_strip_it_begins_in() -> None:
    start = np.zeros((3 * LARGEST_AREA, 3), np.uint8)
    start[5 : 5 + LARGEST_AREA - 1, 1] = 1
    start[2 * LARGEST_AREA - 20 :, 1] = 1
    changed = in_strips(start, "smallest", 1, LARGEST_AREA, 7)
    assert np.array(changed)[: 2 * LARGEST_AREA - 20].max() == 0
    assert np.array(changed)[:, 1].sum() == LARGEST_AREA + 20
