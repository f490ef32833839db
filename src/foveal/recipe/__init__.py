"""The recipe: what a run is made of. Every key is declared once, in `sections` or `recipe`."""

from foveal.recipe.knobs import KNOBS, Knobs, make_recipe
from foveal.recipe.parse import parse_section
from foveal.recipe.recipe import SETTINGS, Recipe
from foveal.recipe.sections import (
    AugmentOptions,
    DataOptions,
    EvaluateOptions,
    ModelOptions,
    PipelineOptions,
    SplitOptions,
    TrainOptions,
)

__all__ = [
    "KNOBS",
    "SETTINGS",
    "AugmentOptions",
    "DataOptions",
    "EvaluateOptions",
    "Knobs",
    "ModelOptions",
    "PipelineOptions",
    "Recipe",
    "SplitOptions",
    "TrainOptions",
    "make_recipe",
    "parse_section",
]
