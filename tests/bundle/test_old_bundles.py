"""Bundles that foveal 0.1.0 wrote are opened, and answer as they did then.

`format_1` holds one of each task, trained on drawn pictures with networks of a few thousand weights
(the decoders of `read` and `segment` made narrower for it, which is why these two bundles come
without `weights.safetensors`), some pictures, and what foveal 0.1.0 answered to them.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.model import Model

_FOLDER = Path(__file__).parent / "format_1"
ANSWERS = json.loads((_FOLDER / "answers.json").read_text(encoding="utf-8"))
# Processors differ in the last bits of a sum; answers are rounded to six digits.
_ROUNDING = 2e-5


def near(value: Any) -> Any:
    """Return what compares equal to the same value with rounded numbers."""
    if isinstance(value, dict):
        return {key: near(item) for key, item in value.items()}
    if isinstance(value, list):
        return [near(item) for item in value]
    return pytest.approx(value, abs=_ROUNDING) if isinstance(value, float) else value


@pytest.mark.parametrize("task", ANSWERS)
def test_an_old_bundle_answers_as_it_did(task: str) -> None:
    model = Model(_FOLDER / f"{task}.foveal")
    for name, stored in ANSWERS[task].items():
        picture = _FOLDER / "pictures" / task / f"{name}.png"
        (record,) = model.predict([picture]).records
        mask = record.pop("mask", None)
        expected = {**stored, "source": str(picture), "ms": record["ms"]}
        if record["unsure"]:
            # Said since; how familiar a picture is these networks do not say.
            expected["reasons"] = ["confidence"]
        assert set(record) == set(expected)
        assert record == near(expected)
        if mask is not None:
            with PILImage.open(picture.with_suffix(".mask.png")) as image:
                known = np.asarray(image)
            with PILImage.open(io.BytesIO(base64.b64decode(mask["png_b64"]))) as image:
                assert np.array_equal(np.asarray(image), known)


@pytest.mark.parametrize("task", ANSWERS)
def test_an_old_bundle_says_what_it_was_measured_at(task: str) -> None:
    bundle = Bundle.open(_FOLDER / f"{task}.foveal")
    assert bundle.manifest.task == task
    assert bundle.manifest.metrics[bundle.task.primary_metric]["value"] > 0.8


def test_the_network_of_an_old_bundle_is_built_again() -> None:
    model = Model(_FOLDER / "classify.foveal")
    assert "head" in {name.split(".")[0] for name, _, _ in model.layers()}
