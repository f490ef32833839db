"""Inspect a trained network: its layers and their outputs for a picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveal.errors import UsageError, unknown_name
from foveal.models.network import Network
from foveal.models.torch_engine import to_images


def list_layers(network: Network, size: tuple[int, int]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Return (name, type, output shape) of every layer, in the order in which they run.

    Layers are the modules without children (convolutions, activations, …) and the blocks that
    contain them, if their output is one tensor.

    Args:
        network: Any module.
        size: (height, width) of the model input, in pixels.

    Returns:
        Shapes are without the batch axis: (C, H, W), or (C,).
    """
    zeros = np.zeros((1, *size, 3), np.uint8)
    modules = [(name, module) for name, module in network.named_modules() if name]
    types = {name: type(module).__name__ for name, module in modules}
    outputs = _run(network, zeros, modules)
    return [(name, types[name], tuple(value.shape[1:])) for name, value in outputs.items()]


def layer_features(network: Network, inputs: NDArray[np.uint8], layer: str) -> NDArray[np.float32]:
    """Return the output of a layer for some pictures.

    Args:
        network: Any module.
        inputs: (N, H, W, 3) uint8 RGB, after the pipeline.
        layer: Name of a layer, from `list_layers`.

    Returns:
        (N, C, H', W') float32, or (N, C).

    Raises:
        UsageError: If the network has no such layer; the message suggests the closest name.
    """
    modules = dict(network.named_modules())
    if not layer or layer not in modules:
        raise UsageError(unknown_name("layer", layer, [name for name in modules if name]))
    outputs = _run(network, inputs, [(layer, modules[layer])])
    if layer not in outputs:
        raise UsageError(
            f"Layer {layer!r} does not return a single tensor. Expected one of the layers inside "
            "it."
        )
    return outputs[layer].float().cpu().numpy()


def _run(
    network: Network, inputs: NDArray[np.uint8], modules: Iterable[tuple[str, nn.Module]]
) -> dict[str, Tensor]:
    """Return the output of each module that returns one tensor, in order of completion."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            if isinstance(output, Tensor):
                # A copy: activations that work in place would change it afterwards.
                outputs[name] = output.detach().clone()

        return by_name[name].register_forward_hook(hook)

    by_name = dict(modules)
    handles = [keep(name) for name in by_name]
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            network(to_images(inputs, network.mean.device))
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return outputs
