"""Runs a network over batches without gradients and gathers its outputs as NumPy arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import torch
from torch import nn

from foveal.train.data import Batch
from foveal.train.precision import Precision
from foveal.train.records import Forward, forward_all
from foveal.types import Outputs


def infer(
    model: nn.Module,
    batches: Iterable[Batch],
    precision: Precision,
    *,
    forward: Forward = forward_all,
    names: Collection[str] | None = None,
) -> Outputs:
    """Return the outputs for all batches, joined.

    Args:
        model: In whatever mode it is; call `model.eval()` first.
        batches: For example `loader.in_order()`; their targets are not used.
        precision: The number format; `choose_precision("fp32", device)` for exact outputs.
        forward: How the model is run.
        names: Which outputs to keep; None for all.

    Returns:
        Name → (N, …) float32.
    """
    parts: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]] = {}
    with torch.inference_mode():
        for inputs, _ in batches:
            with precision.autocast():
                outputs = forward(model, inputs)
            for name, values in outputs.items():
                if names is None or name in names:
                    parts.setdefault(name, []).append(values.float().cpu().numpy())
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}
