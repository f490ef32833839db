"""A time budget chooses sizes that can learn within it."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from foveal.recipe import Recipe
from foveal.recipe.knobs import make_recipe
from foveal.tasks import get_task, get_training
from foveal.tasks.facts import DataFacts
from foveal.types import Labels
from foveal.workflow.choose import resolve
from foveal.workflow.within_budget import Speed, fit_to_budget, time_network

CAPTCHAS = DataFacts(
    samples=700,
    median_side=72,
    median_height=24,
    widest=3.0,
    pad_color=(255, 255, 255),
    ink_share=0.9,
    single_characters=False,
    longest_target=4,
)
PHOTOS = replace(CAPTCHAS, samples=3000, median_side=256, median_height=256, ink_share=0.1)


def fitted(
    task: str, facts: DataFacts, speed: Speed, *overrides: str, **knobs: Any
) -> tuple[Recipe, Recipe]:
    """Return the recipe without and with regard to the budget."""
    recipe = make_recipe(None, overrides, {"task": task, "budget_s": 90.0, **knobs})
    training = get_training(task)
    names = ("ant", "bee") if task == "classify" else tuple("ABCD")
    bound = training(get_task(task).bind(Labels(names), {}))
    choose = partial(resolve, facts=facts, training=training, pretrained_at_hand=True)
    plain = choose(recipe)
    return plain, fit_to_budget(recipe, plain, facts, bound, choose, timed=lambda *_: speed)


def test_a_budget_that_is_enough_changes_nothing() -> None:
    # 90 s at 1 ms a picture: 76,500 pictures, 2,390 steps of 32.
    plain, chosen = fitted("read", CAPTCHAS, Speed(0.0003, 0.001))
    assert chosen == plain
    assert (chosen.pipeline.height, chosen.train.batch_size) == (48, 32)


def test_batches_get_smaller_first() -> None:
    # 6,375 pictures: 199 steps of 32, 398 of 16.
    _, chosen = fitted("read", CAPTCHAS, Speed(0.004, 0.012))
    assert (chosen.pipeline.height, chosen.train.batch_size) == (48, 16)
    assert "about 199 steps fit at 48 px in batches of 32" in chosen.reasons["train.batch_size"]


def test_pictures_get_smaller_next() -> None:
    # 2,550 pictures at 48 px are 159 steps of 16; at two thirds of the side a step costs 4/9.
    _, chosen = fitted("read", CAPTCHAS, Speed(0.01, 0.03))
    assert (chosen.pipeline.height, chosen.train.batch_size) == (32, 16)
    assert (
        "fit at 32 px in batches of 16 (training needs at least 200)"
        in chosen.reasons["pipeline.image_size"]
    )


def test_a_budget_that_is_never_enough_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _, chosen = fitted("read", CAPTCHAS, Speed(0.1, 0.3))
    assert chosen.pipeline.height == 24
    assert "a budget of 90 s is too short for this machine" in caplog.text


@pytest.mark.parametrize("given", ["pipeline.image_size=64", "pipeline.height=64"])
def test_a_size_that_was_given_stays(given: str) -> None:
    _, chosen = fitted("read", CAPTCHAS, Speed(0.01, 0.03), given)
    assert chosen.pipeline.height == 64
    assert chosen.train.batch_size == 16


def test_a_batch_size_that_was_given_stays() -> None:
    _, chosen = fitted("read", CAPTCHAS, Speed(0.01, 0.03), batch_size=32)
    assert chosen.train.batch_size == 32
    assert chosen.pipeline.height == 24


def test_without_time_to_fine_tune_the_backbone_stays_frozen() -> None:
    # 6,000 features at 5 ms are 30 s, within 54; what is left makes 58 steps of 32.
    plain, chosen = fitted("classify", PHOTOS, Speed(0.005, 0.025))
    assert plain.train.strategy == "staged"
    assert chosen.train.strategy == "frozen"
    assert chosen.pipeline.height == plain.pipeline.height == 256


@pytest.mark.parametrize(("samples", "strategy"), [(200, "staged"), (400, "frozen")])
def test_few_photographs_need_few_steps_of_fine_tuning(samples: int, strategy: str) -> None:
    # Less than 1 s for features, and 47 steps of 32 pictures: five epochs of 200 are 35.
    _, chosen = fitted("classify", replace(PHOTOS, samples=samples), Speed(0.001, 0.05))
    assert chosen.train.strategy == strategy


def test_without_time_for_the_features_the_pictures_get_smaller() -> None:
    # 6,000 features at 11 ms would take 66 s; at 224 instead of 256 px 51, within 54.
    _, chosen = fitted("classify", PHOTOS, Speed(0.011, 0.06))
    assert (chosen.train.strategy, chosen.pipeline.height) == ("frozen", 224)
    assert "computing features at 224 px takes about 51 s" in chosen.reasons["pipeline.image_size"]
    # At 18 ms, 108 s and 42 s.
    _, chosen = fitted("classify", PHOTOS, Speed(0.018, 0.06))
    assert (chosen.train.strategy, chosen.pipeline.height) == ("frozen", 160)


def test_a_network_is_timed_on_this_machine() -> None:
    recipe, _ = fitted("read", CAPTCHAS, Speed(0.0003, 0.001), image_size=24)
    training = get_training("read")(get_task("read").bind(Labels(tuple("ABCD")), {}))
    speed = time_network(recipe, training)
    # How the two compare is up to what else the machine does.
    assert speed.forward_s > 0
    assert speed.step_s > 0
