"""Make the recipe of a trial from its values; other settings are chosen as in `foveal train`."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from foveal.data.source import Source
from foveal.errors import UsageError
from foveal.recipe import Recipe
from foveal.tune.declare import declare, recipe_layer
from foveal.tune.space import Space, Value
from foveal.workflow.resolve import resolve_recipe


@final
class Resolver:
    """The data, the default recipe, and the recipes of trials.

    Args:
        location: Where the data is.
        given: The recipe as the user gave it.

    Raises:
        DataError: If nothing there is labelled.
        UsageError: If the recipe has a time budget of its own, or folds.

    Attributes:
        source: The pictures.
        default: What `foveal train` would take.
    """

    def __init__(self, location: str, given: Recipe) -> None:
        if given.train.budget_s is not None:
            raise UsageError(
                "Trials are compared after the same number of epochs, but the recipe limits the "
                "time of each training (train.budget_s).",
                hint="remove train.budget_s from the recipe; use --epochs to limit each trial",
            )
        if given.train.folds is not None:
            raise UsageError(
                "Trials are compared on one validation split, but the recipe asks for folds "
                "(train.folds).",
                hint="foveal train DATA --recipe STUDY/recipe.yaml --folds 5 after the search",
            )
        self._location = location
        self._given = given
        self.source: Source
        self.default: Recipe
        self.source, self.default = resolve_recipe(location, given)

    def recipe(self, values: dict[str, Value], *, seed: int | None = None) -> Recipe:
        """Return the resolved recipe of a trial.

        Args:
            values: Key → value, as of `Space.ask`.
            seed: In place of the recipe's own.

        Raises:
            FovealError: If the values do not go together.
        """
        layered = self._given.overlaid(recipe_layer(self.default, values))
        _, recipe = resolve_recipe(self._location, layered, source=self.source)
        return recipe if seed is None else replace(recipe, seed=seed)

    def space(self, fixed: frozenset[str]) -> Space:
        """Return what is searched around the default recipe.

        Args:
            fixed: Keys that were given one by one and are not searched.
        """
        return declare(self.default, fixed, self.recipe)
