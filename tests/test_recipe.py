"""The recipe: layers, unknown keys, values out of range, digests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from foveal.errors import RecipeError
from foveal.recipe import Recipe, make_recipe


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
