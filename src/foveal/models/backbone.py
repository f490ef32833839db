"""The interface of backbones, and the registry of those that foveal knows."""

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
    """A fully convolutional network that maps pictures to feature maps, finest first."""

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps, finest first; a classifier uses the last.

        Args:
            images: (N, 3, H, W) floating point, RGB, normalised with the mean and std of the spec.

        Returns:
            Tensors (N, channels[i], ~H / row_strides[i], ~W / strides[i]).
        """


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """The properties of a backbone that are known without building it.

    Attributes:
        name: Name, as for `--backbone`.
        build: Builds the backbone; raises WeightsError if the requested weights are missing.
        channels: Number of channels of each feature map.
        strides: Model-input pixels per feature-map pixel, of each feature map; along the width if
            height and width differ.
        mean: RGB in [0, 1], subtracted from the pixels.
        std: RGB in [0, 1], by which they are divided afterwards.
        paper: Title, year, URL.
        licence: SPDX id of the weights, or of the code if there are none.
        pretrained: Whether pretrained weights exist.
        default_size: Side of the model input that it was designed for, in pixels.
        min_size: Smallest side of the model input, in pixels.
        weights: Source of the pretrained weights, for the licence notice.
        hidden: Default number of channels of the head's hidden layer; 0 for none.
        dropout: Default dropout of the head.
        row_strides: Strides along the height if they differ from `strides`, else empty.
        parts: Specs of the parts of a concatenated backbone.
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

    def check_size(self, height: int, width: int) -> None:
        """Check that a model input of (height, width) pixels is large enough.

        Raises:
            UsageError: If it is too small.
        """
        if min(height, width) < self.min_size:
            raise UsageError(
                f"Invalid image size for backbone {self.name!r}. Expected at least "
                f"{self.min_size} pixels. Received: {height}x{width}.",
                hint=f"use --image-size {self.default_size}",
            )

    def licences(self, *, pretrained: bool) -> list[JsonObject]:
        """Return a licence entry for each set of third-party weights in use."""
        if not (pretrained and self.pretrained):
            return []
        if self.parts:
            return [entry for part in self.parts for entry in part.licences(pretrained=True)]
        return [{"weights": self.name, "licence": self.licence, "origin": self.weights}]


BACKBONES: Registry[BackboneSpec] = Registry(
    "backbone", BackboneSpec, group="foveal.backbones", listing="foveal models backbones"
)
