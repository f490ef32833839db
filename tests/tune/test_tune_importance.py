"""What decides how well a recipe does, and that too few trials say nothing."""

import numpy as np
import pytest

from foveal.tune.importance import LEAST, importances
from foveal.tune.space import Choice, Range, Space
from foveal.tune.table import Row

SPACE = Space(
    (
        Choice("pipeline.image_size", "Side.", 32, None, (24, 32)),
        Range("train.lr", "Rate.", 0.001, None, 1e-4, 1e-2, log=True),
    ),
    {},
)


def row(number, value, side, lr, state="trained"):
    values = {"pipeline.image_size": side, "train.lr": lr}
    return Row(number, state, value, 9, 9, 1.0, values, "", {})


def test_what_alone_decides_it_has_all_and_the_other_none():
    rates = np.random.default_rng(0).permutation(20) + 1.0
    rows = [row(i, 0.9 if i % 2 else 0.5, 24 if i % 2 else 32, rates[i]) for i in range(20)]
    found = importances(rows, SPACE)
    assert found["pipeline.image_size"] == pytest.approx(1.0)
    assert found["train.lr"] < 0.2


def test_the_share_is_that_of_the_analysis_of_variance():
    sides = [24] * 6 + [32] * 6
    values = [0.0, 1.0] * 3 + [1.0, 2.0] * 3
    rows = [
        row(i, v, s, 0.001 * (i + 1)) for i, (v, s) in enumerate(zip(values, sides, strict=True))
    ]
    # Between 3, within 3, in all 6, of 12 values in 2 groups: (3 - 1 * 3 / 10) / 6.
    assert importances(rows, SPACE)["pipeline.image_size"] == pytest.approx(2.7 / 6)


def test_a_range_counts_by_its_thirds():
    rows = [row(i, i // 4 / 2, 24, 0.001 * (i + 1)) for i in range(12)]
    assert importances(rows, SPACE)["train.lr"] == pytest.approx(1.0)


@pytest.mark.parametrize("count", [0, 1, LEAST - 1])
def test_too_few_trials_say_nothing(count):
    assert importances([row(i, i / 10, 24, 0.001) for i in range(count)], SPACE) == {}


def test_trials_that_were_given_up_do_not_count():
    rows = [row(i, i / 20, 24, 0.001 * (i + 1), "given up") for i in range(20)]
    assert importances(rows, SPACE) == {}


def test_trials_that_are_all_alike_say_nothing():
    assert importances([row(i, 1.0, 24, 0.001 * (i + 1)) for i in range(20)], SPACE) == {}
