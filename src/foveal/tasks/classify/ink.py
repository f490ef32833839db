"""Choose the augmentation of ink pictures, to simulate other sources.

What was measured is in docs/decisions/0040, of thin strokes in 0044, and on pretrained weights in
0058.
"""

from __future__ import annotations

from dataclasses import replace

from foveal.models.backbones import starts_pretrained
from foveal.recipe import AugmentOptions, PipelineOptions, Recipe, TrainOptions
from foveal.tasks.facts import THIN_STROKE, DataFacts

INK = AugmentOptions(
    rotation=16.0,
    zoom=0.15,
    stretch=1.0,
    shrink=2.0,
    tint=0.3,
    fade=0.75,
    invert=0.4,
    stroke=2.0,
    shade=0.4,
    lines=0.25,
    blur=0.25,
    noise=0.08,
)
THIN_INK = AugmentOptions(bolder=2.0, ink_color=0.8)
# Of the width of a stroke, so much is added or taken away at most; a third is seen to be bold.
_STROKE_PART = 0.2
# So many pictures must be dark on light, or light on dark, for all to count as alike.
_ALIKE = 0.95
# Where more pictures are light on dark, dark parts that grow would delete thin strokes.
_MOSTLY_DARK = 0.8
# Ink that covers a larger part of its frame was cut out, so that its size in it tells nothing.
_FILLING = 0.65
# One as it is, the others changed: with a single changed one, what was drawn for it decides.
_INK_VIEWS = 4


def choose_ink(recipe: Recipe, facts: DataFacts) -> Recipe:
    """Return what pictures of ink are changed by, and why; nothing for other pictures.

    Where pictures differ in a way that may tell the classes apart, it is left as it is.

    Args:
        recipe: With the backbone and the sides of the model input.
        facts: Facts from a sample of the pictures.
    """
    stroke_px = facts.stroke * _longer_side(recipe.pipeline, facts)
    if not facts.is_ink:
        return Recipe()
    # A network from random weights sees nothing of thin strokes that are shrunk and faded.
    if stroke_px < THIN_STROKE and not _is_pretrained(recipe):
        return _choose_thin(facts)
    options = replace(INK, stroke=min(INK.stroke, round(_STROKE_PART * stroke_px, 2)))
    why = "pictures from other sources differ in the strength, colour, width and size of the ink"
    if _ALIKE > facts.dark_share > 1 - _ALIKE:
        options = replace(options, invert=0.0)
        why += "; not inverted, because some of it is light on dark, which may distinguish classes"
    if facts.ink_extent < _FILLING:
        options = replace(options, shrink=0.0)
        why += (
            "; not shrunk, because it does not fill its frame and its size may distinguish classes"
        )
    chosen = Recipe(train=TrainOptions(augment=options), reasons={"train.augment.fade": why})
    return chosen.filled(_choose_views(recipe))


def _choose_views(recipe: Recipe) -> Recipe:
    """Return how many views of each picture a head on frozen features learns from."""
    has_head = recipe.train.strategy in ("auto", "frozen", "staged") and _is_pretrained(recipe)
    if not has_head or recipe.train.quality == "fast":
        return Recipe()
    why = "how ink is changed differs more from view to view than photographs are changed"
    return Recipe(
        train=TrainOptions(feature_views=_INK_VIEWS), reasons={"train.feature_views": why}
    )


def _choose_thin(facts: DataFacts) -> Recipe:
    if facts.dark_share < _MOSTLY_DARK or facts.grey_share < _ALIKE:
        return Recipe()
    why = "other sources have ink of other width and colour"
    return Recipe(train=TrainOptions(augment=THIN_INK), reasons={"train.augment.ink_color": why})


def _is_pretrained(recipe: Recipe) -> bool:
    # A training from scratch is not yet told to leave the weights out.
    return starts_pretrained(recipe.model) and recipe.train.strategy != "scratch"


def _longer_side(pipeline: PipelineOptions, facts: DataFacts) -> float:
    """Return how many pixels of the model input the longer side of the median picture has."""
    height, width = pipeline.height or 0, pipeline.width or 0
    return min(width, height * facts.median_side / facts.median_height)
