"""Custom torch networks as backbones: `--backbone package.module:make`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from foveal.errors import UsageError
from foveal.models.backbone import Backbone, BackboneSpec, WeightSource

# Sides of the squares on which the network is run to learn its strides. Their difference tells a
# stride exactly, also where convolutions without padding cut some pixels off.
_SIDES = (128, 256)
_SMALL_SIDES = (8, 16, 32, 64, 128)
_HINT = "see docs/plugins.md, A network of your own"


@final
class CustomBackbone(Backbone):
    """A custom network wrapped as a backbone.

    Args:
        net: Module that takes (N, 3, H, W) and returns one or several feature maps, finest first.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the network's feature maps."""
        maps = self.net(images)
        return (maps,) if isinstance(maps, Tensor) else tuple(maps)


def custom_spec(name: str) -> BackboneSpec:
    """Return the spec of a network given by its import path.

    Args:
        name: `package.module:make`, importable or in the working directory. `make()` returns an
            `nn.Module`, whose channels and strides are found by running it; or `make` is a
            `BackboneSpec`, which states them.

    Raises:
        UsageError: If it cannot be imported or does not return feature maps.
    """
    made = _import(name)
    if isinstance(made, BackboneSpec):
        return replace(made, name=name)
    if not callable(made):
        raise _misfit(name, "a function that returns a torch.nn.Module", _type(made))
    try:
        channels, strides, row_strides, min_size = _probe(made)
    except _Misfit as misfit:
        raise _misfit(name, *misfit.args) from misfit
    # The code is the user's: anything may be raised.
    except Exception as error:
        raise UsageError(
            f"The backbone {name!r} fails on pictures of {_SIDES[0]} and {_SIDES[1]} pixels: "
            f"{_type(error)}: {error}",
            hint=_HINT,
        ) from error

    def build(weights: WeightSource) -> Backbone:
        return CustomBackbone(made())

    return BackboneSpec(
        name=name,
        build=build,
        channels=channels,
        strides=strides,
        row_strides=row_strides if row_strides != strides else (),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        paper="code of the user's own",
        licence="unknown",
        pretrained=False,
        default_size=max(64, min_size),
        min_size=min_size,
    )


class _Misfit(Exception):
    """Raised with the expected and the received shape."""


def _misfit(name: str, expected: str, received: str) -> UsageError:
    return UsageError(
        f"Invalid backbone {name!r}. Expected {expected}. Received: {received}.", hint=_HINT
    )


def _type(value: object) -> str:
    return type(value).__name__


def _import(name: str) -> Any:
    module, _, attribute = name.partition(":")
    # A console script does not look there by itself. At the end: nothing installed is hidden.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        return getattr(import_module(module), attribute)
    # The code is the user's: anything may be raised.
    except Exception as error:
        raise UsageError(
            f"Cannot import the backbone {name!r}: {_type(error)}: {error}",
            hint=(
                f"run foveal in the folder of {module.partition('.')[0]}.py, or install its package"
            ),
        ) from error


@cache
def _probe(
    make: Callable[[], Any],
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
    """Return channels, strides along width and height, and the smallest side that works.

    Cached, because choosing a recipe requests a spec many times.
    """
    # The random numbers of a run do not depend on whether its network was looked at before.
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        net = make()
        if not isinstance(net, nn.Module):
            raise _Misfit("a function that returns a torch.nn.Module", _type(net))
        backbone = CustomBackbone(net).eval()
        small, large = (_maps(backbone, side) for side in _SIDES)
        min_size = next(side for side in _SMALL_SIDES if _works(backbone, side))
    return (
        tuple(int(m.shape[1]) for m in large),
        _strides([m.shape[3] for m in small], [m.shape[3] for m in large]),
        _strides([m.shape[2] for m in small], [m.shape[2] for m in large]),
        min_size,
    )


def _maps(backbone: CustomBackbone, side: int) -> tuple[Tensor, ...]:
    maps: tuple[Tensor, ...] = backbone(torch.zeros(2, 3, side, side))
    for features in maps:
        if not isinstance(features, Tensor):
            raise _Misfit("feature maps: a tensor (N, C, h, w), or several", _type(features))
        if features.ndim != 4 or len(features) != 2 or not features.numel():
            raise _Misfit("feature maps (2, C, h, w) for two pictures", str(tuple(features.shape)))
    if not maps:
        raise _Misfit("at least one feature map", "none")
    return maps


def _works(backbone: CustomBackbone, side: int) -> bool:
    try:
        _maps(backbone, side)
    # What a network says of a picture that is too small for it is its own affair.
    except Exception:
        return False
    return True


def _strides(small: list[int], large: list[int]) -> tuple[int, ...]:
    apart = _SIDES[1] - _SIDES[0]
    steps = [more - less for less, more in zip(small, large, strict=True)]
    if any(step < 1 or apart % step for step in steps):
        raise _Misfit(
            "feature maps whose sides are the picture's divided by a whole number",
            f"sides {small} for {_SIDES[0]} pixels, {large} for {_SIDES[1]}",
        )
    strides = [apart // step for step in steps]
    if strides != sorted(strides):
        raise _Misfit("feature maps from the finest to the coarsest", f"strides {strides}")
    return tuple(strides)
