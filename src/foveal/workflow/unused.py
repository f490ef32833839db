"""Find settings that have no effect on a run, to warn about them."""

from __future__ import annotations

from collections.abc import Iterator

from foveal.data.source import Source
from foveal.models.backbones import resolve_backbone
from foveal.recipe import AugmentOptions, Recipe
from foveal.settings import settings_of
from foveal.synth import SynthSource
from foveal.tasks.training import TaskTraining
from foveal.workflow.choose import HEAD_EPOCHS

_QUALITY = "train.quality is"
_TILED = ("pipeline.scale", "pipeline.overlap", "pipeline.flips", "train.foreground")
_HEAD_ALONE = (
    *("train.head_epochs", "train.head_lr", "train.head_solver"),
    "train.feature_views",
)
# What a head that is fitted at once does not read; the latter, where nothing else is trained.
_OF_STEPS = ("train.head_epochs", "train.head_lr")
_OF_LOOP = (
    *("train.epochs", "train.lr", "train.optimizer", "train.schedule", "train.weight_decay"),
    *("train.mixup", "train.label_smoothing", "train.patience", "train.ema", "model.dropout"),
)
_FILES = ("data.layout", "data.group_regex", "data.label_regex")
_AUGMENT = tuple(f"train.augment.{name}" for name in settings_of(AugmentOptions))


def unused_settings(
    given: Recipe, recipe: Recipe, source: Source, training: type[TaskTraining]
) -> list[str]:
    """Return a sentence for each setting that was given and is not read.

    Args:
        given: The recipe before anything was chosen.
        recipe: The same, resolved.
        source: The data.
        training: The task's torch half.
    """
    plain, values = Recipe().flat(), given.flat()
    written: dict[str, float | None] = {}
    if given.reasons:
        # The recipe of a run: foveal 0.1.0 wrote these, used or not.
        written = {
            "model.hidden": resolve_backbone(recipe.model.backbone).hidden,
            "train.head_epochs": HEAD_EPOCHS,
            "train.head_lr": recipe.train.lr,
        }
    reasons = dict(_unread(recipe, source)) | training.unused(recipe)
    return [
        f"{key} = {_as_yaml(values[key])} has no effect: {why}"
        for key, why in reasons.items()
        if key in given.given
        and key not in given.reasons
        # A younger key that is as before it could be chosen is not written.
        and key in values
        and values[key] not in (plain.get(key, ""), written.get(key))
    ]


def _as_yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unread(recipe: Recipe, source: Source) -> Iterator[tuple[str, str]]:
    train, strategy = recipe.train, recipe.train.strategy
    # Choices that it had a part in say so.
    if not any(_QUALITY in why for why in recipe.reasons.values()):
        yield "train.quality", "what it would choose is given, or follows from the data or budget"
    if recipe.pipeline.fit != "tile":
        for key in _TILED:
            yield key, f"the pictures are not cut into tiles (pipeline.fit = {recipe.pipeline.fit})"
    if strategy in ("frozen", "staged") and train.head_solver == "lbfgs":
        for key in (*_OF_STEPS, *(_OF_LOOP if strategy == "frozen" else ())):
            yield key, "the head is not trained in steps (train.head_solver = lbfgs)"
    elif strategy == "frozen":
        if train.head_epochs != train.epochs:
            yield "train.epochs", "the backbone stays frozen and train.head_epochs is given"
        if train.head_lr != train.lr:
            yield "train.lr", "the backbone stays frozen and train.head_lr is given"
    if strategy not in ("frozen", "staged"):
        for key in _HEAD_ALONE:
            yield key, f"the head is not trained separately (train.strategy = {strategy})"
    if train.folds is not None:
        yield "split.val_share", "each fold is validated on in turn (train.folds)"
    if strategy != "staged":
        for key in ("train.head_is_enough", "train.blend"):
            yield key, f"the head is not trained before the rest (train.strategy = {strategy})"
    if not train.fine_tunes:
        for key in ("train.keep_statistics", "train.frozen_stages"):
            yield key, f"no pretrained backbone is trained (train.strategy = {strategy})"
    if train.optimizer != "sgd":
        yield "train.momentum", f"train.optimizer = {train.optimizer} does not use it"
    else:
        for key in ("train.beta1", "train.beta2"):
            yield key, "train.optimizer = sgd does not use it"
    if not train.augment.is_on:
        for key in _AUGMENT[1:]:
            yield key, "augmentation is off (train.augment.enabled = false)"
    elif strategy == "frozen" and train.feature_views == 1 and recipe.pipeline.fit != "tile":
        for key in _AUGMENT:
            yield key, "only the plain view of each picture is used (train.feature_views = 1)"
    yield from _unread_of_data(recipe, source)


def _unread_of_data(recipe: Recipe, source: Source) -> Iterator[tuple[str, str]]:
    if isinstance(source, SynthSource):
        for key in _FILES:
            yield key, "generated pictures are not read from files"
        if recipe.train.strategy == "frozen":
            yield "data.fresh_every", "the features of the first pictures are cached"
        if source.kind.favouring({}, 0.0) is source.kind or recipe.data.fresh_every == 0:
            yield "data.focus", "later pictures do not depend on confused characters"
    else:
        for key in ("data.fresh_every", "data.focus"):
            yield key, "the pictures are not generated (synth:KIND)"
    named = {sample.split for sample in source.samples}
    if named != {None}:
        yield "split.test_share", "the data names its own splits"
    if "val" in named:
        yield "split.val_share", "the data names its own validation split"
