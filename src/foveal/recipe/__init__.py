"""The recipe of a run. Every key is declared once, in `sections` and `training`."""

from foveal.recipe.knobs import KNOBS, make_recipe
from foveal.recipe.recipe import SETTINGS, Recipe
from foveal.recipe.sections import (
    DataOptions,
    EvaluateOptions,
    ModelOptions,
    PipelineOptions,
    SplitOptions,
)
from foveal.recipe.training import AugmentOptions, TrainOptions
from foveal.settings import parse_section

__all__ = [
    "KNOBS",
    "SETTINGS",
    "AugmentOptions",
    "DataOptions",
    "EvaluateOptions",
    "ModelOptions",
    "PipelineOptions",
    "Recipe",
    "SplitOptions",
    "TrainOptions",
    "make_recipe",
    "parse_section",
]
