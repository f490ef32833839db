"""Run a network in torch with the interface of the ONNX engine: uint8 in, float32 out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.models.network import Network
from foveal.types import Outputs


def to_images(inputs: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return (N, H, W, 3) uint8 as (N, 3, H, W) float32 in [0, 255] on `device`."""
    # A copy, so that arrays which may not be written to need no warning.
    return torch.from_numpy(inputs.copy()).to(device).permute(0, 3, 1, 2).float()


@final
class TorchEngine:
    """An `Engine` that runs a torch network in float32 and evaluation mode.

    Args:
        network: Network, which is set to evaluation mode for each run and restored afterwards.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB."""
        network = self._network
        was_training = network.training
        network.eval()
        try:
            with torch.inference_mode():
                outputs = network(to_images(inputs, network.mean.device))
        finally:
            network.train(was_training)
        wanted = list(names or outputs)
        return {name: outputs[name].float().cpu().numpy() for name in wanted}
