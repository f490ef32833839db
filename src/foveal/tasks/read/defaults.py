"""What reading wants of a recipe: lines of one height, upright, and trained from scratch."""

from __future__ import annotations

from typing import Any

from foveal.errors import RecipeError
from foveal.page import DEFAULT_STEPS
from foveal.recipe import Recipe
from foveal.tasks.facts import Choice, DataFacts

BACKBONE = "reader"
_HEIGHT_STEP = 16
# Strokes of a lower picture merge at the first strides; those of a higher one cost time. Up to
# the height of a plain captcha nothing is shrunk: it is what tells O from 0 there.
_HEIGHTS = (48, 80)
# Of lines cut out of a page and joined.
_STRIP_HEIGHT = 64
# Higher pictures hold several lines, or a line in the middle of a page.
_PAGE_HEIGHT = 300
_WIDTH_STEP = 32
# Of a joined strip of lines: ten pages side by side would still fit.
_STRIP_WIDTH = 16_384
# Room for pictures wider than any that was looked at.
_SPARE_WIDTH = 2
# A turned or sheared line is still read; a strongly turned one is not what comes in.
_AUGMENT = {"rotation": 3.0, "zoom": 0.06, "shear": 6.0, "shift": 0.03}
# The ends of a line move by its length times these: of lines longer than so many heights only so
# much that they stay in the picture.
_MOVES_ENDS = ("rotation", "zoom", "shift")
_LONG_LINE = 4.0
# Heights that a strip of joined lines is long; what comes is a page, which does not say.
_STRIP_LENGTH = 16.0
# Of AdamW on the two backbones for text; others take what is usual for them.
_LR = 3e-3
_FROM_SCRATCH = (BACKBONE, "crnn")


def choose_recipe(recipe: Recipe, facts: DataFacts) -> Choice:
    """Return the changes and their reasons; see `TaskTraining.choose`.

    Raises:
        RecipeError: For MixUp, and for training on cached features of pictures of many widths.
    """
    if recipe.train.mixup:
        raise RecipeError(
            "train.mixup mixes pictures, and a mixed text cannot be read. Expected 0 for read.",
            hint="--set train.mixup=0",
        )
    changes: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for choose in (_geometry, _backbone, _augmentation, _schedule):
        new, why = choose(recipe, facts)
        changes |= new
        reasons |= why
    return changes, reasons


def _geometry(recipe: Recipe, facts: DataFacts) -> Choice:
    options = recipe.pipeline
    changes: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    fit = options.fit or "line"
    if options.fit is None:
        changes["pipeline__fit"] = fit
        reasons["pipeline.fit"] = "text keeps its aspect ratio; a picture's width is free"
    steps = options.steps
    if steps is None:
        is_page = _is_page(recipe, facts)
        steps = DEFAULT_STEPS if is_page else ()
        changes["pipeline__steps"] = list(steps)
        if is_page:
            reasons["pipeline.steps"] = (
                f"the pictures are {facts.median_height} px high: pages, whose lines are cut out "
                "and joined before they are read"
            )
    if options.height is not None and options.width is not None:
        return changes, reasons
    height = options.height or options.image_size
    if height is None:
        low, high = _HEIGHTS
        fitting = _HEIGHT_STEP * -(-facts.median_height // _HEIGHT_STEP)
        height = _STRIP_HEIGHT if steps else min(high, max(low, fitting))
        reasons["pipeline.height"] = (
            f"the median picture is {facts.median_height} px high; "
            f"text is read best between {low} and {high} px"
        )
    changes["pipeline__height"] = height
    if options.width is None:
        changes["pipeline__width"] = _widest(fit, height, facts, is_strip=bool(steps))
    return changes, reasons


def _is_page(recipe: Recipe, facts: DataFacts) -> bool:
    """Tell whether lines are cut out of the pictures and joined."""
    steps = recipe.pipeline.steps
    return facts.median_height >= _PAGE_HEIGHT if steps is None else "lines" in steps


def _widest(fit: str, height: int, facts: DataFacts, *, is_strip: bool) -> int:
    if is_strip:
        return _STRIP_WIDTH
    width = _WIDTH_STEP * -(-int(height * facts.widest) // _WIDTH_STEP)
    return min(_STRIP_WIDTH, width * _SPARE_WIDTH) if fit == "line" else width


def _backbone(recipe: Recipe, facts: DataFacts) -> Choice:
    if recipe.model.backbone != "auto":
        return {}, {}
    why = "made for lines of text: it keeps more columns than rows"
    return {"model__backbone": BACKBONE}, {"model.backbone": why}


def _augmentation(recipe: Recipe, facts: DataFacts) -> Choice:
    given = recipe.train.augment
    if facts.is_drawn and given.enabled is None:
        # 104,000 captchas, 500,000 seen: 2.3 of 100 misread as O for 0 or 0 for O, 0.3 otherwise.
        return {"train__augment__enabled": False, "train__augment__flip_horizontal": False}, {
            "train.augment.enabled": (
                "off: what is drawn varies by itself, and turning or stretching it further blurs "
                "what tells O from 0"
            )
        }
    length = _STRIP_LENGTH if _is_page(recipe, facts) else facts.widest
    part = min(1.0, _LONG_LINE / length)
    changes: dict[str, Any] = {
        f"train__augment__{name}": round(value * part, 3) if name in _MOVES_ENDS else value
        for name, value in _AUGMENT.items()
        if name not in given.model_fields_set
    }
    why = "a little: lines of text are nearly upright"
    if part < 1:
        why = "little: turned further, the ends of long lines would leave the picture"
    reasons = {"train.augment.rotation": why}
    if given.flip_horizontal is None:
        changes["train__augment__flip_horizontal"] = False
        reasons["train.augment.flip_horizontal"] = "off: a mirrored text is another text"
    return changes, reasons


def _schedule(recipe: Recipe, facts: DataFacts) -> Choice:
    train = recipe.train
    changes: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    if train.strategy in ("frozen", "staged"):
        raise RecipeError(
            f"train.strategy={train.strategy} caches the activations of pictures of one size; "
            "lines of text have many widths. Expected scratch or full for read.",
            hint="--strategy full",
        )
    if train.strategy == "auto" and recipe.model.backbone not in ("auto", BACKBONE):
        # What is chosen for all tasks caches the activations of pretrained backbones.
        changes["train__strategy"] = "full"
        reasons["train.strategy"] = "lines of text have many widths: nothing can be cached"
    is_from_scratch = recipe.model.backbone in ("auto", *_FROM_SCRATCH)
    if train.lr is None and train.optimizer == "adamw" and is_from_scratch:
        changes["train__lr"] = _LR
    if train.batch_size is None:
        changes["train__batch_size"] = 32 if facts.samples < 2000 else 64
    if train.epochs is None and train.budget_s is None:
        epochs = max(8, min(150, round(250_000 / max(1, facts.samples))))
        changes["train__epochs"] = epochs
        reasons["train.epochs"] = f"about {epochs * facts.samples} pictures seen in all"
    return changes, reasons
