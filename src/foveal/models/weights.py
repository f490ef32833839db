"""Save and load the weights of a network as safetensors."""

from __future__ import annotations

import hashlib

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from foveal.errors import WeightsError, nearest
from foveal.models.network import Network


def save_weights(network: Network) -> bytes:
    """Return the state of the network (parameters and running statistics) as a safetensors file."""
    # Copies: tensors in channels_last order or sharing memory are refused otherwise.
    state = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }
    return save(state, metadata={"backbone": network.backbone_name})


def digest_of(module: nn.Module) -> str:
    """Return a digest of the names and values of all parameters and running statistics."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def load_weights(network: Network, data: bytes) -> None:
    """Load weights that `save_weights` returned.

    Raises:
        WeightsError: If a tensor is missing, unknown, or of another shape or type; the message
            names the first.
    """
    try:
        state: dict[str, Tensor] = load(data)
    except SafetensorError as error:
        raise WeightsError(f"Cannot read the weights: {error}", code="weights_invalid") from error
    own = network.state_dict()
    for name, tensor in own.items():
        if name not in state:
            raise _misfit(name, _describe(tensor), "nothing" + _guess(name, set(state) - set(own)))
        found = state[name]
        if found.shape != tensor.shape or found.dtype != tensor.dtype:
            raise _misfit(name, _describe(tensor), _describe(found))
    for name in state:
        if name not in own:
            raise _misfit(name, "no such tensor", _describe(state[name]))
    network.load_state_dict(state)


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _guess(name: str, unknown: set[str]) -> str:
    near = nearest(name, unknown)
    return f" (but {near!r})" if near else ""


def _misfit(name: str, expected: str, received: str) -> WeightsError:
    return WeightsError(
        f"Invalid weights: tensor {name!r}. Expected {expected}. Received: {received}.",
        hint="take the weights and the recipe from the same bundle",
        code="weights_invalid",
    )
