"""What a backbone is, and the table of those that foveal knows without building anything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor, nn

from foveal.errors import UsageError
from foveal.registry import Registry
from foveal.types import JsonObject

WeightSource: TypeAlias = Literal["none", "local", "download"]
"""Where pretrained weights may come from: nowhere (random start), this machine, the network."""

Triple: TypeAlias = tuple[float, float, float]


class Backbone(nn.Module, ABC):
    """A fully convolutional network from pictures to feature maps, finest first."""

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return feature maps, finest first; the last is what a classifier looks at.

        Args:
            images: (N, 3, H, W) floating point, RGB, normalised with the spec's mean and std.

        Returns:
            For each i (N, channels[i], ~H / row_strides[i], ~W / strides[i]).
        """


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """Everything about a backbone that can be known without building it.

    Attributes:
        name: As `--backbone` takes it.
        build: Makes the backbone; WeightsError when the weights asked for are not at hand.
        channels: Number of channels of each feature map.
        strides: Model-input pixels per feature-map pixel, of each feature map; along the width
            where they differ.
        mean: RGB in [0, 1], subtracted from the picture.
        std: RGB in [0, 1], the picture is divided by it afterwards.
        paper: Title, year, URL.
        licence: SPDX id of the weights (of the code where there are none).
        pretrained: Whether pretrained weights exist.
        default_size: Side of the model input that it was made for, in pixels.
        min_size: Smallest side of the model input, in pixels.
        weights: Where the pretrained weights come from, for the licence line.
        hidden: Channels of the head's hidden layer when the recipe does not say; 0 for none.
        dropout: Dropout of the head that goes with it.
        row_strides: The strides along the height, where they differ from `strides`; else empty.
        parts: The backbones that are concatenated, if this is several of them.
        is_depthwise: Whether most of the time goes into depthwise convolutions, whose gradients
            processors compute faster in float32 than in bf16.
    """

    name: str
    build: Callable[[WeightSource], Backbone]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    mean: Triple
    std: Triple
    paper: str
    licence: str
    pretrained: bool
    default_size: int
    min_size: int = 8
    weights: str = ""
    hidden: int = 0
    dropout: float = 0.2
    row_strides: tuple[int, ...] = ()
    parts: tuple[BackboneSpec, ...] = ()
    is_depthwise: bool = False

    def check_size(self, height: int, width: int) -> None:
        """Check that a model input of (height, width) pixels is large enough.

        Raises:
            UsageError: When it is not.
        """
        if min(height, width) < self.min_size:
            raise UsageError(
                f"Invalid image size for backbone {self.name!r}. Expected at least "
                f"{self.min_size} pixels. Received: {height}x{width}.",
                hint=f"--image-size {self.default_size}",
            )

    def licences(self, *, pretrained: bool) -> list[JsonObject]:
        """Return a licence entry for each set of foreign weights in use."""
        if not (pretrained and self.pretrained):
            return []
        if self.parts:
            return [entry for part in self.parts for entry in part.licences(pretrained=True)]
        return [{"weights": self.name, "licence": self.licence, "origin": self.weights}]


BACKBONES: Registry[BackboneSpec] = Registry("backbone", BackboneSpec, group="foveal.backbones")
