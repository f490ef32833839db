"""Decoders, which map the feature maps of a backbone to one score per class and pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn
from torch.nn import functional

from foveal.errors import RecipeError
from foveal.models.torchvision_shim import import_smp
from foveal.tasks.segment.collecting import CORES
from foveal.tasks.training import Head, LevelsHead, at_least_float32

# Of the last blocks of the U-Net, finest last: those of segmentation-models-pytorch.
_UNET_CHANNELS = (256, 128, 64, 32, 16)
# Levels that the pyramid is built on.
_FPN_LEVELS = 4
# FCN-8s scores maps from this stride on and enlarges the sum by it.
_FCN_STRIDE = 8


@final
@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of a backbone that a decoder uses: the first of each stride, finest first.

    Attributes:
        levels: Their positions among the backbone's.
        channels: Channels of each.
        strides: Strides of each.
    """

    levels: tuple[int, ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, channels: tuple[int, ...], strides: tuple[int, ...]) -> Maps:
        """Choose the maps: of two of one stride the first, which is the narrower."""
        levels = tuple(i for i, stride in enumerate(strides) if stride not in strides[:i])
        return cls(levels, tuple(channels[i] for i in levels), tuple(strides[i] for i in levels))


def build_decoder(
    name: str,
    channels: tuple[int, ...],
    strides: tuple[int, ...],
    classes: int,
    *,
    cores: bool = False,
    dropout: float,
) -> Head:
    """Return the head that a decoder's name stands for.

    Args:
        name: `unet`, `fpn` or `fcn8s`.
        channels: Channels of the backbone's maps, finest first.
        strides: Strides of the same maps.
        classes: Labels of the task.
        cores: Whether the cores of objects are answered too.
        dropout: Share of channels dropped before the last convolution.

    Raises:
        RecipeError: If the backbone has too few maps for the decoder.
    """
    maps = Maps.of(channels, strides)
    if name == "fpn" and len(maps.levels) < _FPN_LEVELS:
        raise RecipeError(
            f"The decoder fpn needs {_FPN_LEVELS} feature maps, but the backbone has "
            f"{len(maps.levels)}.",
            hint="use --set task_options.decoder=unet, or --backbone efficientnet_lite0",
        )
    if name == "fcn8s" and maps.strides[-1] < _FCN_STRIDE:
        raise RecipeError(
            f"The decoder fcn8s needs feature maps of stride {_FCN_STRIDE}, but the backbone's "
            f"coarsest has {maps.strides[-1]}.",
            hint="use --set task_options.decoder=unet, or --backbone efficientnet_lite0",
        )
    decoders: dict[str, Callable[..., Head]] = {"unet": UnetHead, "fpn": FpnHead, "fcn8s": FcnHead}
    return decoders[name](maps, classes, cores=cores, dropout=dropout)


@final
class UnetHead(LevelsHead):
    """The decoder of a U-Net, from segmentation-models-pytorch.

    U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015,
    https://arxiv.org/abs/1505.04597.

    Args:
        maps: Those of the backbone that are used.
        classes: Labels of the task.
        cores: Whether the cores of objects are answered too.
        dropout: Share of channels dropped before the last convolution.
    """

    def __init__(self, maps: Maps, classes: int, *, cores: bool = False, dropout: float) -> None:
        super().__init__(maps.levels)
        self.classes = classes
        self.stride = maps.strides[0]
        widths = _UNET_CHANNELS[-len(maps.channels) :]
        self.decoder: nn.Module = import_smp().decoders.unet.decoder.UnetDecoder(
            encoder_channels=(3, *maps.channels), decoder_channels=widths, n_blocks=len(widths)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(widths[-1], classes + cores, 3, padding=1)

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return `logits`, (N, classes, H, W), and with cores `cores`, (N, 1, H, W), float32."""
        used = self.reduce(features)
        height, width = (int(side) * self.stride for side in used[0].shape[2:])
        # The decoder asks the first map for its size alone: that of the tile.
        whole = used[0].new_empty((1, 1, height, width))
        decoded = self.decoder([whole, *used])
        return _outputs(self.classify(self.dropout(decoded)), self.classes)


@final
class FpnHead(LevelsHead):
    """A feature pyramid whose levels are summed at stride 4, from segmentation-models-pytorch.

    Feature Pyramid Networks for Object Detection, 2016, https://arxiv.org/abs/1612.03144; as a
    decoder in Panoptic Feature Pyramid Networks, 2019, https://arxiv.org/abs/1901.02446.

    Args:
        maps: Those of the backbone that are used.
        classes: Labels of the task.
        cores: Whether the cores of objects are answered too.
        dropout: Share of channels dropped before the last convolution.
    """

    def __init__(self, maps: Maps, classes: int, *, cores: bool = False, dropout: float) -> None:
        super().__init__(maps.levels)
        self.classes = classes
        self.stride = maps.strides[-_FPN_LEVELS]
        self.decoder: Any = import_smp().decoders.fpn.decoder.FPNDecoder(
            encoder_channels=[3, *maps.channels],
            encoder_depth=len(maps.channels),
            dropout=dropout,
        )
        self.classify = nn.Conv2d(self.decoder.out_channels, classes + cores, 1)

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return `logits`, (N, classes, H, W), and with cores `cores`, (N, 1, H, W), float32."""
        scores = self.classify(self.decoder(list(self.reduce(features))))
        return _outputs(_enlarge(scores, self.stride), self.classes)


@final
class FcnHead(LevelsHead):
    """FCN-8s: scores of the maps at strides 8, 16 and 32, summed and enlarged.

    Fully Convolutional Networks for Semantic Segmentation, 2014, https://arxiv.org/abs/1411.4038;
    enlarged bilinearly where the paper learns it. No code was taken.

    Args:
        maps: Those of the backbone that are used.
        classes: Labels of the task.
        cores: Whether the cores of objects are answered too.
        dropout: Share of channels dropped before the scores.
    """

    def __init__(self, maps: Maps, classes: int, *, cores: bool = False, dropout: float) -> None:
        super().__init__(maps.levels)
        self.classes = classes
        self.first = next(i for i, stride in enumerate(maps.strides) if stride >= _FCN_STRIDE)
        self.stride = maps.strides[self.first]
        self.dropout = nn.Dropout2d(dropout)
        self.scores = nn.ModuleList(
            nn.Conv2d(c, classes + cores, 1) for c in maps.channels[self.first :]
        )

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return `logits`, (N, classes, H, W), and with cores `cores`, (N, 1, H, W), float32."""
        maps = self.reduce(features)[self.first :]
        scores = [score(self.dropout(m)) for score, m in zip(self.scores, maps, strict=True)]
        total = scores[-1]
        for finer in reversed(scores[:-1]):
            total = finer + _enlarge(total, 2)
        return _outputs(_enlarge(total, self.stride), self.classes)


def _outputs(scores: Tensor, classes: int) -> dict[str, Tensor]:
    """Return the scores by name: those of the classes come first, that of the cores last."""
    scores = at_least_float32(scores)
    if scores.shape[1] == classes:
        return {"logits": scores}
    return {"logits": scores[:, :classes], CORES: scores[:, classes : classes + 1]}


def _enlarge(scores: Tensor, factor: int) -> Tensor:
    size = (int(scores.shape[2]) * factor, int(scores.shape[3]) * factor)
    return functional.interpolate(scores, size, mode="bilinear", align_corners=False)
