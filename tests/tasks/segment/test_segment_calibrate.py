"""Calibration of masks: the temperature, the areas to clear, the `unsure` limit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal.errors import TargetError
from foveal.tasks.base import OutputBatch
from foveal.tasks.segment.calibrate import AREAS, fit_calibration
from foveal.tasks.segment.counting import confusion_counts
from foveal.tasks.segment.patches import Kind, tidy
from foveal.types import IGNORED, Calibration, Frame, Mask

SIDE = 40
FRAME = Frame((SIDE, SIDE), (SIDE, SIDE), (1.0, 1.0), (0.0, 0.0))


def batches(*logits: NDArray[np.float32], size: int = 3) -> list[OutputBatch]:
    return [
        ({"logits": np.stack(logits[i : i + size])}, [FRAME] * len(logits[i : i + size]))
        for i in range(0, len(logits), size)
    ]


def says(labels: Mask, height: float = 5.0, classes: int = 2) -> NDArray[np.float32]:
    return (height * (np.arange(classes)[:, None, None] == labels)).astype(np.float32)


def cells(specks: int = 0, holes: int = 0) -> tuple[Mask, Mask]:
    """A truth with one large cell; an answer with 2 x 2 specks beside it and holes in it."""
    truth = np.zeros((SIDE, SIDE), np.uint8)
    truth[10:30, 10:30] = 1
    answer = truth.copy()
    for i in range(specks):
        answer[2:4, 3 + 5 * i : 5 + 5 * i] = 1
    for i in range(holes):
        answer[14:16, 12 + 5 * i : 14 + 5 * i] = 0
    return truth, answer


def fit(
    answers: list[Mask], truths: list[Mask], *, postprocess: bool = True, size: int = 3
) -> Calibration:
    made = batches(*(says(answer) for answer in answers), size=size)
    return fit_calibration(made, truths, 2, (1,), postprocess=postprocess)


def test_specks_and_holes_are_cleared_by_the_smallest_area_that_does() -> None:
    truth, answer = cells(specks=6, holes=3)
    calibration = fit([answer] * 4, [truth] * 4)
    # Both are of 4 pixels; what is cleared as a speck of background is a hole filled already.
    assert calibration.smallest == (16, 16)
    assert calibration.holes == ()


def test_nothing_is_cleared_where_it_gains_nothing() -> None:
    truth, _ = cells()
    calibration = fit([truth] * 3, [truth] * 3)
    assert (calibration.smallest, calibration.holes) == ((), ())


def test_true_specks_stay() -> None:
    _, speckled = cells(specks=6)
    assert fit([speckled] * 3, [speckled] * 3).smallest == ()


def test_post_processing_can_be_declined() -> None:
    truth, answer = cells(specks=6)
    assert fit([answer] * 4, [truth] * 4, postprocess=False).smallest == ()


def test_clearing_a_false_alarm_is_a_gain_though_the_picture_then_has_no_dice() -> None:
    nothing = np.zeros((SIDE, SIDE), np.uint8)
    alarm = nothing.copy()
    alarm[3:5, 3:5] = 1
    assert fit([alarm] * 2, [nothing] * 2).smallest == (0, 16)


def test_the_temperature_makes_the_probabilities_of_pixels_honest() -> None:
    rng = np.random.default_rng(0)
    truths, logits = [], []
    for _ in range(6):
        truth = rng.integers(0, 2, (SIDE, SIDE)).astype(np.uint8)
        is_wrong = rng.random((SIDE, SIDE)) < 0.2
        truths.append(truth)
        # Answers that are right for 80 % of the pixels and claim a log odds of 6.
        logits.append(says(np.where(is_wrong, 1 - truth, truth).astype(np.uint8), 6.0))
    calibration = fit_calibration(batches(*logits), truths, 2, (1,), postprocess=False)
    assert calibration.temperature == pytest.approx(6 / np.log(0.8 / 0.2), rel=0.05)


def test_ignored_pixels_teach_nothing() -> None:
    truth, _ = cells()
    hidden = np.where(np.arange(SIDE) < 20, truth, IGNORED).astype(np.uint8)
    wrong = np.where(np.arange(SIDE) < 20, truth, 1 - truth).astype(np.uint8)
    seen = fit([wrong] * 3, [hidden] * 3)
    assert seen.temperature < 1


@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_result_does_not_depend_on_the_batches(size: int) -> None:
    pairs = [cells(specks=i % 4, holes=i % 3) for i in range(7)]
    answers, truths = [a for _, a in pairs], [t for t, _ in pairs]
    assert fit(answers, truths, size=size) == fit(answers, truths, size=3)


def test_a_mask_of_another_size_is_refused() -> None:
    truth, answer = cells()
    with pytest.raises(TargetError, match="validation picture 0"):
        fit([answer], [truth[:-1]])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_the_chosen_areas_are_those_of_a_search_that_tidies_every_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truths = [(rng.random((SIDE, SIDE)) < 0.5).astype(np.uint8) for _ in range(3)]
    truths = [np.kron(t[:5, :5], np.ones((8, 8), np.uint8)) for t in truths]
    answers = [np.where(rng.random(t.shape) < 0.1, 1 - t, t).astype(np.uint8) for t in truths]
    found = fit(answers, truths)
    assert (found.smallest or (0, 0), found.holes or (0, 0)) == slow_search(answers, truths)


def slow_search(answers: list[Mask], truths: list[Mask]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same greedy choice, each area tried by tidying all masks anew."""
    chosen: dict[Kind, list[int]] = {"smallest": [0, 0], "holes": [0, 0]}

    def mean_dice() -> float:
        dices = []
        for answer, truth in zip(answers, truths, strict=True):
            changed = answer.copy()
            tidy(changed, chosen["smallest"], chosen["holes"], 2)
            counts = confusion_counts(changed, truth, 2)
            dices.append(2 * counts[1, 1] / (counts[1].sum() + counts[:, 1].sum()))
        return float(np.mean(dices))

    for areas in chosen.values():
        for label in range(2):
            tried = []
            for area in AREAS:
                areas[label] = area
                tried.append(round(mean_dice(), 12))
            best = tried.index(max(tried))
            areas[label] = AREAS[best] if tried[best] - tried[0] >= 0.0005 else 0
    return tuple(chosen["smallest"]), tuple(chosen["holes"])
