"""Defaults of the loop that depend on optimizer, strategy and data."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from foveal.recipe import TrainOptions

Part: TypeAlias = Literal["scratch", "head", "full"]
"""A whole network from random weights; a new head; a pretrained network under a trained head."""

# The batch size at which the rates below hold.
REFERENCE_BATCH = 64
# With batches of 32, fine-tuning at 1e-3 forgets more in its first epoch than a short training
# learns again; at 1e-4 it does not come far. See docs/decisions/0054.
ADAMW_LR: dict[Part, float] = {"scratch": 4e-3, "head": 1.4e-3, "full": 5.6e-4}
SGD_LR: dict[Part, float] = {"scratch": 0.1, "head": 0.1, "full": 0.01}


def default_lr(options: TrainOptions, part: Part, batch_size: int) -> float:
    """Return the recipe's learning rate, or else a default for the optimizer and the part.

    The default grows with the square root of the batch size for AdamW and linearly for SGD.
    """
    if options.lr is not None:
        return options.lr
    ratio = batch_size / REFERENCE_BATCH
    if options.optimizer == "sgd":
        return SGD_LR[part] * ratio
    return ADAMW_LR[part] * math.sqrt(ratio)


def label_weights(counts: Tensor) -> Tensor:
    """Return (C,) weights that give every label the same share of the loss.

    Args:
        counts: (C,) how often each label occurs.

    Returns:
        Inverse frequencies with a mean of 1 over the samples; 1 for labels that do not occur.
    """
    present = counts > 0
    share = counts / counts.sum()
    weights = 1 / (present.sum() * share.clamp(min=1e-12))
    return torch.where(present, weights, torch.ones_like(weights)).float()
