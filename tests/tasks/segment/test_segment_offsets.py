"""Offsets between labels: chosen for the mean Dice, and not where a few pictures could mislead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal.tasks.segment.analysis import picture_dice
from foveal.tasks.segment.collecting import decide
from foveal.tasks.segment.counting import confusion_counts
from foveal.tasks.segment.offsets import Gaps, choose_offsets
from foveal.types import IGNORED, Calibration, Mask

SIDE = 40


def cautious(seed: int, odds: float) -> tuple[NDArray[np.float32], Mask]:
    """A truth with a disc; the network gives its pixels these log odds, others -4, and noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    truth = ((rows - 20) ** 2 + (columns - 20) ** 2 < 120).astype(np.uint8)
    logits = np.zeros((2, SIDE, SIDE), np.float32)
    logits[1] = np.where(truth, odds, -4.0) + rng.normal(0, 0.5, truth.shape)
    return logits, truth


def chosen(
    pairs: list[tuple[NDArray[np.float32], Mask]], temperature: float = 1.0
) -> tuple[float, ...]:
    gaps = [Gaps.of(logits) for logits, _ in pairs]
    return choose_offsets(gaps, [truth for _, truth in pairs], (1,), temperature)


def mean_dice(
    pairs: list[tuple[NDArray[np.float32], Mask]],
    calibration: Calibration,
    counted: tuple[int, ...],
) -> float:
    counts = []
    for logits, truth in pairs:
        mask = np.empty_like(truth)
        decide(logits, calibration, mask)
        counts.append(confusion_counts(mask, truth, len(logits)))
    return float(picture_dice(np.array(counts, np.float64), counted).mean())


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_a_label_that_is_held_back_is_let_through(temperature: float) -> None:
    pairs = [cautious(seed, -0.5) for seed in range(4)]
    offsets = chosen(pairs, temperature)
    before = mean_dice(pairs, Calibration(temperature), (1,))
    after = mean_dice(pairs, Calibration(temperature, offsets=offsets), (1,))
    assert before < 0.5 and after > 0.99
    # Anything between the two kinds of pixels is right: 0.5 + 3 x 0.5 = 2 logits at least.
    assert offsets[0] == 0 and 1.5 <= offsets[1] * temperature <= 2.5


def test_a_label_that_is_answered_too_often_is_held_back() -> None:
    pairs = [cautious(seed, 5.0) for seed in range(4)]
    for logits, _ in pairs:
        logits[1] += 4.75
    offsets = chosen(pairs)
    assert offsets[1] < -1
    assert mean_dice(pairs, Calibration(offsets=offsets), (1,)) > 0.97


def test_nothing_is_chosen_where_answers_are_right() -> None:
    assert chosen([cautious(seed, 4.0) for seed in range(4)]) == ()


def test_two_pictures_are_enough_where_they_agree() -> None:
    held_back = [cautious(seed, -0.5) for seed in range(2)]
    assert chosen(held_back)[1] >= 1.5
    let_through = cautious(1, 5.0)
    let_through[0][1] += 4.75
    assert chosen([held_back[0], let_through]) == ()


def test_one_picture_is_too_few() -> None:
    assert chosen([cautious(0, -0.5)]) == ()


def test_what_only_one_picture_gains_from_is_not_chosen() -> None:
    # The last one is missed as a whole: with its gain the mean of all rises, although the others
    # lose a little. Each of the others alone is worse with what the rest would choose.
    pairs = [cautious(seed, 4.0) for seed in range(4)]
    for logits, _ in pairs:
        logits[1, 0] = -0.25
    pairs.append(cautious(9, -1.0))
    moved = Calibration(offsets=(0.0, 2.0))
    assert mean_dice(pairs, moved, (1,)) > mean_dice(pairs, Calibration(), (1,)) + 0.1
    assert chosen(pairs) == ()


def test_ignored_pixels_choose_nothing() -> None:
    pairs = []
    for seed in range(4):
        logits, truth = cautious(seed, 4.0)
        logits[1, :8] = 0.5
        truth[:8] = IGNORED
        pairs.append((logits, truth))
    assert chosen(pairs) == ()


def random_pictures(seed: int, classes: int) -> list[tuple[NDArray[np.float32], Mask]]:
    """Pictures whose logits are whole eighths, so that gaps between them are exact."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(4):
        truth = rng.integers(0, classes, (12, 11)).astype(np.uint8)
        logits = rng.integers(-12, 13, (classes, 12, 11)) / 8
        logits += 0.75 * (np.arange(classes)[:, None, None] == truth)
        logits[0] += rng.integers(0, 16) / 8
        pairs.append((logits.astype(np.float32), truth))
    return pairs


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4))
def test_the_offsets_are_those_of_a_search_that_answers_every_picture_anew(
    seed: int, classes: int
) -> None:
    pairs = random_pictures(seed, classes)
    counted = tuple(range(1, classes))
    gaps = [Gaps.of(logits) for logits, _ in pairs]
    found = choose_offsets(gaps, [truth for _, truth in pairs], counted, 1.0)
    assert (found or (0.0,) * classes) == slow_search(pairs, classes, counted)


def slow_search(
    pairs: list[tuple[NDArray[np.float32], Mask]], classes: int, counted: tuple[int, ...]
) -> tuple[float, ...]:
    """The same greedy choice, each offset tried by answering all pictures anew."""
    offsets = [0.0] * classes
    tried = sorted((k / 8 for k in range(-16, 17)), key=abs)
    for label in range(1, classes):
        table = np.zeros((len(pairs), len(tried)))
        for j, offset in enumerate(tried):
            # A little less, so that of equal scores the label loses, whatever its position.
            now = [*offsets[:label], offset - 1e-3, *offsets[label + 1 :]]
            for i, pair in enumerate(pairs):
                table[i, j] = mean_dice([pair], Calibration(offsets=tuple(now)), counted)
        left_out = [np.delete(table, i, axis=0).mean(axis=0).round(9).argmax() for i in range(4)]
        gains = [table[i, best] - table[i, 0] for i, best in enumerate(left_out)]
        if np.mean(gains) >= 0.002 and np.sign(gains).sum() > 0:
            offsets[label] = tried[int(table.mean(axis=0).round(9).argmax())]
    return tuple(offsets)


@pytest.mark.parametrize("classes", [2, 5])
def test_gaps_hold_the_answers_exactly_and_those_with_offsets_nearly(classes: int) -> None:
    logits = (3 * np.random.default_rng(classes).normal(size=(classes, 300, 301))).astype(
        np.float32
    )
    mask = np.empty((300, 301), np.uint8)
    decide(logits, Calibration(), mask)
    gaps = Gaps.of(logits)
    assert np.array_equal(gaps.mask([0.0] * classes), mask)
    offsets = (0.0, 1.5, *[-0.5] * (classes - 2))
    decide(logits, Calibration(offsets=offsets), mask)
    assert np.mean(gaps.mask(offsets) == mask) > 0.98
