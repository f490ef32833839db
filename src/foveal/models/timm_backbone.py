"""Convolutional networks of timm as backbones.

timm (https://github.com/huggingface/pytorch-image-models) is Apache-2.0; each set of weights has
its own licence, which the spec states.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, final

import huggingface_hub
import torch
from torch import Tensor, nn

from foveal.errors import UsageError, WeightsError
from foveal.models.backbone import Backbone, BackboneSpec, WeightSource
from foveal.models.torchvision_shim import import_timm

# Inception halves with unpadded convolutions and has nothing left of smaller pictures.
_MIN_SIZES = {"inception_v3": 75, "inception_v4": 75, "inception_resnet_v2": 75, "xception": 48}
_MIN_SIZE = 32
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


@final
class TimmBackbone(Backbone):
    """The multi-scale feature maps of a timm network.

    Args:
        net: Network created with `features_only=True`.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return timm's feature maps."""
        return tuple(self.net(images))


@cache
def timm_names() -> frozenset[str]:
    """Return the names of all models of timm."""
    return frozenset(import_timm().list_models())


def timm_spec(name: str) -> BackboneSpec:
    """Return the spec of a model of timm without allocating its weights.

    Raises:
        UsageError: If the model does not return feature maps, or only takes pictures of one size.
    """
    try:
        with torch.device("meta"):
            net = import_timm().create_model(name, pretrained=False, features_only=True)
    except (RuntimeError, AttributeError, AssertionError, ValueError, TypeError) as error:
        raise UsageError(
            f"Invalid backbone {name!r}: timm cannot return its feature maps ({error}).",
            hint="use --backbone efficientnet_lite0",
        ) from error
    config: dict[str, Any] = net.pretrained_cfg
    if config.get("fixed_input_size"):
        raise UsageError(
            f"Invalid backbone {name!r}. Expected a convolutional network. Received: one that "
            f"accepts only pictures of {config['input_size'][1]} pixels.",
            hint="use --backbone convnext_tiny",
        )
    origin = _origin(config)

    def build(weights: WeightSource) -> Backbone:
        return TimmBackbone(_create(name, config, weights))

    return BackboneSpec(
        name=name,
        build=build,
        channels=tuple(net.feature_info.channels()),
        strides=tuple(net.feature_info.reduction()),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        paper=config.get("paper_name") or "see timm",
        licence=config.get("license") or "unknown",
        pretrained=bool(origin),
        default_size=int(config["input_size"][1]),
        min_size=_MIN_SIZES.get(name, _MIN_SIZE),
        weights=origin,
    )


def _origin(config: dict[str, Any]) -> str:
    hub = config.get("hf_hub_id")
    return f"https://huggingface.co/{hub}" if hub else str(config.get("url") or "")


def cached_weights(config: dict[str, Any]) -> Path | None:
    """Return the weights file of a model of timm in the local caches, or None.

    Args:
        config: timm's `pretrained_cfg`.
    """
    hub = config.get("hf_hub_id")
    wanted = (config["hf_hub_filename"],) if config.get("hf_hub_filename") else _HUB_FILES
    for filename in wanted if isinstance(hub, str) else ():
        found = huggingface_hub.try_to_load_from_cache(str(hub), filename)
        if isinstance(found, str):
            return Path(found)
    url = config.get("url")
    if url:
        path = Path(torch.hub.get_dir()) / "checkpoints" / str(url).rpartition("/")[2]
        if path.is_file():
            return path
    return None


def _create(name: str, config: dict[str, Any], weights: WeightSource) -> nn.Module:
    create = import_timm().create_model
    if weights == "none":
        net: nn.Module = create(name, pretrained=False, features_only=True)
        return net
    cached = cached_weights(config)
    if cached is None and weights == "local":
        raise WeightsError(
            f"The pretrained weights of {name!r} are not on this machine, and foveal downloads "
            "nothing unless asked.",
            hint="use --allow-download, or --backbone efficientnet_lite0 (weights from pip)",
        )
    overlay = {"file": str(cached)} if cached else None
    try:
        net = create(name, pretrained=True, features_only=True, pretrained_cfg_overlay=overlay)
    # OSError covers every failure of the network and of the file; RuntimeError a wrong state.
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(f"Cannot load the pretrained weights of {name!r}: {error}") from error
    return net
