"""MixUp: blend a batch and its targets with a permutation of themselves.

mixup: Beyond Empirical Risk Minimization, 2017, https://arxiv.org/abs/1710.09412;
one weight a batch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from foveal.errors import UsageError
from foveal.train.data import Batch, Inputs
from foveal.train.distributed import Group


def mix(batch: Batch, alpha: float, seed: int, group: Group | None = None) -> Batch:
    """Blend a batch; integer targets are left as they are.

    Args:
        batch: Inputs and targets.
        alpha: Parameter of the Beta(alpha, alpha) distribution that the weight is drawn from; > 0.
        seed: Seed of the weight and the order.
        group: The processes that share the batch; None for this one alone. What a picture is
            blended with may be in another process.

    Raises:
        UsageError: If the task has no target that can be blended.
    """
    inputs, targets, share = batch
    blended = {name for name, t in targets.items() if t.is_floating_point() and name != "weight"}
    if not blended:
        raise UsageError(
            "Invalid train.mixup: the targets of this task cannot be blended.",
            hint="foveal train DATA --set train.mixup=0",
        )
    rng = np.random.default_rng(seed)
    weight = float(rng.beta(alpha, alpha))
    order = share.take(torch.from_numpy(rng.permutation(share.total)))

    def blend(values: Tensor) -> Tensor:
        if group is not None and share.copies == 1:
            rows = group.joined_rows(values)
        else:
            rows = values
        return torch.lerp(rows[order.to(values.device)], values, weight)

    mixed = {n: blend(t) if t.is_floating_point() else t for n, t in targets.items()}
    mixed_inputs: Inputs = (
        tuple(blend(m) for m in inputs) if isinstance(inputs, tuple) else blend(inputs)
    )
    return Batch(mixed_inputs, mixed, share)
