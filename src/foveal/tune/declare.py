"""Declare the searched settings and their ranges around the default recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, final

from foveal.errors import FovealError, WeightsError
from foveal.models.backbones import resolve_backbone
from foveal.models.lite import wheel_file
from foveal.recipe import SETTINGS, Recipe
from foveal.tasks import get_training
from foveal.tune.space import Choice, Dimension, Range, Space, Value, When

AUGMENTATION = "augmentation"
"""Stands for all strengths of augmentation at once: a factor on those of the default recipe."""
# Not `invert`: twice as many as half of the pictures are all of them.
STRENGTHS = (
    "rotation", "zoom", "shear", "shift", "stretch", "shrink", "brightness", "contrast", "color",
    "tint", "fade", "stroke", "bolder", "ink_color", "shade", "lines", "blur", "noise",
)  # fmt: skip

_SCRATCH = ("fovea", "cnn3")
_LITES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
# Sides that are tried, as shares of the default one, rounded to whole steps of pixels.
_SIDES = (2 / 3, 1.0, 4 / 3)
_SIDE_STEP = 8
# Rates are tried from a part of the default one to a multiple of it.
_RATES = (1 / 10, 8)
_BACKBONE, _STRATEGY = "model.backbone", "train.strategy"
_HEAD_FIRST = ("frozen", "staged")
_WHOLE = ("staged", "full", "scratch")


@final
@dataclass(frozen=True)
class Declared:
    """The inputs of a declaration of ranges.

    Attributes:
        low: The least value.
        high: The largest value.
        log: Tried evenly by the logarithms.
        but_for: Tasks that have no use for it.
    """

    low: float
    high: float
    log: bool = False
    but_for: tuple[str, ...] = ()


# Of masks, blended ones have no meaning.
RANGES = {
    "train.weight_decay": Declared(1e-4, 0.3, log=True),
    "train.beta1": Declared(0.8, 0.98),
    "train.beta2": Declared(0.95, 0.9999),
    "train.momentum": Declared(0.5, 0.98),
    "train.label_smoothing": Declared(0.0, 0.2),
    "train.mixup": Declared(0.0, 0.4, but_for=("segment",)),
    "model.dropout": Declared(0.0, 0.6),
    "train.augment.erasing": Declared(0.0, 0.5),
}

_OF_OPTIMIZER = {"train.beta1": "adamw", "train.beta2": "adamw", "train.momentum": "sgd"}


def declare(
    default: Recipe, fixed: frozenset[str], resolved_with: Callable[[dict[str, Value]], Recipe]
) -> Space:
    """Return what is searched around a default recipe, which lies in it.

    Args:
        default: A resolved recipe.
        fixed: Keys that were given by the user and are not searched.
        resolved_with: Resolves the recipe with other values of some keys; raises `FovealError`
            where these do not go together.
    """
    searched = [
        dimension
        for dimension in _dimensions(default, fixed, resolved_with)
        if dimension.key not in fixed and dimension.key not in _unread(default)
    ]
    plain: dict[str, Value] = {
        _BACKBONE: default.model.backbone,
        _STRATEGY: default.train.strategy,
    }
    backbones = next((d for d in searched if d.key == _BACKBONE), None)
    names = backbones.options if isinstance(backbones, Choice) else ()
    implied = {
        (_BACKBONE, name): {_STRATEGY: "scratch"}
        for name in names
        if not resolve_backbone(str(name)).pretrained
    }
    return Space(tuple(searched), plain, implied).reachable()


def recipe_layer(default: Recipe, values: dict[str, Value]) -> dict[str, object]:
    """Return the values of a trial as a layer of the recipe; see `Recipe.overlaid`."""
    layer: dict[str, object] = {}
    for key, value in values.items():
        if key == AUGMENTATION:
            for name, strength in _strengths(default, float(value)).items():
                _lay(layer, f"train.augment.{name}", strength)
        else:
            _lay(layer, key, value)
    options = default.pipeline
    if "pipeline.image_size" in values and options.height == options.width == options.image_size:
        # Of the square, whose side is laid, a recipe file may have both.
        _lay(layer, "pipeline.height", None)
        _lay(layer, "pipeline.width", None)
    return layer


def _lay(layer: dict[str, object], key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        inner = layer.setdefault(section, {})
        if not isinstance(inner, dict):
            raise TypeError(f"{key} is laid into a value")
        layer = inner
    layer[name] = value


def _strengths(default: Recipe, factor: float) -> dict[str, float]:
    """Return the strengths of augmentation times a factor, within their bounds."""
    strengths: dict[str, float] = {}
    for name in STRENGTHS:
        value = getattr(default.train.augment, name)
        if value == 0:
            continue
        about = SETTINGS[f"train.augment.{name}"].about
        most = about.le if about.le is not None else 0.99
        strengths[name] = value if factor == 1 else min(most, round(value * factor, 6))
    return strengths


def _unread(default: Recipe) -> dict[str, str]:
    return get_training(default.task).unused(default)


def _dimensions(
    default: Recipe, fixed: frozenset[str], resolved_with: Callable[[dict[str, Value]], Recipe]
) -> Iterator[Dimension]:
    backbones = [default.model.backbone]
    if _BACKBONE not in fixed:
        backbones = _backbones(default, resolved_with)
        if len(backbones) > 1:
            yield _choice(_BACKBONE, default.model.backbone, tuple(backbones))
    yield from _strategies(default, backbones, resolved_with)
    yield from _sides(default, fixed, resolved_with)
    yield from _rates(default)
    yield from _plain_ranges(default)
    if default.train.augment.is_on:
        about = "Factor on the strengths of augmentation: " + ", ".join(STRENGTHS) + "."
        yield Range(AUGMENTATION, about, 1.0, None, 0.0, 2.0)


def _backbones(default: Recipe, resolved_with: Callable[[dict[str, Value]], Recipe]) -> list[str]:
    """Return the default backbone, and those at hand that can take its place."""
    own = default.model.backbone
    names = [name for i, name in enumerate(_LITES) if _is_at_hand(i)]
    if default.task == "classify":
        names = [*_SCRATCH, *names]
    elif own not in _LITES:
        names = []
    return [own, *(n for n in names if n != own and _works(resolved_with, {_BACKBONE: n}))]


def _is_at_hand(version: int) -> bool:
    try:
        wheel_file(version)
    except WeightsError:
        return False
    return True


def _works(resolved_with: Callable[[dict[str, Value]], Recipe], values: dict[str, Value]) -> bool:
    try:
        resolved_with(values)
    except FovealError:
        return False
    return True


def _strategies(
    default: Recipe,
    backbones: list[str],
    resolved_with: Callable[[dict[str, Value]], Recipe],
) -> Iterator[Dimension]:
    """Yield the ways to train pretrained weights, for the backbones that have some."""
    if not default.model.pretrained:
        return
    pretrained = tuple(name for name in backbones if resolve_backbone(name).pretrained)
    if not pretrained:
        return
    own = default.train.strategy
    is_own = default.model.backbone in pretrained
    if not is_own:
        own = resolved_with({_BACKBONE: pretrained[0]}).train.strategy
    when = None if len(pretrained) == len(backbones) else (_BACKBONE, pretrained)
    options = tuple(dict.fromkeys((own, "frozen", "staged", "full")))
    yield _choice(_STRATEGY, own, options, when)


def _sides(
    default: Recipe, fixed: frozenset[str], resolved_with: Callable[[dict[str, Value]], Recipe]
) -> Iterator[Dimension]:
    """Yield the sizes of the model input around that of the default backbone."""
    key, side = "pipeline.image_size", default.pipeline.image_size
    if side is None or {"pipeline.height", "pipeline.width"} & fixed:
        return
    tried = {side: None, **{_SIDE_STEP * round(side * s / _SIDE_STEP): None for s in _SIDES}}
    sides = sorted(s for s in tried if s == side or _works(resolved_with, {key: s}))
    if len(sides) > 1:
        when = (_BACKBONE, (default.model.backbone,))
        yield _choice(key, side, tuple(sides), when)


def _rates(default: Recipe) -> Iterator[Dimension]:
    """Yield the learning rates of the whole network and of the head alone."""
    train = default.train
    for key, value, ways in (
        ("train.head_lr", train.head_lr, _HEAD_FIRST),
        ("train.lr", train.lr, _WHOLE),
    ):
        rate = value or train.lr
        is_fitted = key == "train.head_lr" and train.head_solver == "lbfgs"
        if rate is None or is_fitted:
            continue
        low, high = (float(f"{rate * factor:.1g}") for factor in _RATES)
        yield Range(key, SETTINGS[key].help, rate, (_STRATEGY, ways), low, high, log=True)


def _plain_ranges(default: Recipe) -> Iterator[Dimension]:
    for key, declared in RANGES.items():
        value: Any = reduce(getattr, key.split("."), default)
        if default.task in declared.but_for or not isinstance(value, (int, float)):
            continue
        if key in _OF_OPTIMIZER and _OF_OPTIMIZER[key] != default.train.optimizer:
            continue
        if key.startswith("train.augment.") and not default.train.augment.is_on:
            continue
        if declared.log and value <= 0:
            # Off, which has no logarithm.
            continue
        low, high = min(declared.low, value), max(declared.high, value)
        yield Range(key, SETTINGS[key].help, float(value), None, low, high, declared.log)


def _choice(key: str, value: Value, options: tuple[Value, ...], when: When | None = None) -> Choice:
    return Choice(key, SETTINGS[key].help, value, when, options)
