"""`reader` and `crnn`: backbones for lines of text, which keep more columns than rows.

`reader` spends its work like `fovea` does: the first convolution halves the size, every further
halving is a strided convolution, and residual 3x3 convolutions refine the small maps. From stride
8 on only the height shrinks, so that two narrow characters still have columns of their own.

`crnn` is the network of captcha tutorials: blocks of two convolutions with batch normalisation
and pooling. An End-to-End Trainable Neural Network for Image-based Sequence Recognition and Its
Application to Scene Text Recognition, 2015, https://arxiv.org/abs/1507.05717 (fewer and narrower
blocks here). No code was taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from foveal.models.backbone import BACKBONES, Backbone, BackboneSpec, WeightSource
from foveal.models.fovea import Residual

_WIDTHS = (32, 64, 128, 192)
_RESIDUALS = (1, 1, 1)
_CLASSIC_WIDTHS = (32, 64, 128)


@final
class Reader(Backbone):
    """A strided stem, two stages that halve both sides, one that halves the height.

    Args:
        widths: Channels of the stem and of each stage.
        residuals: Residual convolutions at the end of each stage.
    """

    def __init__(
        self, widths: Sequence[int] = _WIDTHS, residuals: Sequence[int] = _RESIDUALS
    ) -> None:
        """Build the layers."""
        super().__init__()
        self.stem = _halving(3, widths[0], both=True)
        last = len(widths) - 2
        self.stages = nn.ModuleList(
            nn.Sequential(
                _halving(before, after, both=i < last), *(Residual(after) for _ in range(count))
            )
            for i, ((before, after), count) in enumerate(
                zip(pairwise(widths), residuals, strict=True)
            )
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the stem and of each stage."""
        maps: list[Tensor] = [self.stem(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)


def _halving(before: int, after: int, *, both: bool) -> nn.Sequential:
    """Return a convolution that halves the height, and the width too when `both`."""
    stride = (2, 2) if both else (2, 1)
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


@final
class Crnn(Backbone):
    """Blocks of two convolutions with batch normalisation, then 2x2 pooling.

    Args:
        widths: Channels of each block.
    """

    def __init__(self, widths: Sequence[int] = _CLASSIC_WIDTHS) -> None:
        """Build the blocks."""
        super().__init__()
        inputs = (3, *widths[:-1])
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )
            for before, after in zip(inputs, widths, strict=True)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the output of each block."""
        maps: list[Tensor] = []
        features = images
        for block in self.blocks:
            features = block(features)
            maps.append(features)
        return tuple(maps)


def _reader(weights: WeightSource) -> Backbone:
    return Reader()


def _crnn(weights: WeightSource) -> Backbone:
    return Crnn()


BACKBONES.add(
    "reader",
    BackboneSpec(
        name="reader",
        build=_reader,
        channels=_WIDTHS,
        strides=(2, 4, 8, 8),
        row_strides=(2, 4, 8, 16),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        paper="foveal, 2026 (docs/decisions)",
        licence="Apache-2.0",
        pretrained=False,
        default_size=64,
        min_size=16,
        dropout=0.0,
    ),
)
BACKBONES.add(
    "crnn",
    BackboneSpec(
        name="crnn",
        build=_crnn,
        channels=_CLASSIC_WIDTHS,
        strides=(2, 4, 8),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        paper="An End-to-End Trainable Neural Network for Image-based Sequence Recognition, 2015, "
        "https://arxiv.org/abs/1507.05717 (smaller)",
        licence="Apache-2.0",
        pretrained=False,
        default_size=64,
        dropout=0.0,
    ),
)
