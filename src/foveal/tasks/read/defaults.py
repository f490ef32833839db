"""Defaults of the recipe for text recognition."""

from __future__ import annotations

from foveal.errors import RecipeError
from foveal.page import DEFAULT_STEPS, FRACTION_STEPS, LINE_STEPS
from foveal.recipe import (
    AugmentOptions,
    ModelOptions,
    PipelineOptions,
    Recipe,
    TrainOptions,
)
from foveal.tasks.facts import DataFacts

BACKBONE = "reader"
_HEIGHT_STEP = 16
# Strokes of a lower picture merge at the first strides; those of a higher one cost time. Up to
# the height of a plain captcha nothing is shrunk: it is what tells O from 0 there.
_HEIGHTS = (48, 80)
# Of lines cut out of a page and joined; in these, a fraction is as high as two rows.
_STRIP_HEIGHT = 64
_ROW_HEIGHT = 48
# Of labels: the bar of a fraction.
_BAR = "/"
# Higher pictures hold several lines, or a line in the middle of a page.
_PAGE_HEIGHT = 300
_WIDTH_STEP = 32
# Of a joined strip of lines: ten pages side by side would still fit.
_STRIP_WIDTH = 16_384
# Room for pictures wider than any that was looked at.
_SPARE_WIDTH = 2
# Lines longer than so many heights are turned, scaled and shifted less: their ends move by their
# length times that, and must stay in the picture.
_LONG_LINE = 4.0
# The same of lines that are changed much: as long as those that this was measured on.
_MEASURED_LINE = 3.0
# Pictures that a training sees in all, from which on half of them are changed much; with fewer, a
# reader learns less of what is at hand (docs/decisions/0063). A budget that usually suffices.
_MANY_SEEN, _LONG_BUDGET_S = 60_000, 300.0
# Heights that a strip of joined lines is long; what comes is a page, which does not say.
_STRIP_LENGTH = 16.0
# Of AdamW on the two backbones for text; others take what is usual for them.
_LR = 3e-3
_FROM_SCRATCH = (BACKBONE, "crnn")
_LONG = "little: rotated further, the ends of long lines would leave the picture"


def choose_recipe(recipe: Recipe, facts: DataFacts) -> Recipe:
    """Choose the open settings; see `TaskTraining.choose`.

    Raises:
        RecipeError: For MixUp, and for training on cached features of pictures of many widths.
    """
    if recipe.train.mixup:
        raise RecipeError(
            "train.mixup blends pictures, but blended texts cannot be read. Expected 0 for read.",
            hint="use --set train.mixup=0",
        )
    if recipe.train.strategy in ("frozen", "staged"):
        raise RecipeError(
            f"train.strategy={recipe.train.strategy} needs pictures of one size, but lines of "
            "text have many widths. Expected scratch or full for read.",
            hint="use --strategy full",
        )
    for choose in (_steps, _geometry, _backbone, _schedule, _augmentation):
        recipe = recipe.filled(choose(recipe, facts))
    return recipe


def unused_keys(recipe: Recipe) -> dict[str, str]:
    """Return key → why it is not read; see `TaskTraining.unused`."""
    unused = {"model.hidden": "the heads of read have no such layer"}
    if recipe.task_options.get("head", "ctc") != "positions":
        why = "the sequence loss has no single classes; only the head `positions` has"
        unused |= {"train.label_smoothing": why, "task_options.length": why}
        if recipe.train.balance == "weights":
            unused["train.balance"] = why
    else:
        unused["task_options.steps_per_column"] = "the head `positions` has no columns to split"
    if recipe.task_options.get("decoder", "greedy") != "beam":
        unused["task_options.beam_width"] = "the decoder is greedy, not beam"
    return unused


def _steps(recipe: Recipe, facts: DataFacts) -> Recipe:
    if facts.median_height < _PAGE_HEIGHT:
        return Recipe(pipeline=PipelineOptions(steps=()))
    why = (
        f"the pictures are {facts.median_height} px high: pages, whose lines are cut out and "
        "joined before they are read"
    )
    steps: tuple[str, ...] = DEFAULT_STEPS
    if _BAR in facts.characters:
        steps = FRACTION_STEPS
        why += f"; {_BAR!r} in the labels may be the bar of a fraction, which is set in one row"
    return Recipe(pipeline=PipelineOptions(steps=steps), reasons={"pipeline.steps": why})


