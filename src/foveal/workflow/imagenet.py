"""The packaged backbone with its own ImageNet classifier, as a bundle: no training."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from foveal.bundle.bundle import Bundle
from foveal.bundle.card import model_card
from foveal.bundle.manifest import Manifest
from foveal.errors import WeightsError
from foveal.export.onnx import export_onnx
from foveal.models.backbone import BACKBONES
from foveal.models.lite import LiteBackbone, load_lite
from foveal.models.network import Network
from foveal.models.torchvision_shim import import_timm
from foveal.pipeline import Pipeline
from foveal.tasks import get_task
from foveal.tasks.classify.head import EvidenceHead
from foveal.types import Calibration, Labels
from foveal.version import __version__

_SIDE = 224
_CLASSES = 1000


def write_imagenet_bundle(path: Path) -> Bundle:
    """Export the packaged network with its 1000 ImageNet labels.

    Raises:
        WeightsError: If the weights are not installed.
    """
    network, labels = imagenet_network()
    options = {"multi_label": False}
    task = get_task("classify").bind(labels, options)
    pipeline = Pipeline(_SIDE, _SIDE, "crop")
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(
        name="imagenet",
        task="classify",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        foveal_version=__version__,
        labels=labels.names,
        task_options=options,
        pipeline=pipeline,
        outputs=task.output_specs(),
        calibration=Calibration(),
        metrics={},
        data={"layout": "ImageNet-1k, by the authors of the weights"},
        recipe_digest="",
        backbone=network.backbone_name,
        parity={},
        licences=tuple(network.licences),
        files={},
    )
    card = model_card(manifest).encode()
    model = export_onnx(network, task, pipeline)
    return Bundle.write(path, manifest, {"model.onnx": model, "README.md": card})


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
        WeightsError: If the weights are not installed.
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
