"""Distributions of answers, and the alarm when they shift."""

from __future__ import annotations

import numpy as np
import pytest

from foveal.bundle import Bundle
from foveal.predict.predictor import Predictor
from foveal.tasks.distribution import NONE, OTHER, Distribution, kind_of, shift, shift_of_bins
from foveal.types import Picture


def test_the_index_is_that_of_its_formula() -> None:
    # Half a count more in each of two kinds: p = 75.5/101 and 25.5/101, q the other way round.
    p, q = 75.5 / 101, 25.5 / 101
    expected = (q - p) * np.log(q / p) + (p - q) * np.log(p / q)
    assert shift({"a": 75, "b": 25}, {"a": 25, "b": 75}).index == pytest.approx(expected)


def test_a_large_shift_is_an_alarm_and_an_unchanged_one_is_not() -> None:
    assert shift({"a": 75, "b": 25}, {"a": 25, "b": 75}).is_alarm
    assert not shift({"a": 75, "b": 25}, {"a": 74, "b": 26}).is_alarm


def test_few_answers_are_no_alarm_however_they_are() -> None:
    assert not shift({"a": 75, "b": 25}, {"b": 49}).is_alarm


def test_chance_alone_seldom_alarms() -> None:
    """10 kinds, 100 answers against 300 of validation, drawn alike: one in a thousand alarms."""
    rng = np.random.default_rng(0)
    share = np.full(10, 0.1)
    alarms = sum(
        shift_of_bins(
            rng.multinomial(300, share).tolist(), rng.multinomial(100, share).tolist()
        ).is_alarm
        for _ in range(2000)
    )
    # 2 expected; more than 8 has a probability under 0.001.
    assert alarms <= 8


def test_unseen_kinds_count_as_other() -> None:
    known = {"a": 90, "b": 10}
    assert shift(known, {"new": 100}).is_alarm
    assert shift({**known, OTHER: 100}, {"a": 90, "b": 10, "x": 60, "y": 40}).index < 0.01


def test_a_distribution_survives_its_json_and_refuses_another() -> None:
    counted = Distribution({"a": 3, NONE: 1}, (0, 0, 0, 0, 0, 0, 0, 1, 1, 2))
    assert Distribution.from_json(counted.to_json()) == counted
    for damaged in (
        {**counted.to_json(), "confidences": [1]},
        {**counted.to_json(), "kinds": {"a": -1}},
        {**counted.to_json(), "more": 1},
    ):
        with pytest.raises(ValueError, match="counts"):
            Distribution.from_json(damaged)


def test_an_answer_counts_as_its_label(tiny_bundle: Bundle) -> None:
    dark = Picture.from_array(np.full((16, 16, 3), 40, np.uint8))
    answers = Predictor(tiny_bundle, threads=1).predict([dark])
    assert kind_of(answers[0], "labels") == "circle"
    # Its confidence is over 0.9, in the last of the ten bins.
    assert Distribution.of(answers, "labels").confidences == (0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