def _geometry(recipe: Recipe, facts: DataFacts) -> Recipe:
    options = recipe.pipeline
    fit, steps = options.fit or "line", options.steps or ()
    reasons = {"pipeline.fit": "text keeps its aspect ratio; a picture's width is free"}
    height = options.height or options.image_size
    if height is None:
        low, high = _HEIGHTS
        fitting = _HEIGHT_STEP * -(-facts.median_height // _HEIGHT_STEP)
        height = min(high, max(low, fitting))
        why = (
            f"the median picture is {facts.median_height} px high; lines are given between {low} "
            f"and {high} px"
        )
        if "fractions" in steps:
            height, why = _ROW_HEIGHT, "what is cut out of a page has one row of signs"
        elif steps:
            height, why = _STRIP_HEIGHT, "what is cut out of a page may have two rows of signs"
        reasons["pipeline.height"] = why
    width = _widest(fit, height, facts, is_strip=bool(steps))
    return Recipe(pipeline=PipelineOptions(fit=fit, height=height, width=width), reasons=reasons)


def _widest(fit: str, height: int, facts: DataFacts, *, is_strip: bool) -> int:
    if is_strip:
        return _STRIP_WIDTH
    width = _WIDTH_STEP * -(-int(height * facts.widest) // _WIDTH_STEP)
    return min(_STRIP_WIDTH, width * _SPARE_WIDTH) if fit == "line" else width


def _backbone(recipe: Recipe, facts: DataFacts) -> Recipe:
    why = "made for lines of text: it keeps more columns than rows"
    return Recipe(model=ModelOptions(backbone=BACKBONE), reasons={"model.backbone": why})


def _augmentation(recipe: Recipe, facts: DataFacts) -> Recipe:
    if facts.is_drawn and recipe.train.augment.enabled is None:
        # 104,000 captchas, 500,000 seen: 2.3 of 100 misread as O for 0 or 0 for O, 0.3 otherwise.
        off = AugmentOptions(enabled=False, flip_horizontal=False)
        why = (
            "generated pictures vary enough, and rotating or stretching them further blurs the "
            "difference between O and 0"
        )
        return Recipe(train=TrainOptions(augment=off), reasons={"train.augment.enabled": why})
    is_strip = not set(LINE_STEPS).isdisjoint(recipe.pipeline.steps or ())
    # The strips of other sources look alike: the steps have taken their paper and ink away.
    if is_strip:
        augment, reasons = _little(_STRIP_LENGTH)
    elif _sees_many(recipe.train, facts):
        augment, reasons = _much(facts.widest)
    else:
        augment, reasons = _little(facts.widest)
    reasons["train.augment.flip_horizontal"] = "a mirrored text is a different text"
    return Recipe(train=TrainOptions(augment=augment), reasons=reasons)


def _sees_many(train: TrainOptions, facts: DataFacts) -> bool:
    """Return whether a training is long enough to learn more than what is at hand."""
    if train.budget_s is not None and train.budget_s < _LONG_BUDGET_S:
        return False
    return train.epochs is None or train.epochs * facts.samples >= _MANY_SEEN


def _little(length: float) -> tuple[AugmentOptions, dict[str, str]]:
    """Return changes that leave a line as it would come again, and why.

    Args:
        length: Length of the longest line, in heights.
    """
    part = min(1.0, _LONG_LINE / length)
    why = "a little: lines of text are nearly horizontal"
    augment = AugmentOptions(
        rotation=round(3.0 * part, 3),
        zoom=round(0.06 * part, 3),
        shear=6.0,
        shift=round(0.03 * part, 3),
        flip_horizontal=False,
    )
    return augment, {"train.augment.rotation": why if part == 1 else _LONG}


def _much(length: float) -> tuple[AugmentOptions, dict[str, str]]:
    """Return changes as of lines from other sources, of half of the pictures, and why.

    Args:
        length: Length of the longest line, in heights.
    """
    part = min(1.0, _MEASURED_LINE / length)
    augment = AugmentOptions(
        share=0.5,
        rotation=round(12.0 * part, 3),
        zoom=round(0.12 * part, 3),
        shear=8.0,
        shift=round(0.04 * part, 3),
        stretch=0.7,
        shrink=0.6,
        flip_horizontal=False,
        tint=0.3,
        fade=0.6,
        invert=0.4,
        stroke=1.0,
        shade=0.4,
        lines=0.15,
        blur=0.2,
        noise=0.05,
    )
    why = (
        "half of the pictures are changed much, as text from other sources would be; the others "
        "stay as they are, so that these are learnt as well as before"
    )
    reasons = {"train.augment.share": why}
    return augment, reasons if part == 1 else {**reasons, "train.augment.rotation": _LONG}


def _schedule(recipe: Recipe, facts: DataFacts) -> Recipe:
    train = recipe.train
    chosen = Recipe(train=TrainOptions(batch_size=32 if facts.samples < 2000 else 64))
    if recipe.model.backbone != BACKBONE:
        # What is chosen for all tasks caches the activations of pretrained backbones.
        why = "lines of text have many widths: nothing can be cached"
        full = TrainOptions(strategy="full")
        chosen = chosen.filled(Recipe(train=full, reasons={"train.strategy": why}))
    if train.optimizer == "adamw" and recipe.model.backbone in _FROM_SCRATCH:
        chosen = chosen.filled(Recipe(train=TrainOptions(lr=_LR)))
    if train.budget_s is None:
        epochs = max(8, min(150, round(250_000 / max(1, facts.samples))))
        epochs = round(train.passes * epochs)
        why = f"about {epochs * facts.samples} pictures seen in all{train.quality_note}"
        counted = TrainOptions(epochs=epochs)
        chosen = chosen.filled(Recipe(train=counted, reasons={"train.epochs": why}))
    return chosen
