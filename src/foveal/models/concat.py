"""Several backbones side by side, each with its own normalisation: `--backbone a,b`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from foveal.models.backbone import Backbone, BackboneSpec, WeightSource


@final
class ConcatBackbone(Backbone):
    """The concatenated last feature maps of several backbones, at the finest resolution.

    Args:
        backbones: The backbones, at least two.
        specs: Specs of the backbones.
    """

    def __init__(self, backbones: Sequence[Backbone], specs: Sequence[BackboneSpec]) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbones)
        strides = [spec.strides[-1] for spec in specs]
        self._finest = strides.index(min(strides))
        for index, spec in enumerate(specs):
            for name, values in (("mean", spec.mean), ("std", spec.std)):
                tensor = torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
                self.register_buffer(f"{name}{index}", tensor, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one map, (N, sum of channels, h, w), of the size of the finest last map.

        Args:
            images: (N, 3, H, W) in [0, 1], RGB; each backbone is given its own normalisation.
        """
        maps: list[Tensor] = []
        for index, backbone in enumerate(self.backbones):
            mean, std = getattr(self, f"mean{index}"), getattr(self, f"std{index}")
            maps.append(backbone((images - mean) / std)[-1])
        size = maps[self._finest].shape[2:]
        resized = [
            features
            if index == self._finest
            else functional.interpolate(features, size, mode="bilinear", align_corners=False)
            for index, features in enumerate(maps)
        ]
        return (torch.cat(resized, dim=1),)


def concat_spec(specs: Sequence[BackboneSpec]) -> BackboneSpec:
    """Return the spec of several backbones side by side."""

    def build(weights: WeightSource) -> Backbone:
        return ConcatBackbone([spec.build(weights) for spec in specs], specs)

    return BackboneSpec(
        name=",".join(spec.name for spec in specs),
        build=build,
        channels=(sum(spec.channels[-1] for spec in specs),),
        strides=(min(spec.strides[-1] for spec in specs),),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        paper="; ".join(spec.paper for spec in specs),
        licence=" AND ".join(sorted({spec.licence for spec in specs})),
        pretrained=any(spec.pretrained for spec in specs),
        default_size=max(spec.default_size for spec in specs),
        min_size=max(spec.min_size for spec in specs),
        parts=tuple(specs),
    )
