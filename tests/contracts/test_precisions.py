"""The default backbone of every task is trained, exported and proven in 16 bits.

Others are trained in 32 bits by the tests of each task.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from colored import blocks_png
from discs import draw_disc_folder

import foveal

pytestmark = pytest.mark.slow

DEFAULTS = {"classify": "efficientnet_lite0", "read": "reader", "segment": "efficientnet_lite0"}
SMALL = {
    "classify": ("train.strategy=full", "pipeline.image_size=32"),
    "read": ("pipeline.height=32",),
    "segment": ("pipeline.image_size=64",),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, draw_folder) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("data")
    texts = root / "read"
    texts.mkdir()
    rows = ["image,text"]
    rng = np.random.default_rng(0)
    for i in range(24):
        text = "".join(rng.choice(list("ABC"), 3))
        (texts / f"{i}.png").write_bytes(blocks_png(text, "ABC"))
        rows.append(f"{i}.png,{text}")
    (texts / "labels.csv").write_text("\n".join(rows) + "\n")
    return {
        "classify": draw_folder(root / "classify", size=32),
        "read": texts,
        "segment": draw_disc_folder(root / "segment", 12),
    }


@pytest.mark.parametrize(
    ("task", "precision"),
    [(task, "bf16") for task in DEFAULTS] + [("segment", "bf16_head")],
)
def test_the_default_backbone_is_trained_and_proven(
    task: str, precision: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    model = foveal.train(
        folders[task],
        task=task,
        out=tmp_path,
        epochs=1,
        device="cpu",
        overrides=(
            *SMALL[task],
            f"train.precision={precision}",
            "train.batch_size=8",
            "evaluate.bootstrap=100",
        ),
    )
    assert model.bundle.manifest.backbone == DEFAULTS[task]
    assert all(math.isfinite(epoch["train_loss"]) for epoch in model.history())
    assert model.bundle.manifest.parity["samples"] > 0
