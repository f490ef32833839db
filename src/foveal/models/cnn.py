"""Small fully convolutional networks that are trained from scratch.

`cnn2`, `cnn3` and `lenet5` are those of textbooks and tutorials. They end before the flattening of
the original: the dense layer after it becomes a 1x1 convolution in the head
(`BackboneSpec.hidden`), so that the logits are the mean of an evidence map. This gives up the
dependence on position, and with it most of the weights.

`fovea`, for 32 to 128 px, costs about what `cnn3` costs and learns more in the same time: the
first convolution already halves the size (full-resolution maps are what the tutorials' network
spends its time on), batch normalisation allows a high rate, and residual 3x3 convolutions are
spent where maps are small. Ideas: Deep Residual Learning for Image Recognition, 2015,
https://arxiv.org/abs/1512.03385; 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024,
https://arxiv.org/abs/2404.00498 (pool before normalising, few wide stages). No code was taken.

`reader` is the same for lines of text, with strided convolutions in place of pooling. From stride
8 on only the height shrinks, so that two narrow characters still have columns of their own.

`crnn` is the network of captcha tutorials: An End-to-End Trainable Neural Network for Image-based
Sequence Recognition and Its Application to Scene Text Recognition, 2015,
https://arxiv.org/abs/1507.05717 (fewer and narrower blocks here). No code was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor, nn

from foveal.models.backbone import BACKBONES, Backbone, BackboneSpec

# Of the shapes tried at the cost of the 3-block CNN, narrow early and deep late learnt most.
_FOVEA_WIDTHS = (24, 48, 128)
_FOVEA_RESIDUALS = (1, 2)
_READER_WIDTHS = (32, 64, 128, 192)


@final
class Blocks(Backbone):
    """A sequence of blocks; the output of each is a feature map."""

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the output of each block."""
        return _outputs(self.blocks, images)


@final
class Stages(Backbone):
    """A stem that halves the resolution, followed by stages that halve and refine it."""

    def __init__(self, stem: nn.Module, stages: Iterable[nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the output of the stem and of each stage."""
        return _outputs([self.stem, *self.stages], images)


def _outputs(modules: Iterable[nn.Module], features: Tensor) -> tuple[Tensor, ...]:
    maps: list[Tensor] = []
    for module in modules:
        features = module(features)
        maps.append(features)
    return tuple(maps)


@final
class Residual(nn.Module):
    """A 3x3 convolution added to its input: relu(x + norm(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, channels, H, W)."""
        return torch.relu(features + self.norm(self.conv(features)))


def _convolution(before: int, after: int, *, side: int = 3, stride: Any = 1) -> list[nn.Module]:
    """Return a convolution with batch normalisation and activation."""
    return [
        nn.Conv2d(before, after, side, stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]


def _plain(
    widths: Sequence[int],
    *,
    kernel: int = 3,
    activation: type[nn.Module] = nn.ReLU,
    pool: type[nn.MaxPool2d] | type[nn.AvgPool2d] = nn.MaxPool2d,
) -> Backbone:
    """Return blocks of convolution, 2x2 pooling and activation."""
    network = Blocks(
        nn.Sequential(nn.Conv2d(before, after, kernel, padding=kernel // 2), pool(2), activation())
        for before, after in pairwise((3, *widths))
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # bias=True: never None
    return network


def _crnn(widths: Sequence[int]) -> Backbone:
    return Blocks(
        nn.Sequential(*_convolution(before, after), *_convolution(after, after), nn.MaxPool2d(2))
        for before, after in pairwise((3, *widths))
    )


def _fovea(widths: Sequence[int], residuals: Sequence[int]) -> Backbone:
    def stage(before: int, after: int, count: int) -> nn.Module:
        convolution, *rest = _convolution(before, after)
        refined = (Residual(after) for _ in range(count))
        return nn.Sequential(convolution, nn.MaxPool2d(2), *rest, *refined)

    return Stages(
        nn.Sequential(*_convolution(3, widths[0], side=4, stride=2)),
        [stage(*pair, count) for pair, count in zip(pairwise(widths), residuals, strict=True)],
    )


def _reader(widths: Sequence[int]) -> Backbone:
    def halving(before: int, after: int, *, both: bool) -> nn.Module:
        return nn.Sequential(*_convolution(before, after, stride=(2, 2) if both else (2, 1)))

    # The last stage halves the height alone.
    last = len(widths) - 2
    return Stages(
        halving(3, widths[0], both=True),
        [
            nn.Sequential(halving(*pair, both=i < last), Residual(pair[1]))
            for i, pair in enumerate(pairwise(widths))
        ],
    )


def _add(name: str, build: Callable[[], Backbone], channels: Sequence[int], **others: Any) -> None:
    spec = {"strides": (2, 4, 8)[: len(channels)], "mean": (0.5,) * 3, "std": (0.5,) * 3, **others}
    BACKBONES.add(
        name,
        BackboneSpec(
            name=name,
            build=lambda weights: build(),
            channels=tuple(channels),
            licence="Apache-2.0",
            pretrained=False,
            **spec,
        ),
    )


_add(
    "cnn3",
    lambda: _plain((32, 64, 128)),
    (32, 64, 128),
    paper="the 3-block CNN of many tutorials",
    default_size=64,
    hidden=128,
    dropout=0.5,
)
_add(
    "cnn2",
    lambda: _plain((32, 32)),
    (32, 32),
    paper="the 2-block CNN of many tutorials",
    default_size=64,
    hidden=128,
    dropout=0.5,
)
_add(
    "lenet5",
    lambda: _plain((6, 16), kernel=5, activation=nn.Tanh, pool=nn.AvgPool2d),
    (6, 16),
    paper="Gradient-Based Learning Applied to Document Recognition, 1998, "
    "https://doi.org/10.1109/5.726791 (colour input, same padding, dense as 1x1)",
    default_size=32,
    hidden=120,
    dropout=0.0,
)
_add(
    "fovea",
    lambda: _fovea(_FOVEA_WIDTHS, _FOVEA_RESIDUALS),
    _FOVEA_WIDTHS,
    paper="foveal, 2026 (docs/decisions)",
    default_size=64,
    dropout=0.1,
)
_add(
    "reader",
    lambda: _reader(_READER_WIDTHS),
    _READER_WIDTHS,
    strides=(2, 4, 8, 8),
    row_strides=(2, 4, 8, 16),
    std=(0.25, 0.25, 0.25),
    paper="foveal, 2026 (docs/decisions)",
    default_size=64,
    min_size=16,
    dropout=0.0,
)
_add(
    "crnn",
    lambda: _crnn((32, 64, 128)),
    (32, 64, 128),
    std=(0.25, 0.25, 0.25),
    paper="An End-to-End Trainable Neural Network for Image-based Sequence Recognition, 2015, "
    "https://arxiv.org/abs/1507.05717 (smaller)",
    default_size=64,
    dropout=0.0,
)
