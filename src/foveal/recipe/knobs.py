"""Everyday settings: keyword arguments of `foveal.train`, options of `foveal train`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from foveal.errors import RecipeError, UsageError, unknown_name
from foveal.recipe.recipe import SETTINGS, Recipe, _flat, _merged, nested

# In the order of `foveal train --help` and of the arguments of `foveal.train`, which tests hold to
# the fields of the recipe that are marked as `Knob`.
_NAMES = (
    *(
        "task",
        "quality",
        "epochs",
        "batch_size",
        "image_size",
        "backbone",
        "lr",
        "folds",
        "patience",
    ),
    *("budget_s", "seed", "device", "devices", "strategy", "allow_download", "label_regex"),
)

KNOBS = {
    name: next(s for s in SETTINGS.values() if s.knob is not None and s.name == name)
    for name in _NAMES
}
"""Name of the argument → the recipe's setting."""


def make_recipe(
    recipe: str | Path | Recipe | None, overrides: Iterable[str], knobs: Mapping[str, Any]
) -> Recipe:
    """Lay `key.path=value` overrides and everyday settings over a recipe.

    Args:
        recipe: A recipe, the path of a recipe file, or None for the defaults.
        overrides: Each `train.epochs=5`; the value is read as YAML, and the last of a key counts.
        knobs: Name → value; None is not given.

    Raises:
        RecipeError: For an unknown key, or a value of the wrong type or out of range.
        UsageError: For an unknown name, or a setting that is given twice.
    """
    given = {name: value for name, value in knobs.items() if value is not None}
    for name in given:
        if name not in KNOBS:
            hint = 'every other key of the recipe: overrides=["train.ema=0.99"]'
            raise UsageError(unknown_name("setting", name, KNOBS), hint=hint)
    if not isinstance(recipe, Recipe):
        recipe = Recipe.load(Path(recipe)) if recipe is not None else Recipe()
    layer = read_overrides(overrides, example="foveal train DATA --set train.epochs=5")
    twice = _flat(layer, "").keys() & {KNOBS[name].key for name in given}
    if twice:
        setting = SETTINGS[min(twice)]
        raise UsageError(
            f"{setting.where} is given twice: as an override and as an option.",
            hint=f"leave out --set {setting.key}=...",
        )
    return recipe.overlaid(
        reduce(_merged, (nested(KNOBS[name].key, value) for name, value in given.items()), layer)
    )


def read_overrides(overrides: Iterable[str], *, example: str) -> dict[str, Any]:
    """Return nested values from texts such as `train.epochs=5`; the last of a key counts.

    Args:
        overrides: The texts; a value is read as YAML.
        example: A command with a right one, for the hint.

    Raises:
        RecipeError: For a text without a key or `=`, a value that is not YAML, or anything other
            than texts.
    """
    if not isinstance(overrides, Iterable) or isinstance(overrides, (str, Mapping)):
        # A text would be read letter by letter.
        raise RecipeError(
            f"Invalid overrides. Expected a list of texts, KEY=VALUE. Received: {overrides!r}.",
            hint='overrides=["train.ema=0.99"]',
        )
    layers = (_read_override(override, example) for override in overrides)
    merged: dict[str, Any] = reduce(_merged, layers, {})
    return merged


def override_keys(overrides: Iterable[str]) -> frozenset[str]:
    """Return the dotted keys that overrides set; see `read_overrides`."""
    return frozenset(override.partition("=")[0].strip() for override in overrides)


def _read_override(override: str, example: str) -> dict[str, Any]:
    # Imported late: `foveal train --help` reads none.
    import yaml

    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise RecipeError(
            f"Invalid override {override!r}. Expected KEY=VALUE.",
            hint=example,
        )
    try:
        return nested(key.strip(), yaml.safe_load(text))
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RecipeError(
            f"Invalid value in override {override!r}: {problem}.",
            hint=f"quote plain text: --set \"{key.strip()}='{text}'\"",
        ) from error
