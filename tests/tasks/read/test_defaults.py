"""What reading wants of a recipe, chosen from facts that are written down here."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import yaml

from foveal.errors import RecipeError
from foveal.page import DEFAULT_STEPS, FRACTION_STEPS
from foveal.recipe import Recipe, make_recipe
from foveal.tasks import get_training
from foveal.tasks.facts import DataFacts
from foveal.workflow.choose import resolve

LINES = DataFacts(
    samples=5000,
    median_side=170,
    median_height=80,
    widest=2.125,
    pad_color=(250, 250, 250),
    ink_share=0.5,
    single_characters=False,
    longest_target=4,
)
PAGES = replace(LINES, median_side=2400, median_height=800, widest=4.0)


def chosen(facts: DataFacts = LINES, *overrides: str) -> Recipe:
    recipe = make_recipe(None, overrides, {"task": "read"})
    return resolve(recipe, facts, get_training("read"), pretrained_at_hand=True)


def test_lines_keep_their_aspect_ratio_and_have_a_free_width() -> None:
    options = chosen().pipeline
    assert (options.fit, options.steps) == ("line", ())
    # Between 48 and 64; twice the 136 px of the widest, rounded up to 160.
    assert (options.height, options.width) == (80, 384)


@pytest.mark.parametrize(("median", "height"), [(20, 48), (48, 48), (49, 64), (80, 80), (200, 80)])
def test_the_height_is_a_multiple_of_16_from_48_to_80(median: int, height: int) -> None:
    recipe = chosen(replace(LINES, median_height=median))
    assert recipe.pipeline.height == height
    assert f"{median} px high" in recipe.reasons["pipeline.height"]


def test_pages_are_cut_to_their_lines_first() -> None:
    recipe = chosen(PAGES)
    assert recipe.pipeline.steps == DEFAULT_STEPS
    assert (recipe.pipeline.height, recipe.pipeline.width) == (64, 16_384)
    assert "800 px high: pages" in recipe.reasons["pipeline.steps"]


def test_pages_whose_texts_have_a_slash_may_have_fractions() -> None:
    recipe = chosen(replace(PAGES, characters=frozenset("0123456789/")))
    assert recipe.pipeline.steps == FRACTION_STEPS
    assert recipe.pipeline.height == 48
    # Not that of the page, which is far higher.
    assert "one row of signs" in recipe.reasons["pipeline.height"]
    assert "'/' in the labels may be the bar of a fraction" in recipe.reasons["pipeline.steps"]
    # A picture of one line has no room for a built-up fraction.
    lines = chosen(replace(LINES, characters=frozenset("/")))
    assert lines.pipeline.steps == ()


def test_pages_may_be_left_whole() -> None:
    assert chosen(PAGES, "pipeline.steps=[]").pipeline.steps == ()


def test_a_picture_of_20_000_pixels_does_not_make_the_rest_wider_than_a_strip() -> None:
    wide = chosen(replace(LINES, widest=20_000 / 32))
    assert wide.pipeline.width == 16_384


def test_a_stretched_line_is_as_wide_as_the_widest() -> None:
    assert chosen(LINES, "pipeline.fit=stretch").pipeline.width == 192


def test_the_backbone_for_lines_is_trained_from_scratch() -> None:
    recipe = chosen()
    assert (recipe.model.backbone, recipe.train.strategy) == ("reader", "scratch")
    assert "columns" in recipe.reasons["model.backbone"]


@pytest.mark.parametrize("samples", [200, 5000])
def test_a_pretrained_backbone_is_trained_as_a_whole(samples: int) -> None:
    # Cached features, which few pictures would get otherwise, are of one size.
    recipe = chosen(replace(LINES, samples=samples), "model.backbone=efficientnet_lite0")
    assert recipe.train.strategy == "full"
    assert "widths" in recipe.reasons["train.strategy"]


@pytest.mark.parametrize("strategy", ["frozen", "staged"])
def test_cached_features_are_refused_because_widths_differ(strategy: str) -> None:
    with pytest.raises(
        RecipeError, match=f"{strategy} needs pictures of one size.*many widths"
    ) as caught:
        chosen(LINES, f"train.strategy={strategy}")
    assert caught.value.hint == "use --strategy full"


def test_mixed_pictures_are_refused() -> None:
    with pytest.raises(RecipeError, match="blended texts cannot be read") as caught:
        chosen(LINES, "train.mixup=0.2")
    assert "train.mixup=0" in str(caught.value.hint)


def test_half_of_the_lines_are_changed_much_and_none_is_mirrored() -> None:
    augment = chosen(replace(LINES, widest=3.0)).train.augment
    assert augment.share == 0.5
    assert (augment.rotation, augment.zoom, augment.shift) == (12.0, 0.12, 0.04)
    assert min(augment.stretch, augment.shrink, augment.invert, augment.tint, augment.stroke) > 0
    assert augment.flip_horizontal is False


def test_long_lines_are_moved_less_so_that_their_ends_stay_in_the_picture() -> None:
    augment = chosen(replace(LINES, widest=6.0)).train.augment
    assert (augment.rotation, augment.zoom, augment.shift) == (6.0, 0.06, 0.02)
    assert augment.shear == 8.0
    for widest in (1.0, 3.0, 6.0, 30.0):
        augment = chosen(replace(LINES, widest=widest)).train.augment
        # At most about a third of the height at the end of the longest line.
        assert widest / 2 * math.tan(math.radians(augment.rotation)) < 0.33


@pytest.mark.parametrize(
    ("samples", "override", "share"),
    [
        (300, "seed=0", 1.0),
        (400, "seed=0", 0.5),
        (5000, "train.quality=fast", 0.5),
        (700, "train.epochs=40", 1.0),
        (2000, "train.epochs=30", 0.5),
        (2000, "train.budget_s=60.0", 1.0),
        (2000, "train.budget_s=600.0", 0.5),
    ],
)
def test_a_short_training_changes_its_pictures_little(
    samples: int, override: str, share: float
) -> None:
    augment = chosen(replace(LINES, samples=samples), override).train.augment
    assert augment.share == share
    assert augment.rotation == (12.0 if share < 1 else 3.0)
    assert (augment.invert > 0) == (share < 1)


def test_pages_are_hardly_changed_as_their_steps_leave_lines_that_look_alike() -> None:
    augment = chosen(PAGES).train.augment
    assert (augment.rotation, augment.share, augment.invert) == (0.75, 1.0, 0.0)
    assert chosen(PAGES, "pipeline.steps=[]").train.augment.share == 0.5
    assert chosen(PAGES, "pipeline.steps=[grey]").train.augment.share == 0.5
    assert chosen(PAGES, "train.augment.rotation=2.0").train.augment.rotation == 2.0


@pytest.mark.parametrize(
    ("samples", "batch", "epochs"), [(300, 32, 150), (2500, 64, 100), (100_000, 64, 8)]
)
def test_the_schedule_sees_about_250_000_pictures(samples: int, batch: int, epochs: int) -> None:
    train = chosen(replace(LINES, samples=samples)).train
    assert (train.batch_size, train.epochs, train.lr) == (batch, epochs, 3e-3)


def test_a_budget_decides_the_epochs() -> None:
    assert "budget" in chosen(LINES, "train.budget_s=60.0").reasons["train.epochs"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pipeline.height", 32),
        ("pipeline.width", 200),
        ("pipeline.fit", "stretch"),
        ("model.backbone", "crnn"),
        ("train.lr", 0.01),
        ("train.epochs", 7),
        ("train.batch_size", 5),
        ("train.augment.rotation", 0.0),
        ("train.augment.flip_horizontal", True),
    ],
)
def test_what_the_user_says_is_kept(key: str, value: object) -> None:
    assert chosen(LINES, f"{key}={value}").flat()[key] == value


def test_a_resolved_recipe_leaves_nothing_open_and_survives_yaml() -> None:
    recipe = chosen(PAGES)
    assert chosen(PAGES) == recipe
    assert Recipe.parse(yaml.safe_load(recipe.to_yaml())) == recipe


def test_drawn_pictures_are_not_changed_further_unless_the_user_says_so() -> None:
    drawn = replace(LINES, is_drawn=True)
    assert chosen(drawn).train.augment.enabled is False
    assert chosen(drawn, "train.augment.enabled=true").train.augment.enabled is True
    assert chosen().train.augment.enabled is True
