"""A training that learned nothing says what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from drawing import tiny_manifest

from foveal.recipe import Recipe
from foveal.recipe.knobs import make_recipe
from foveal.train.records import FitResult, Stopped
from foveal.types import NEVER_SURE, Calibration
from foveal.workflow.advice import advice


def said(recipe: Recipe, *, beaten: bool, stopped: Stopped, pictures: int = 100) -> str | None:
    manifest = replace(
        tiny_manifest(),
        calibration=Calibration(
            unsure_below=NEVER_SURE, not_usable="It guesses.", pictures=pictures
        ),
        baseline={"answer": "a", "metrics": {}, "is_beaten": beaten},
        data={"train": 595},
    )
    return advice(manifest, recipe, FitResult((), 1, {}, stopped, 38, 90.0))


def recipe(*overrides: str, **knobs: Any) -> Recipe:
    return make_recipe(None, overrides, {"task": "read", **knobs})


def test_a_short_budget_is_to_be_longer_and_the_pictures_smaller() -> None:
    short = recipe(budget_s=90.0, image_size=48, strategy="scratch")
    assert said(short, beaten=False, stopped="budget") == (
        "No improvement over the baseline can be shown, after 38 steps. What may help: a longer "
        "training (--budget 6m); smaller pictures (--image-size 24); more labelled pictures "
        "(595 were trained on); labels that are right (foveal check DATA)."
    )


@pytest.mark.parametrize(
    ("knobs", "way"),
    [
        ({"epochs": 5, "strategy": "scratch"}, "a longer training (--epochs 20)"),
        ({"strategy": "frozen"}, "training the backbone, too (--strategy staged)"),
        ({"strategy": "staged"}, "training the backbone, too (--set train.head_is_enough=1)"),
    ],
)
def test_a_finished_training_is_to_be_longer_or_deeper(knobs: dict[str, Any], way: str) -> None:
    words = said(recipe(**knobs), beaten=True, stopped="finished")
    assert words is not None
    assert words.startswith("The model did not learn enough")
    assert way in words


def test_too_few_validation_pictures_are_to_be_more() -> None:
    words = said(recipe(), beaten=True, stopped="finished", pictures=10)
    assert words is not None
    assert "too few validation pictures" in words
    assert "--set split.val_share=0.4" in words


def test_a_usable_model_needs_no_advice() -> None:
    manifest = replace(tiny_manifest(), calibration=Calibration())
    assert advice(manifest, recipe(), FitResult((), 1, {}, "finished", 38, 90.0)) is None
