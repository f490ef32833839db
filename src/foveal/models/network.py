"""The network: normalisation, backbone and head in one module, for pictures in [0, 255]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

from foveal.models.backbone import Backbone, BackboneSpec, Triple, WeightSource
from foveal.models.backbones import resolve_backbone
from foveal.models.familiarity import Familiarity
from foveal.recipe import ModelOptions
from foveal.types import UNFAMILIARITY, JsonObject

if TYPE_CHECKING:  # tasks are built on models: only the checker may look up to them
    from foveal.tasks.training import Head, TaskTraining

# Of the parameters of a network, those of its early layers.
_MOST_EARLY = 0.5


@final
class Network(nn.Module):
    """Computes the outputs of a task for pictures.

    Args:
        backbone: Returns feature maps.
        head: Maps the tuple of feature maps to a dict of outputs.
        mean: RGB in [0, 1], subtracted from the pixels.
        std: RGB in [0, 1], by which they are divided.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, head: Head, mean: Triple, std: Triple) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        # Constants of the backbone, not weights: they are no part of the saved state.
        for name, values in (("mean", mean), ("std", std)):
            scaled = torch.tensor(values, dtype=torch.float32).mul(255.0).view(1, 3, 1, 1)
            self.register_buffer(name, scaled, persistent=False)
        self.backbone_name = ""
        self.plain_backbone = False
        """Whether the backbone runs in float32 also where the head does not."""
        self.licences: list[JsonObject] = []
        self.familiarity: Familiarity | None = None
        """Judges how familiar pictures are, once it was fitted to what the network learnt."""

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the backbone's feature maps, finest first.

        Args:
            images: (N, 3, H, W) float32 in [0, 255], RGB.
        """
        normal = (images - self.mean) / self.std
        if self.plain_backbone and torch.is_autocast_enabled(images.device.type):
            with torch.autocast(images.device.type, enabled=False):
                return self._maps(normal)
        return self._maps(normal)

    def _maps(self, normal: Tensor) -> tuple[Tensor, ...]:
        maps: tuple[Tensor, ...] = self.backbone(normal)
        return maps

    def reduced_features(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps, reduced as far as the head allows; see `Head.reduce`.

        Args:
            images: (N, 3, H, W) float32 in [0, 255], RGB.
        """
        reduced: tuple[Tensor, ...] = self.head.reduce(self.features(images))
        return reduced

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the outputs for (N, 3, H, W) float32 in [0, 255], RGB."""
        features = self.features(images)
        outputs: dict[str, Tensor] = self.head(features)
        if self.familiarity is None:
            return outputs
        return {**outputs, UNFAMILIARITY: self.familiarity(features)}


def parameters_of_stages(
    network: nn.Module,
    extract: Callable[[Tensor], tuple[Tensor, ...]],
    stages: int,
    size: tuple[int, int],
) -> frozenset[str]:
    """Return the names of the parameters that the first feature maps depend on.

    Where these hold more than half of all numbers, there are none to return: the maps are those of
    a network that joins coarse and fine ones, and not of its early layers.

    Args:
        network: Is left as it is.
        extract: (N, 3, H, W) float32 → feature maps, the finest first; a part of the network.
        stages: Number of feature maps.
        size: (height, width) of a picture that the network takes, in pixels.
    """
    if not stages:
        return frozenset()
    parameters = dict(network.named_parameters())
    wanted = {name: parameter.requires_grad for name, parameter in parameters.items()}
    modes = [(module, module.training) for module in network.modules()]
    network.requires_grad_().eval()
    device = next(iter(parameters.values())).device
    with torch.enable_grad():
        maps = extract(torch.zeros(1, 3, *size, device=device))
        total = torch.stack([one.sum() for one in maps[:stages]]).sum()
        gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    for module, mode in modes:
        module.training = mode
    for name, parameter in parameters.items():
        parameter.requires_grad_(wanted[name])
    found = zip(parameters, gradients, strict=True)
    names = frozenset(name for name, gradient in found if gradient is not None)
    count = sum(parameters[name].numel() for name in names)
    is_early = count <= _MOST_EARLY * sum(p.numel() for p in parameters.values())
    return names if is_early else frozenset()


def weight_source(options: ModelOptions, *, pretrained: bool) -> WeightSource:
    """Return the allowed sources of weights under the recipe's model section."""
    if not pretrained:
        return "none"
    return "download" if options.allow_download else "local"


def build_network(training: TaskTraining, options: ModelOptions, *, pretrained: bool) -> Network:
    """Build the network of a task.

    Args:
        training: Torch half of the task, which builds the head.
        options: Model section of the recipe; `hidden` None takes the default of the backbone.
        pretrained: Whether to start from pretrained weights if the backbone has any; False if a
            state dict is loaded next.

    Raises:
        UsageError: If the backbone is unknown.
        WeightsError: If pretrained weights are requested but missing.
    """
    spec = resolve_backbone(options.backbone)
    backbone = spec.build(weight_source(options, pretrained=pretrained))
    head = training.build_head(spec.channels, spec.strides, head_options(spec, options))
    network = Network(backbone, head, spec.mean, spec.std)
    network.backbone_name = spec.name
    network.licences = spec.licences(pretrained=pretrained)
    return network


def head_options(spec: BackboneSpec, options: ModelOptions) -> ModelOptions:
    """Return the options with the default hidden layer of a backbone, unless one is given."""
    if options.hidden is not None:
        return options
    return replace(options, hidden=spec.hidden)
