"""The packaged backbone with its own ImageNet classifier, as a bundle: no training."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import foveal
from foveal.bundle.bundle import Bundle
from foveal.bundle.manifest import Manifest
from foveal.export.onnx import export_onnx
from foveal.models.imagenet import imagenet_network
from foveal.pipeline import Pipeline
from foveal.tasks import get_task
from foveal.types import Calibration
from foveal.workflow.card import model_card

_SIDE = 224


def write_imagenet_bundle(path: Path) -> Bundle:
    """Export the packaged network with its 1000 ImageNet labels.

    Raises:
        WeightsError: When the weights are not installed.
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
        foveal_version=foveal.__version__,
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
