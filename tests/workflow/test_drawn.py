"""The number of drawn pictures follows a short time budget."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import foveal
from foveal.errors import UsageError
from foveal.recipe import DataOptions, Recipe, TrainOptions
from foveal.synth import SynthSource
from foveal.workflow.drawn import fit_drawn

MINUTE = Recipe(train=TrainOptions(budget_s=60))


def hundred(source: SynthSource) -> float:
    """Pretend that this many pictures are drawn in a second."""
    return 100.0


@pytest.mark.parametrize(
    ("location", "budget_s", "fitted"),
    [
        ("synth:letters", 60, "synth:letters?count=1500"),
        ("synth:letters?seed=3", 61, "synth:letters?seed=3&count=1500"),
        # Fewer than some do not validate.
        ("synth:letters", 2, "synth:letters?count=200"),
        # Enough for the usual number, which then stays open.
        ("synth:letters", 800, "synth:letters"),
        ("synth:letters?count=20000", 60, "synth:letters?count=20000"),
        ("photos", 60, "photos"),
        ("synth:letters", None, "synth:letters"),
    ],
)
def test_a_quarter_of_the_budget_goes_to_drawing(
    location: str, budget_s: float | None, fitted: str
) -> None:
    recipe = Recipe(train=TrainOptions(budget_s=budget_s))
    assert fit_drawn(location, recipe, rate=hundred) == fitted


def test_a_given_sample_of_the_pictures_stays() -> None:
    recipe = Recipe(train=TrainOptions(budget_s=60), data=DataOptions(sample=50))
    assert fit_drawn("synth:letters", recipe, rate=hundred) == "synth:letters"


def test_a_wrong_option_is_said_before_anything_is_drawn() -> None:
    with pytest.raises(UsageError, match="size"):
        fit_drawn("synth:letters?size=8", MINUTE, rate=hundred)


def test_a_training_draws_no_more_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counts = []

    def prepare(source: SynthSource, *args: object, **options: object) -> None:
        counts.append(source.count)
        raise KeyboardInterrupt

    monkeypatch.setattr("foveal.workflow.train.prepare", prepare)
    caplog.set_level(logging.INFO, "foveal")
    with pytest.raises(KeyboardInterrupt):
        foveal.train("synth:letters", out=tmp_path, budget_s=0.5)
    assert counts == [200]
    assert "fit into 25 % of the budget: synth:letters?count=200" in caplog.text
