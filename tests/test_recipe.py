"""The recipe: layers, unknown keys, values out of range, digests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from foveal.errors import RecipeError, UsageError
from foveal.recipe import AugmentOptions, ModelOptions, Recipe, TrainOptions, make_recipe


def test_an_override_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("train: {epochs: 3, mixup: 0.2}\n")
    recipe = make_recipe(path, ["train.epochs=5"], {})
    assert recipe.train.epochs == 5
    assert recipe.train.mixup == 0.2
    assert recipe.train.optimizer == "adamw"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=5", r"train\.epoch'\. Did you mean 'train\.epochs'"),
        ("trian.epochs=5", r"trian'\. Did you mean 'train'"),
        ("train.augment.rotaton=5", r"Did you mean 'train\.augment\.rotation'"),
        ("train.epochs=0", r"train\.epochs.*Expected a whole number >= 1"),
        ("train.epochs=many", r"train\.epochs.*Received: 'many'"),
        ("train.epochs", "Expected KEY=VALUE"),
        ("seed.x=1", "seed"),
    ],
)
def test_what_is_wrong_is_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_recipe(None, ["seed=1", override], {})


def test_overrides_are_not_read_letter_by_letter() -> None:
    for given in ("train.epochs=5", None, {"train.epochs": 5}):
        with pytest.raises(RecipeError, match="Expected a list of texts, KEY=VALUE"):
            make_recipe(None, given, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["- a list", "train: [", "\x00"])
def test_a_file_that_is_no_recipe_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match="recipe"):
        Recipe.load(path)


def test_the_digest_knows_values_and_not_reasons() -> None:
    recipe = Recipe()
    assert replace(recipe, reasons={"seed": "because"}).digest() == recipe.digest()
    assert replace(recipe, seed=1).digest() != recipe.digest()


def test_flat_names_every_value_by_its_dotted_key() -> None:
    flat = Recipe().flat()
    assert flat["train.augment.rotation"] == 10.0
    assert flat["train.epochs"] == ""
    assert not any(key.startswith("reasons") for key in flat)


RECIPES = Path(__file__).parent / "recipes"
DIGESTS = {
    "classify": "18f36c00412fdb9d148b056b8d17ea67aced0b87897604fd52a4811a38dc993c",
    "read": "c7bf0533308c7bd4f48dac900b59a5889f29152281d8addbb7b7d67f3fd54f7d",
    "segment": "8a05ffb7802eabb80674e004bfec26d7a161cf2f929d9d1ba4f003c4294dad72",
}


@pytest.mark.parametrize("task", DIGESTS)
def test_the_recipes_of_older_runs_are_read_and_mean_the_same(task: str) -> None:
    # Written by the first version; the digest is that of the recipe in the run's bundle.
    path = RECIPES / f"0.1.0-{task}.yaml"
    recipe = Recipe.load(path)
    assert recipe.digest() == DIGESTS[task]
    assert recipe.to_yaml() == path.read_text(encoding="utf-8")


def test_what_the_first_recipes_did_not_have_is_written_where_it_is_said(tmp_path: Path) -> None:
    recipe = make_recipe(None, ["evaluate.remember_pictures=false"], {})
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    assert not Recipe.load(tmp_path / "recipe.yaml").evaluate.remember_pictures
    assert recipe.digest() != Recipe().digest()


def test_a_choice_fills_only_what_is_open_and_brings_the_reasons_of_that() -> None:
    given = make_recipe(None, ["train.augment.rotation=10", "model.backbone=auto"], {"epochs": 3})
    choice = Recipe(
        model=ModelOptions(backbone="cnn2"),
        train=TrainOptions(epochs=9, lr=0.1, augment=AugmentOptions(rotation=90.0, zoom=0.3)),
        reasons={"train.epochs": "nine", "train.lr": "fast"},
    )
    filled = given.filled(choice)
    # Given was 10, which is also the default: given it stays.
    assert filled.train.augment == AugmentOptions(rotation=10.0, zoom=0.3)
    assert (filled.model.backbone, filled.train.epochs, filled.train.lr) == ("cnn2", 3, 0.1)
    assert filled.reasons == {"train.lr": "fast"}
    assert filled.filled(Recipe(train=TrainOptions(lr=0.2))) == filled


def test_a_choice_adds_the_options_of_the_task_that_are_missing() -> None:
    given = make_recipe(None, ["task_options.head=gru"], {})
    reasons = {"task_options.head": "usual", "task_options.length": "longest"}
    filled = given.filled(Recipe(task_options={"head": "ctc", "length": 6}, reasons=reasons))
    assert filled.task_options == {"head": "gru", "length": 6}
    assert filled.reasons == {"task_options.length": "longest"}


def test_a_recipe_in_python_is_checked_when_it_is_used() -> None:
    with pytest.raises(RecipeError, match=r"\(--epochs\)\. Expected a whole number"):
        make_recipe(Recipe(train=TrainOptions(epochs=0)), (), {})


def test_a_setting_that_is_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="given twice"):
        make_recipe(None, ["train.epochs=5"], {"epochs": 4})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: [1,", "r.yaml is not YAML: line 1, column 11: expected the node content"),
        ("train: {}\ntrain: {}", "is not YAML: line 1, column 1: the key 'train' occurs twice"),
        ("", "r.yaml is empty. Expected a mapping of keys"),
        ("- seed", "r.yaml is a list or a value. Expected a mapping of keys"),
        ("\xff", "r.yaml is not UTF-8"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_in_one_line(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(RecipeError) as caught:
        Recipe.load(path)
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint == "every run has one: runs/TASK/NAME/recipe.yaml"


def test_a_recipe_that_does_not_exist_is_said_without_numbers(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"Cannot read the recipe .*none\.yaml: No such file"):
        Recipe.load(tmp_path / "none.yaml")
