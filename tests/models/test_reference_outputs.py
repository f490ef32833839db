"""What the backbones compute, held to a few stored numbers each.

A changed layer, initialisation, normalisation or weight file changes them. They were written
with torch 2.13.0 on x86-64; kernels of other processors and versions add in another order, hence
the tolerance. To renew the file after a change that is meant to be, run
`FOVEAL_WRITE_REFERENCES=1 pytest tests/models/test_reference_outputs.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import draw_shape

from foveal.models.backbones import BACKBONES
from foveal.models.network import build_network
from foveal.recipe import ModelOptions
from foveal.tasks.classify.task import ClassifyTask
from foveal.tasks.classify.training import TRAINING
from foveal.types import Labels

_FILE = Path(__file__).with_name("reference_outputs.json")
_TASK = ClassifyTask.bind(Labels(("ant", "bee", "cat")), {})
# One of timm's networks stands for all of them.
_NETWORKS = [(name, False) for name in (*BACKBONES, "resnet18")] + [("efficientnet_lite0", True)]


def numbers_of(name: str, pretrained: bool) -> dict[str, list[float]]:
    """Return mean, spread and two corners of the last map, and the logits, for a drawn picture."""
    torch.manual_seed(0)
    network = build_network(
        TRAINING(_TASK), ModelOptions(backbone=name, dropout=0.0), pretrained=pretrained
    ).eval()
    pixels = np.asarray(draw_shape("circle", np.random.default_rng(0), 64))
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        last = network.features(images)[-1][0]
        logits = network(images)["logits"][0]
    picked = [last.mean(), last.std(), last[0, 0, 0], last[-1, -1, -1]]
    rounded = {"map": picked, "logits": logits}
    return {part: [float(f"{v:.6g}") for v in values] for part, values in rounded.items()}


@pytest.mark.parametrize(("name", "pretrained"), _NETWORKS)
def test_a_backbone_computes_what_it_did(name: str, pretrained: bool) -> None:
    key = f"{name} pretrained" if pretrained else name
    found = numbers_of(name, pretrained)
    stored = json.loads(_FILE.read_text())
    if os.environ.get("FOVEAL_WRITE_REFERENCES") == "1":
        stored[key] = found
        lines = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(stored.items())]
        _FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")

    assert found.keys() == stored[key].keys()
    for part, numbers in found.items():
        # Relative to the largest: single values near zero carry the rounding of the others.
        scale = max(map(abs, stored[key][part]))
        np.testing.assert_allclose(numbers, stored[key][part], rtol=0, atol=1e-3 * scale)
        assert scale > 0
