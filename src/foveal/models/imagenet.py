"""The packaged backbone with its own ImageNet classifier, as an evidence head: no training."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

from foveal.errors import WeightsError
from foveal.models.backbone import BACKBONES
from foveal.models.lite import LiteBackbone, load_lite
from foveal.models.network import Network
from foveal.tasks.classify.head import EvidenceHead
from foveal.torchvision_shim import import_timm
from foveal.types import Labels

_CLASSES = 1000


def imagenet_labels() -> Labels:
    """Return the 1000 class names of ImageNet-1k in the order of the logits.

    The names are timm's (from WordNet). The two classes that share a name carry their id.
    """
    info = import_timm().data.ImageNetInfo()
    names = [info.index_to_description(index) for index in range(_CLASSES)]
    counts = Counter(names)
    return Labels(
        tuple(
            f"{name} ({info.index_to_label_name(index)})" if counts[name] > 1 else name
            for index, name in enumerate(names)
        )
    )


def imagenet_network(variant: int = 0) -> tuple[Network, Labels]:
    """Return EfficientNet-Lite with its ImageNet classifier, in evaluation mode, and the labels.

    Pooling and then a linear layer is the mean of that layer at every position: the evidence map
    is exact although the classifier was never trained to give one.

    Args:
        variant: 0, 1 or 2; the weights of 0 come with `foveal[train]`.

    Raises:
        WeightsError: When the weights are not installed.
    """
    name = f"efficientnet_lite{variant}"
    spec = BACKBONES[name]
    net = load_lite(variant, pretrained=True)
    head = EvidenceHead(spec.channels[-1:], _CLASSES, hidden=0, dropout=0.0)
    classifier = net.classifier
    if not isinstance(classifier, nn.Linear):
        raise WeightsError(f"Invalid classifier of {name!r}. Expected a linear layer.")
    with torch.no_grad():
        head.evidence.weight.copy_(classifier.weight[:, :, None, None])
        if head.evidence.bias is not None:
            head.evidence.bias.copy_(classifier.bias)
    network = Network(LiteBackbone(net), head, spec.mean, spec.std)
    network.backbone_name = name
    network.licences = spec.licences(pretrained=True)
    return network.eval(), imagenet_labels()
