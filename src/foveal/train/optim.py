"""Optimizers, learning-rate schedules by progress, and the moving average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from foveal.errors import UsageError
from foveal.recipe import TrainOptions

ScheduleName: TypeAlias = Literal["one_cycle", "steps", "plateau", "constant"]

# Share of a one-cycle stage in which the learning rate rises, and where it starts from.
WARMUP_SHARE = 0.2
START_FACTOR = 0.04
# A plateau is this many validations without improvement; the rate then falls to this part.
PLATEAU_PATIENCE = 3
PLATEAU_FACTOR = 0.3
# `steps`: the share of the stage at the full rate, and the factor afterwards.
STEP_AT = 2 / 3
STEP_FACTOR = 0.1


def schedule_factor(name: ScheduleName, progress: float) -> float:
    """Return the factor on the highest learning rate at a point of the stage.

    One-cycle rises by half a cosine from 0.04 to 1 over the first fifth and falls by half a cosine
    to 0: Super-Convergence, 2017, https://arxiv.org/abs/1708.07120, with cosines for lines and
    constant momentum. `steps` falls to a tenth after two thirds (1e-3, then 1e-4). `plateau` and
    `constant` give 1; see `plateau_factor` for the former.

    Args:
        name: The schedule.
        progress: Share of the stage's steps that are done, in [0, 1].
    """
    if name == "steps":
        return 1.0 if progress < STEP_AT else STEP_FACTOR
    if name != "one_cycle":
        return 1.0
    if progress < WARMUP_SHARE:
        rise = (1 - math.cos(math.pi * progress / WARMUP_SHARE)) / 2
        return START_FACTOR + (1 - START_FACTOR) * rise
    return (1 + math.cos(math.pi * (progress - WARMUP_SHARE) / (1 - WARMUP_SHARE))) / 2


def plateau_factor(stale: int) -> float:
    """Return the factor on the learning rate after `stale` validations without improvement."""
    return PLATEAU_FACTOR if stale > 0 and stale % PLATEAU_PATIENCE == 0 else 1.0


def build_optimizer(
    model: nn.Module, options: TrainOptions, lr_factor: Callable[[str], float]
) -> torch.optim.Optimizer:
    """Freeze what `lr_factor` gives 0 for and return the optimizer of the rest.

    Parameters with fewer than two axes (biases, normalisation) are not decayed. Each group has a
    `factor` by which `set_lr` multiplies.

    Raises:
        UsageError: If nothing is left to train.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        factor = lr_factor(name)
        parameter.requires_grad_(factor > 0)
        if factor > 0:
            groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise UsageError("Invalid stage: every parameter is frozen. Expected some to train.")
    parts = [
        {"params": params, "factor": factor, "weight_decay": options.weight_decay * decayed}
        for (factor, decayed), params in groups.items()
    ]
    if options.optimizer == "sgd":
        nesterov = options.momentum > 0
        return torch.optim.SGD(parts, lr=1.0, momentum=options.momentum, nesterov=nesterov)
    betas = (options.beta1, options.beta2)
    return torch.optim.AdamW(parts, lr=1.0, betas=betas, fused=True)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group, by the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]


def set_modes(model: nn.Module, *, keep_statistics: bool = False) -> None:
    """Put the model in training mode, but for modules that are wholly frozen.

    Args:
        model: The network.
        keep_statistics: Normalise the batches of the backbone by the statistics that it has.
    """
    model.train()
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False))
        is_frozen = bool(own) and not any(parameter.requires_grad for parameter in own)
        is_kept = keep_statistics and name.startswith("backbone.")
        if is_frozen or (is_kept and isinstance(module, _BatchNorm)):
            module.eval()


class Ema:
    """Exponential moving average of a model's weights, kept as a second model.

    The decay is (1 + t) / (10 + t) while that is smaller, so that the random start is forgotten.
    Buffers (batch statistics) are copied.

    Args:
        model: Copied as the start of the average.
        decay: Share of the old average that each step keeps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay
        self._pairs = list(zip(self.model.parameters(), model.parameters(), strict=True))
        self._buffers = list(zip(self.model.buffers(), model.buffers(), strict=True))

    @torch.no_grad()
    def restart(self) -> None:
        """Take the weights as they are for the average."""
        for mean, value in (*self._pairs, *self._buffers):
            mean.copy_(value)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number `step` (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        pairs = [(mean, value) for mean, value in self._pairs if value.requires_grad]
        torch._foreach_lerp_([m for m, _ in pairs], [v for _, v in pairs], 1 - decay)
        for mean, value in self._buffers:
            mean.copy_(value)


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the model's weights and buffers in main memory."""
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}
