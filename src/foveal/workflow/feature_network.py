"""The network of the features for checks: the packaged backbone as an ONNX model.

ONNX Runtime needs 0.4 times the processor time of torch for it (docs/measured.md), so it is
exported once and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
from typing import final

import torch
from torch import Tensor

from foveal.atomic import write_atomic
from foveal.destination import cache_directory
from foveal.export.onnx import export_outputs
from foveal.models.backbones import resolve_backbone
from foveal.models.lite import wheel_file
from foveal.models.network import Network
from foveal.pipeline import Pipeline
from foveal.tasks.training import LevelsHead
from foveal.version import __version__

# One for all sets, so that what is kept of a picture never changes with the pictures beside it.
# Mid-grey is what the backbone takes for nothing.
PIPELINE = Pipeline(160, 160, "pad", (127, 127, 127))
OUTPUT = "features"
_BACKBONE, _VARIANT = "efficientnet_lite0", 0
# Of its six maps: the fourth, at stride 16, knows strokes and parts (its quarters say where), and
# the last two know what is shown. No mirror image: b and d would be one letter.
_LEVELS = (3, 4, 5)


@final
class _Pooled(LevelsHead):
    """Means over the quarters of the first map, and over the whole of the others."""

    def forward(self, features: tuple[Tensor, ...]) -> dict[str, Tensor]:
        first, *others = self.reduce(features)
        rows, columns = first.shape[2] // 2, first.shape[3] // 2
        quarters = [
            quarter
            for half in (first[:, :, :rows], first[:, :, rows:])
            for quarter in (half[:, :, :, :columns], half[:, :, :, columns:])
        ]
        means = [part.mean(dim=(2, 3)) for part in (*quarters, *others)]
        return {OUTPUT: torch.cat(means, dim=1)}


def feature_model() -> tuple[bytes, str]:
    """Return a serialised ONNX model, pictures in and `OUTPUT` (N, D) out, and a key.

    The key names the weights and the pre-processing: features under equal keys may be compared.

    Raises:
        WeightsError: If the backbone's weights are not installed.
    """
    weights = hashlib.blake2b(wheel_file(_VARIANT).read_bytes(), digest_size=6).hexdigest()
    key = f"{_BACKBONE}-{PIPELINE.height}-{weights}"
    path = cache_directory() / "features" / f"{key}-{__version__}.onnx"
    if path.is_file():
        return path.read_bytes(), key
    spec = resolve_backbone(_BACKBONE)
    network = Network(spec.build("local"), _Pooled(_LEVELS), spec.mean, spec.std).eval()
    model = export_outputs(network, (OUTPUT,), PIPELINE)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, model)
    return model, key
