"""A network: normalisation, backbone and head in one module that takes pictures in [0, 255]."""

from __future__ import annotations

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


@final
class Network(nn.Module):
    """Pictures in, the task's outputs out.

    Args:
        backbone: Gives feature maps.
        head: Turns the tuple of feature maps into a dict of outputs.
        mean: RGB in [0, 1] that the backbone wants subtracted.
        std: RGB in [0, 1] that it wants divided by.
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
        """Return the least of the feature maps from which the head gives the same answer.

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


def weight_source(options: ModelOptions, *, pretrained: bool) -> WeightSource:
    """Return where weights may come from under the recipe's model section."""
    if not pretrained:
        return "none"
    return "download" if options.allow_download else "local"


def build_network(training: TaskTraining, options: ModelOptions, *, pretrained: bool) -> Network:
    """Build the network of a task.

    Args:
        training: The task's torch half, which makes the head.
        options: The recipe's model section; `hidden` None takes what suits the backbone.
        pretrained: Whether to start from pretrained weights where the backbone has any; False
            when a state dict is loaded next.

    Raises:
        UsageError: For an unknown backbone.
        WeightsError: When pretrained weights are wanted but not at hand.
    """
    spec = resolve_backbone(options.backbone)
    backbone = spec.build(weight_source(options, pretrained=pretrained))
    head = training.build_head(spec.channels, spec.strides, head_options(spec, options))
    network = Network(backbone, head, spec.mean, spec.std)
    network.backbone_name = spec.name
    network.licences = spec.licences(pretrained=pretrained)
    return network


def head_options(spec: BackboneSpec, options: ModelOptions) -> ModelOptions:
    """Return the options with the hidden layer that goes with a backbone, unless one is given."""
    if options.hidden is not None:
        return options
    return replace(options, hidden=spec.hidden)
