"""Defaults of the recipe for segmentation."""

from __future__ import annotations

from dataclasses import replace

from foveal.errors import RecipeError
from foveal.recipe import (
    AugmentOptions,
    ModelOptions,
    PipelineOptions,
    Recipe,
    TrainOptions,
)
from foveal.tasks.facts import DataFacts

BACKBONE = "efficientnet_lite0"
# The coarsest maps have a stride of 32: a side that it divides comes back at its own size.
_SIDE_STEP = 32
# Context enough for nuclei and membranes, and a batch that fits where memory is small.
_SIDE = 256
_BATCH = 8
_LR = 1e-3
# Tissue has no up and down. No shear and no shift: a crop may begin anywhere as it is.
_AUGMENT = AugmentOptions(
    rotation=180.0,
    zoom=0.2,
    shear=0.0,
    shift=0.0,
    flip_horizontal=True,
    flip_vertical=True,
    brightness=0.0,
    contrast=0.0,
    color=0.0,
)
# With less, the masks may show it, such as lines between cells that are 255: the Dice of the cells
# is high however many lines are missed.
_LEAST_BACKGROUND = 0.5
# Crops seen in all when neither epochs nor a budget are given.
_CROPS = 8000


def choose_recipe(recipe: Recipe, facts: DataFacts) -> Recipe:
    """Choose the open settings; see `TaskTraining.choose`.

    Raises:
        RecipeError: For MixUp, another fit than `tile`, page steps, or a side that 32 does not
            divide.
    """
    _refuse(recipe)
    for choose in (_metric, _geometry, _network, _augmentation, _schedule):
        recipe = recipe.filled(choose(recipe, facts))
    return recipe


def unused_keys(recipe: Recipe) -> dict[str, str]:
    """Return key → why it is not read; see `TaskTraining.unused`."""
    why = "crops differ in every epoch: the backbone's features are not cached"
    return {"model.hidden": "decoders have no such layer", "train.feature_views": why}


def _refuse(recipe: Recipe) -> None:
    if recipe.train.mixup:
        raise RecipeError(
            "train.mixup blends pictures, but blended masks have no meaning. Expected 0 for "
            "segment.",
            hint="use --set train.mixup=0",
        )
    if recipe.pipeline.fit not in (None, "tile"):
        raise RecipeError(
            f"pipeline.fit={recipe.pipeline.fit} resizes a picture to the model input. Expected "
            "tile for segment.",
            hint="--set pipeline.scale=0.25 --image-size 512 looks at smaller pictures as a whole",
        )
    if recipe.pipeline.steps:
        raise RecipeError(
            "pipeline.steps cleans pages of text. Expected none for segment.",
            hint="use --set pipeline.steps=[]",
        )
    options = recipe.pipeline
    for name in ("image_size", "height", "width"):
        side = getattr(options, name)
        if side is not None and side % _SIDE_STEP:
            raise RecipeError(
                f"Invalid pipeline.{name}. Expected a multiple of {_SIDE_STEP}. Received: {side}.",
                hint=f"use --set pipeline.{name}={_SIDE_STEP * max(1, round(side / _SIDE_STEP))}",
            )


def _metric(recipe: Recipe, facts: DataFacts) -> Recipe:
    share = facts.background_share
    if share is None or share >= _LEAST_BACKGROUND:
        return Recipe()
    why = (
        f"it covers {100 * share:.0f} % of the pixels of the masks, so its shapes may be what was "
        "drawn"
    )
    return Recipe(
        task_options={"count_background": True}, reasons={"task_options.count_background": why}
    )


def _geometry(recipe: Recipe, facts: DataFacts) -> Recipe:
    options = recipe.pipeline
    reasons = {"pipeline.fit": "every pixel is answered, at the picture's own resolution"}
    if options.height is not None and options.width is not None:
        return Recipe(pipeline=PipelineOptions(fit="tile", steps=()), reasons=reasons)
    seen = max(1, round(facts.median_side * options.scale))
    side = options.image_size or min(_SIDE, _SIDE_STEP * -(-seen // _SIDE_STEP))
    reasons["pipeline.image_size"] = (
        f"tiles of {side} px: the median picture is {facts.median_side} px long"
    )
    return Recipe(
        pipeline=PipelineOptions(fit="tile", steps=(), image_size=side, height=side, width=side),
        reasons=reasons,
    )


def _network(recipe: Recipe, facts: DataFacts) -> Recipe:
    reasons = {
        "model.backbone": "the decoder uses its maps at five scales, and the weights are installed"
    }
    chosen = Recipe(model=ModelOptions(backbone=BACKBONE), reasons=reasons)
    if recipe.model.pretrained:
        why = "edges are learnt in the backbone's first layers: they are trained from the start"
        full = TrainOptions(strategy="full")
        chosen = chosen.filled(Recipe(train=full, reasons={"train.strategy": why}))
    return chosen


def _augmentation(recipe: Recipe, facts: DataFacts) -> Recipe:
    reasons = {
        "train.augment.rotation": "all angles: tissue and materials have no upright direction",
        "train.augment.color": (
            "in stained tissue the colour matters, and a shifted stain is a different one"
        ),
    }
    augment = _AUGMENT
    if recipe.train.augment.flip_horizontal is not None:
        # Who says which way to flip says it of both.
        augment = replace(augment, flip_vertical=False)
    return Recipe(train=TrainOptions(augment=augment), reasons=reasons)


def _schedule(recipe: Recipe, facts: DataFacts) -> Recipe:
    train = recipe.train
    why = "the Dice loss keeps the answers from the extremes"
    chosen = Recipe(
        train=TrainOptions(
            label_smoothing=0.0,
            batch_size=_BATCH,
            lr=_LR if train.optimizer == "adamw" else None,
        ),
        reasons={"train.label_smoothing": why},
    )
    if train.budget_s is None:
        side = max(1, facts.median_side * recipe.pipeline.scale / _SIDE)
        crops = max(1, round(facts.samples * side * side))
        epochs = round(train.passes * max(10, min(150, round(_CROPS / crops))))
        why = f"about {epochs * crops} crops seen in all{train.quality_note}"
        counted = TrainOptions(epochs=epochs)
        chosen = chosen.filled(Recipe(train=counted, reasons={"train.epochs": why}))
    return chosen
