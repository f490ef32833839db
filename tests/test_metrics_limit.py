"""The `unsure` limit keeps what it promises on samples that were never seen."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal import metrics

Floats = NDArray[np.float64]


@pytest.mark.parametrize(
    ("right", "kept", "low", "reason"),
    [
        (300, 300, 0.05 ** (1 / 300), "without a mistake: accuracyⁿ = 5 %"),
        (1, 1, 0.05, "one right answer of one"),
        (0, 10, 0.0, "none right"),
        (8, 10, 0.4931, "Clopper and Pearson's table, 90 % two-sided"),
        (95, 100, 0.8977, "R: binom.test(95, 100, alternative = 'greater')"),
    ],
)
def test_lower_limit(right: int, kept: int, low: float, reason: str) -> None:
    assert metrics.lower_limit(right, kept) == pytest.approx(low, abs=1e-4), reason


@pytest.mark.parametrize(("accuracy", "needed"), [(0.99, 299), (0.9, 29), (0.8, 14), (0.5, 5)])
def test_pictures_needed_is_where_no_mistake_is_enough(accuracy: float, needed: int) -> None:
    assert metrics.pictures_needed(accuracy) == needed
    assert metrics.lower_limit(needed, needed) >= accuracy
    assert metrics.lower_limit(needed - 1, needed - 1) < accuracy


def test_all_answers_are_kept_where_they_show_what_is_wanted() -> None:
    limit = metrics.choose_limit(np.linspace(0.6, 1, 1000), np.ones(1000), 0.99)

    assert (limit.shown, limit.kept, limit.right) == (0.99, 1000, 1000)
    assert limit.threshold == pytest.approx(0.6, abs=1e-4)


def test_what_is_less_sure_and_wrong_is_refused() -> None:
    confidence = np.linspace(1, 0, 2001)[:2000]
    correct = np.arange(2000) < 1000

    limit = metrics.choose_limit(confidence, correct, 0.95)

    # Of 1000 + w answers w may be wrong: w = 30 leaves 1000 of 1030, w = 40 too little.
    assert limit.shown == 0.95
    assert 1025 < limit.kept < 1040
    assert limit.right == 1000
    kept = confidence >= limit.threshold
    assert kept.sum() == limit.kept


def test_few_pictures_show_less_than_is_wanted() -> None:
    limit = metrics.choose_limit(np.linspace(0.5, 1, 48), np.ones(48), 0.99, least=0.8)

    # Two candidates, all 48 and the surer 24, share the error: 0.025^(1/48) = 92.6 %.
    assert (limit.shown, limit.kept) == (0.92, 48)


def test_with_very_few_pictures_all_are_the_only_candidate() -> None:
    limit = metrics.choose_limit(np.linspace(0.5, 1, 15), np.ones(15), 0.99, least=0.8)

    assert limit.shown == math.floor(100 * 0.05 ** (1 / 15)) / 100


def test_equally_sure_answers_are_kept_together() -> None:
    confidence = np.repeat([0.9, 0.4], [30, 170])
    limit = metrics.choose_limit(confidence, np.repeat([1, 0], [30, 170]), 0.85)

    assert (limit.kept, limit.right) == (30, 30)
    assert limit.threshold == pytest.approx(0.65)


def test_no_answer_gives_no_limit() -> None:
    with pytest.raises(ValueError, match="at least one answer"):
        metrics.choose_limit([], [], 0.99)


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=60),
    st.floats(0.5, 0.99),
)
def test_the_limit_says_what_it_keeps(answers: list[tuple[float, bool]], wanted: float) -> None:
    confidence, correct = (np.array(part) for part in zip(*answers, strict=True))

    limit = metrics.choose_limit(confidence, correct, wanted)

    kept = confidence >= limit.threshold
    assert (int(kept.sum()), int(correct[kept].sum())) == (limit.kept, limit.right)
    assert limit.shown <= min(wanted, limit.right / limit.kept)


# How often an answer is right, by its rank: 0 is the surest of all, 1 the least sure.
ACCURACIES: dict[str, Callable[[Floats], Floats]] = {
    "strong": lambda rank: 1 - 0.02 * rank**4,
    "good and knows when": lambda rank: 1 - 0.12 * rank**3,
    "middling and knows when": lambda rank: 1 - 0.3 * rank,
    "half is certain, half is not": lambda rank: np.where(rank < 0.5, 0.999, 0.7),
    "95 % right, confidence says nothing": lambda rank: np.full_like(rank, 0.95),
    "79 % right, confidence says nothing": lambda rank: np.full_like(rank, 0.79),
    "the surer, the more often wrong": lambda rank: 0.6 + 0.4 * rank,
    "wrong where it is surest": lambda rank: np.where(rank < 0.05, 0.5, 1 - 0.1 * rank),
    "coin flip": lambda rank: np.full_like(rank, 0.5),
    "30 classes at 3 %": lambda rank: np.full_like(rank, 0.03),
}
REPEATS = 200


@pytest.mark.parametrize("kind", ACCURACIES)
@pytest.mark.parametrize("size", [15, 60, 500])
def test_the_promise_holds_on_held_out_samples(kind: str, size: int) -> None:
    generator = np.random.default_rng([size, sorted(ACCURACIES).index(kind)])
    accuracy_at = ACCURACIES[kind]
    # The accuracy of what a limit keeps, exactly: the mean over the ranks under it.
    grid = (np.arange(10_000) + 0.5) / 10_000
    kept_accuracy = np.cumsum(accuracy_at(grid)) / np.arange(1, grid.size + 1)
    ranks = generator.random((REPEATS, size))
    correct = generator.random((REPEATS, size)) < accuracy_at(ranks)

    broken = sure = 0
    for rank, right in zip(ranks, correct, strict=True):
        limit = metrics.choose_limit(1 - rank, right, 0.99, least=0.8)
        if limit.shown < 0.8:
            continue
        sure += 1
        place = min(grid.size - 1, int((1 - limit.threshold) * grid.size))
        broken += kept_accuracy[place] < limit.shown - 1e-9

    # 5 % of 200 is 10; more than 18 would happen in one of 150 runs at exactly 5 %.
    assert broken <= 18, f"{broken} of {sure} promises were broken"
    if kind in ("coin flip", "30 classes at 3 %"):
        assert sure <= 1
