"""What an application is checked by: the answers of the bundle to single tiles."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as PILImage
from tinted import tint_manifest, tint_model

from foveal.bundle import Bundle
from foveal.export.coreml.checks import write_checks
from foveal.predict import Predictor
from foveal.types import Calibration


@pytest.mark.parametrize("offsets", [(), (0.0, -2.5, 1.5)])
def test_a_tile_is_expected_to_be_answered_as_the_bundle_does(
    offsets: tuple[float, ...], tmp_path: Path
) -> None:
    calibration = Calibration(temperature=1.6, offsets=offsets)
    manifest = replace(tint_manifest(), calibration=calibration)
    predictor = Predictor(Bundle.write(tmp_path / "bundle", manifest, {"model.onnx": tint_model()}))
    pixels = np.random.default_rng(8).integers(0, 256, (16, 16, 3), np.uint8)
    file = io.BytesIO()
    PILImage.fromarray(pixels).save(file, "PNG")
    pictures = SimpleNamespace(
        val=["a"], files=lambda chosen: [(c, file.getvalue()) for c in chosen]
    )

    assert write_checks(predictor, pictures, tmp_path / "check") == 1

    (expected,) = json.loads((tmp_path / "check" / "check.json").read_text())["pictures"]
    (answer,) = predictor.predict([predictor.decode(file.getvalue())])
    assert expected["text"] == answer.main_label == ("red" if offsets else "blue")
    assert expected["confidence"] == pytest.approx(answer.confidence, abs=1e-6)
