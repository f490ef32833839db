"""What segmentation wants of a recipe: tiles at native resolution, turned in every direction."""

from __future__ import annotations

from typing import Any

from foveal.errors import RecipeError
from foveal.recipe import Recipe
from foveal.tasks.facts import Choice, DataFacts

BACKBONE = "efficientnet_lite0"
# The coarsest maps have a stride of 32: a side that it divides comes back at its own size.
_SIDE_STEP = 32
# Context enough for nuclei and membranes, and a batch that fits where memory is small.
_SIDE = 256
_BATCH = 8
_LR = 1e-3
# Tissue has no up and down. No shear and no shift: a crop may begin anywhere as it is.
_AUGMENT = {"rotation": 180.0, "zoom": 0.2, "shear": 0.0, "shift": 0.0}
_COLOURS = ("brightness", "contrast", "color")
# Crops seen in all when neither epochs nor a budget are given.
_CROPS = 8000


def choose_recipe(recipe: Recipe, facts: DataFacts) -> Choice:
    """Return the changes and their reasons; see `TaskTraining.choose`.

    Raises:
        RecipeError: For MixUp, another fit than `tile`, page steps, or a side that 32 does not
            divide.
    """
    _refuse(recipe)
    changes: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for choose in (_geometry, _network, _augmentation, _schedule):
        new, why = choose(recipe, facts)
        changes |= new
        reasons |= why
    return changes, reasons


def _refuse(recipe: Recipe) -> None:
    if recipe.train.mixup:
        raise RecipeError(
            "train.mixup mixes pictures, and a mixed mask is none. Expected 0 for segment.",
            hint="--set train.mixup=0",
        )
    if recipe.pipeline.fit not in (None, "tile"):
        raise RecipeError(
            f"pipeline.fit={recipe.pipeline.fit} squeezes a picture into the model input. "
            "Expected tile for segment.",
            hint="--set pipeline.scale=0.25 --image-size 512 looks at smaller pictures as a whole",
        )
    if recipe.pipeline.steps:
        raise RecipeError(
            "pipeline.steps cut pages to their text. Expected none for segment.",
            hint="--set pipeline.steps=[]",
        )
    options = recipe.pipeline
    for name in ("image_size", "height", "width"):
        side = getattr(options, name)
        if side is not None and side % _SIDE_STEP:
            raise RecipeError(
                f"Invalid pipeline.{name}. Expected a multiple of {_SIDE_STEP}. Received: {side}.",
                hint=f"--set pipeline.{name}={_SIDE_STEP * max(1, round(side / _SIDE_STEP))}",
            )


def _geometry(recipe: Recipe, facts: DataFacts) -> Choice:
    options = recipe.pipeline
    changes: dict[str, Any] = {"pipeline__fit": "tile", "pipeline__steps": []}
    reasons = {"pipeline.fit": "every pixel is answered, at the picture's own resolution"}
    if options.height is not None and options.width is not None:
        return changes, reasons
    side = options.image_size
    if side is None:
        seen = max(1, round(facts.median_side * options.scale))
        side = min(_SIDE, _SIDE_STEP * -(-seen // _SIDE_STEP))
        reasons["pipeline.image_size"] = (
            f"tiles of {side} px: the median picture is {facts.median_side} px long"
        )
    changes["pipeline__image_size"] = side
    changes["pipeline__height"] = options.height or side
    changes["pipeline__width"] = options.width or side
    return changes, reasons


def _network(recipe: Recipe, facts: DataFacts) -> Choice:
    changes: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    if recipe.model.backbone == "auto":
        changes["model__backbone"] = BACKBONE
        reasons["model.backbone"] = (
            "its maps at five scales carry the decoder, and the weights are installed"
        )
    if recipe.train.strategy == "auto" and recipe.model.pretrained:
        changes["train__strategy"] = "full"
        reasons["train.strategy"] = (
            "edges are learnt in the backbone's first layers: they are trained from the start"
        )
    return changes, reasons


def _augmentation(recipe: Recipe, facts: DataFacts) -> Choice:
    given = recipe.train.augment
    changes: dict[str, Any] = {
        f"train__augment__{name}": value
        for name, value in _AUGMENT.items()
        if name not in given.model_fields_set
    }
    reasons = {"train.augment.rotation": "all directions: tissue and materials have no up"}
    for name in _COLOURS:
        if name not in given.model_fields_set:
            changes[f"train__augment__{name}"] = 0.0
            reasons["train.augment.color"] = (
                "off: in stained tissue the colour is what tells, and a shifted stain is another"
            )
    if given.flip_horizontal is None:
        changes["train__augment__flip_horizontal"] = True
        changes["train__augment__flip_vertical"] = True
    return changes, reasons


def _schedule(recipe: Recipe, facts: DataFacts) -> Choice:
    train = recipe.train
    changes: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    if "label_smoothing" not in train.model_fields_set:
        changes["train__label_smoothing"] = 0.0
        reasons["train.label_smoothing"] = "off: the Dice loss keeps the answers from the extremes"
    if train.lr is None and train.optimizer == "adamw":
        changes["train__lr"] = _LR
    if train.batch_size is None:
        changes["train__batch_size"] = _BATCH
    if train.epochs is None and train.budget_s is None:
        side = max(1, facts.median_side * recipe.pipeline.scale / _SIDE)
        crops = max(1, round(facts.samples * side * side))
        epochs = max(10, min(150, round(_CROPS / crops)))
        changes["train__epochs"] = epochs
        reasons["train.epochs"] = f"about {epochs * crops} crops seen in all"
    return changes, reasons
