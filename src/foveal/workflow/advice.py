"""Advice for models that are not usable yet, based on their training."""

from __future__ import annotations

from foveal.bundle.manifest import Manifest
from foveal.data.findings import plural
from foveal.evaluate.limit import LEAST_SHOWN
from foveal.metrics import pictures_needed
from foveal.recipe import Recipe
from foveal.train.records import FitResult

# Beyond this, more pictures are rarely what is missing.
_MANY = 2000
_LONGER = 4
_MOST_VAL_SHARE = 0.4


def advice(manifest: Manifest, recipe: Recipe, result: FitResult) -> str | None:
    """Return what was not learnt and what to do about it, or None for a usable model.

    Args:
        manifest: The measured bundle's.
        recipe: Resolved.
        result: Result of the training.
    """
    if manifest.calibration.not_usable is None:
        return None
    if not manifest.baseline.get("is_beaten", True):
        # A head that was fitted at once took no steps.
        after = f", after {plural(result.steps, 'step')}" if result.steps else ""
        said = f"No improvement over the baseline can be shown{after}."
        ways = _to_learn(recipe, result)
    elif (manifest.calibration.pictures or 0) < pictures_needed(LEAST_SHOWN):
        said = "There are too few validation pictures to show what was learnt."
        ways = []
        if recipe.train.folds is None:
            ways.append("measuring on all of them by cross-validation (--folds 5)")
        if recipe.train.folds is None and recipe.split.val_share < _MOST_VAL_SHARE:
            ways.append(f"a larger share of them (--set split.val_share={_MOST_VAL_SHARE})")
    else:
        said = "The model did not learn enough to be sure of any answer."
        ways = _to_learn(recipe, result)
    trained = int(manifest.data.get("train", 0))
    if trained < _MANY:
        ways.append(f"more labelled pictures ({trained:,} were trained on)")
    ways.append("labels that are right (foveal check DATA)")
    return f"{said} What may help: {'; '.join(ways)}."


def _to_learn(recipe: Recipe, result: FitResult) -> list[str]:
    ways = []
    budget, epochs = recipe.train.budget_s, recipe.train.epochs
    if result.stopped == "budget" and budget is not None:
        ways.append(f"a longer training (--budget {_time(_LONGER * budget)})")
        side = recipe.pipeline.image_size or recipe.pipeline.height or 0
        if recipe.train.strategy == "scratch" and side >= 32:
            ways.append(f"smaller pictures (--image-size {max(24, side // 2)})")
    elif recipe.train.strategy == "frozen":
        ways.append("training the backbone, too (--strategy staged)")
    elif recipe.train.strategy == "staged" and not result.is_fine_tuned:
        ways.append("training the backbone, too (--set train.head_is_enough=1)")
    elif epochs is not None:
        ways.append(f"a longer training (--epochs {_LONGER * epochs})")
    return ways


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f}m" if seconds >= 120 else f"{seconds:.0f}s"
