"""A bundle of the task segment that nobody trained: for claims about time and memory alone.

Its answers mean nothing. They are busy, though: the two labels are about equally frequent, in
many small patches, as in tissue. And it clears small patches, as most trained bundles do.

    python benchmarks/untrained_segmenter.py FOLDER --backbone auto
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

import foveal
from drawn_slide import draw_cell
from foveal.bundle import Bundle
from foveal.bundle.card import model_card
from foveal.bundle.manifest import Manifest
from foveal.export.onnx import export_onnx
from foveal.models.network import Network, build_network
from foveal.recipe import ModelOptions, Recipe
from foveal.tasks import get_task, get_training
from foveal.tasks.facts import DataFacts
from foveal.types import Calibration, Labels
from foveal.workflow.choose import resolve
from foveal.workflow.resolve import pipeline_of

TASK = "segment"
LABELS = ("background", "foreground")
# As validation often chooses them: small patches of the foreground and small holes in them.
SMALLEST_PX, HOLES_PX = (0, 128), (0, 128)
# What the pictures of tissue in benchmarks/segment_unet.py say of themselves.
FACTS = DataFacts(
    samples=20,
    median_side=1000,
    median_height=1000,
    widest=1.0,
    pad_color=(230, 220, 230),
    ink_share=0.0,
    single_characters=False,
    longest_target=10,
)
_BATCHES, _BATCH = 4, 2


def main() -> None:
    """Write the bundle."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("folder", type=Path)
    made.add_argument("--backbone", default="auto", help="auto is the default recipe's")
    arguments = made.parse_args()
    write_untrained(arguments.folder, arguments.backbone)


def write_untrained(path: Path, backbone: str = "auto") -> Bundle:
    """Write a bundle of the default recipe, but for its backbone, with random weights."""
    recipe = recipe_of(backbone)
    task = get_task(TASK).bind(Labels(LABELS), recipe.task_options)
    torch.manual_seed(0)
    network = build_network(get_training(TASK)(task), recipe.model, pretrained=False)
    pipeline = pipeline_of(recipe)
    enliven(network, pipeline.height, pipeline.width)
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(
        name=f"untrained-{network.backbone_name}",
        task=TASK,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        foveal_version=foveal.__version__,
        labels=LABELS,
        task_options=dict(recipe.task_options),
        pipeline=pipeline,
        outputs=task.output_specs(),
        calibration=Calibration(smallest=SMALLEST_PX, holes=HOLES_PX),
        metrics={},
        data={"layout": "none: the weights are random"},
        recipe_digest=recipe.digest(),
        backbone=network.backbone_name,
        parity={},
        licences=(),
        files={},
    )
    card = model_card(manifest).encode()
    model = export_onnx(network, task, pipeline)
    return Bundle.write(path, manifest, {"model.onnx": model, "README.md": card})


def recipe_of(backbone: str) -> Recipe:
    """Return the recipe that foveal chooses for pictures of tissue, with a given backbone."""
    given = Recipe(task=TASK, model=ModelOptions(backbone=backbone))
    return resolve(given, FACTS, get_training(TASK), pretrained_at_hand=True)


def enliven(network: Network, height: int, width: int) -> None:
    """Let a network with random weights tell drawn tissue apart, and leave it in evaluation mode.

    Its statistics become those of drawn tiles, or its answer would be the same everywhere, and
    the last bias puts the two labels level.
    """
    rng = np.random.default_rng(0)
    cells = [draw_cell(0, column) for column in range(_BATCHES * _BATCH)]
    corners = rng.integers(
        0, (cells[0].shape[0] - height, cells[0].shape[1] - width), (len(cells), 2)
    )
    tiles = [c[y : y + height, x : x + width] for c, (y, x) in zip(cells, corners, strict=True)]
    inputs = torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).float()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean of what comes
    with torch.no_grad():
        network.train()
        for start in range(0, len(inputs), _BATCH):
            network(inputs[start : start + _BATCH])
        network.eval()
        logits = network(inputs[:_BATCH])["logits"]
        last = network.head.classify
        if not isinstance(last, nn.Conv2d) or last.bias is None:
            raise SystemExit("the decoder does not end in a convolution with a bias")
        last.bias[1] -= (logits[:, 1] - logits[:, 0]).median()


if __name__ == "__main__":
    main()
