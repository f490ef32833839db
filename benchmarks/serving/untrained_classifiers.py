"""Two bundles of the task classify that nobody trained: for claims about time alone.

python benchmarks/serving/untrained_classifiers.py FOLDER
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

import foveal
from foveal.bundle import Bundle
from foveal.bundle.card import model_card
from foveal.bundle.manifest import Manifest
from foveal.export.onnx import export_onnx
from foveal.models.network import build_network
from foveal.pipeline import Pipeline
from foveal.recipe import ModelOptions, Recipe
from foveal.tasks import get_task, get_training
from foveal.types import Calibration, Labels

TASK = "classify"


@dataclass(frozen=True)
class Model:
    """What is served.

    Attributes:
        name: In the results and in the routes.
        backbone: Its network.
        side: Height and width of the model input, in pixels.
        classes: How many labels.
    """

    name: str
    backbone: str
    side: int
    classes: int


MODELS = (Model("tiny", "cnn3", 64, 10), Model("lite0", "efficientnet_lite0", 192, 10))


def write_untrained(model: Model, path: Path) -> Bundle:
    """Write a bundle with random weights."""
    names = tuple(f"class {i:02d}" for i in range(model.classes))
    recipe = Recipe(task=TASK, model=ModelOptions(backbone=model.backbone))
    task = get_task(TASK).bind(Labels(names), {"multi_label": False})
    pipeline = Pipeline(model.side, model.side, fit="stretch")
    torch.manual_seed(0)
    network = build_network(get_training(TASK)(task), recipe.model, pretrained=False).eval()
    manifest = Manifest(
        name=model.name,
        task=TASK,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        foveal_version=foveal.__version__,
        labels=names,
        task_options={"multi_label": False},
        pipeline=pipeline,
        outputs=task.output_specs(),
        calibration=Calibration(unsure_below=0.5),
        metrics={},
        data={"layout": "none: the weights are random"},
        recipe_digest=recipe.digest(),
        backbone=network.backbone_name,
        parity={},
        licences=(),
        files={},
    )
    files = {
        "model.onnx": export_onnx(network, task, pipeline),
        "README.md": model_card(manifest).encode(),
    }
    return Bundle.write(path, manifest, files)


def main() -> None:
    """Write the bundles that are not there yet."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("folder", type=Path)
    folder: Path = made.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for model in MODELS:
        if not (folder / model.name).exists():
            write_untrained(model, folder / model.name)


if __name__ == "__main__":
    main()
