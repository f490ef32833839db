"""Pictures with expected answers, with which an app checks itself on first start."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal import metrics
from foveal.export.job import Pictures
from foveal.predict.predictor import Predictor
from foveal.resample import resized
from foveal.types import BACKGROUND, Image, JsonObject, Picture

CHECKED = 8
# Core ML computes in 16 bits where it can: a confidence may be as far off as this.
_TOLERANCE = 0.05


def write_checks(predictor: Predictor, pictures: Pictures, folder: Path) -> int:
    """Write pictures, as PNG, and what is expected of them; return how many.

    They are PNG, as Apple's decoder of JPEG is another one, and as small as the model input allows.

    Args:
        predictor: Answers with the bundle.
        pictures: Eight of the validation pictures are taken, spread over all.
        folder: Where nothing is yet.
    """
    count = min(CHECKED, len(pictures.val))
    chosen = [pictures.val[i * len(pictures.val) // count] for i in range(count)]
    folder.mkdir()
    expected: list[JsonObject] = []
    for _, data in pictures.files(chosen):
        name = f"check-{len(expected) + 1}.png"
        pixels = _small(predictor, data)
        file = io.BytesIO()
        PILImage.fromarray(pixels).save(file, "PNG", optimize=True)
        (folder / name).write_bytes(file.getvalue())
        expected.append({"file": name, **_expected(predictor, pixels)})
    listed = {"schema_version": 1, "tolerance": _TOLERANCE, "pictures": expected}
    (folder / "check.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    return len(expected)


def _small(predictor: Predictor, data: bytes) -> Image:
    """Return a picture of which nothing is lost that the model sees; of a large one, a tile."""
    pixels = predictor.decode(data).pixels
    pipeline = predictor.pipeline
    if not pipeline.is_tiled:
        return pixels
    part = [
        min(size, round(tile / pipeline.scale))
        for size, tile in zip(pixels.shape[:2], (pipeline.height, pipeline.width), strict=True)
    ]
    top, left = ((size - cut) // 2 for size, cut in zip(pixels.shape[:2], part, strict=True))
    tile = pixels[top : top + part[0], left : left + part[1]]
    height, width = (max(1, round(size * pipeline.scale)) for size in part)
    return resized(np.ascontiguousarray(tile), height, width)


def _expected(predictor: Predictor, pixels: Image) -> JsonObject:
    if predictor.pipeline.is_tiled:
        return _expected_tile(predictor, pixels)
    model_input, frame = predictor.prepare(Picture.from_array(pixels))
    (answer,) = predictor.predict_inputs([model_input], [frame])
    return {
        "text": answer.text,
        "confidence": answer.confidence,
        "input": hashlib.sha256(model_input.tobytes()).hexdigest(),
    }


def _expected_tile(predictor: Predictor, pixels: Image) -> JsonObject:
    """Return what one tile says, without neighbours."""
    pipeline = predictor.pipeline
    height, width = pixels.shape[:2]
    beyond = ((0, pipeline.height - height), (0, pipeline.width - width), (0, 0))
    model_input = np.pad(pixels, beyond, mode="reflect")
    logits: NDArray[np.float32] = predictor.outputs(model_input[None])["logits"][0]
    calibration, labels = predictor.bundle.manifest.calibration, predictor.task.labels.names
    tempered = np.moveaxis(logits, 0, -1)[:height, :width] / np.float32(calibration.temperature)
    offsets = np.array(calibration.offsets or (0.0,) * len(labels))
    chosen = (tempered + offsets).argmax(-1)
    shares = np.take_along_axis(metrics.softmax(tempered), chosen[..., None], -1)
    counts = np.bincount(chosen.ravel(), minlength=len(labels))
    if labels[0] == BACKGROUND:
        counts[0] = 0
    return {
        "text": labels[int(counts.argmax())] if counts.any() else "",
        "confidence": float(shares.mean()),
        "input": hashlib.sha256(model_input.tobytes()).hexdigest(),
    }
