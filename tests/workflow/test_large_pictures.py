"""Pictures over the usual limits, which a recipe raised: trained on, measured and answered."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from discs import DISCS, draw_discs, scatter
from drawing import DrawFolder
from PIL import Image as PILImage

import foveal
from foveal.errors import ImageTooLargeError
from foveal.server import start_in_thread

pytestmark = pytest.mark.slow

# Just over the 50 megapixels that a recipe which says nothing allows.
LARGE = (5008, 10_000)
RAISED = "data.max_pixels=60000000"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder) -> Path:
    """Return a folder whose one large picture is on the side of validation."""
    root = tmp_path_factory.mktemp("data") / "photos"
    draw_folder(root / "train", n=12)
    draw_folder(root / "val", n=4, seed=1)
    small = PILImage.open(root / "val" / "circle" / "0.png")
    small.resize(LARGE[::-1]).save(root / "val" / "circle" / "large.jpg", quality=50)
    return root


@pytest.fixture(scope="module")
def classifier(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> foveal.Model:
    small = ("train.batch_size=8", "pipeline.image_size=16", "model.backbone=cnn2")
    out = tmp_path_factory.mktemp("runs")
    return foveal.train(photos, out=out, epochs=2, overrides=(*small, RAISED))


def measured(run: Path | None) -> dict[str, int]:
    """Return how many samples of a run's validation split were measured, and how many not."""
    assert run is not None
    values = json.loads((run / "metrics.json").read_text())
    return {"samples": values["samples"], "failures": values["failures"]["count"]}


def test_a_classifier_is_measured_on_what_it_was_trained_on(classifier: foveal.Model) -> None:
    assert measured(classifier.run) == {"samples": 9, "failures": 0}


def test_a_classifier_answers_what_it_was_trained_on(
    classifier: foveal.Model, photos: Path
) -> None:
    large = photos / "val" / "circle" / "large.jpg"
    assert foveal.evaluate(classifier, photos, split="val").samples == 9
    record = foveal.predict(classifier, large).record
    assert record["label"] in ("circle", "square")
    assert foveal.explain(classifier, large).overlay.ndim == 3
    with (
        start_in_thread({"photos": classifier.predictor}, port=0) as handle,
        httpx.Client(base_url=handle.url, trust_env=False, timeout=None) as client,
    ):
        answer = client.post("/predict/photos", content=large.read_bytes())
    assert answer.status_code == 200
    assert answer.json()["label"] == record["label"]


def test_a_limit_given_at_hand_holds_instead(classifier: foveal.Model, photos: Path) -> None:
    assert classifier.run is not None
    large = photos / "val" / "circle" / "large.jpg"
    strict = foveal.load(classifier.run, max_pixels=50_079_999)
    with pytest.raises(ImageTooLargeError) as caught:
        strict(large)
    assert caught.value.hint == "--max-pixels N raises the limit"
    again = strict.evaluate(photos, split="val")
    assert [failure.code for failure in again.failures] == ["image_too_large"]


def test_masks_of_large_pictures_are_learnt_measured_and_answered(tmp_path: Path) -> None:
    root = tmp_path / "discs"
    rng = np.random.default_rng(1)
    for side, count in (("train", 4), ("val", 1)):
        for name in ("images", "masks"):
            (root / side / name).mkdir(parents=True)
        for i in range(count):
            pixels, mask = draw_discs(scatter(rng, (96, 120)), (96, 120), seed=i)
            picture, marked = PILImage.fromarray(pixels), PILImage.fromarray(mask)
            if side == "val":
                picture = picture.resize(LARGE[::-1], PILImage.Resampling.NEAREST)
                marked = marked.resize(LARGE[::-1], PILImage.Resampling.NEAREST)
            picture.save(root / side / "images" / f"{side}{i}.png", compress_level=1)
            marked.save(root / side / "masks" / f"{side}{i}.png", compress_level=1)
    (root / "classes.txt").write_text("\n".join(DISCS) + "\n")
    small = (
        "model.backbone=fovea",
        "pipeline.image_size=64",
        # A tile covers 1024 x 1024 original pixels.
        "pipeline.scale=0.0625",
        "train.batch_size=4",
        "evaluate.bootstrap=100",
        RAISED,
    )
    model = foveal.train(root, task="segment", out=tmp_path, epochs=1, overrides=small)
    assert measured(model.run) == {"samples": 1, "failures": 0}
    assert foveal.evaluate(model, root, split="val").samples == 1
    large = root / "val" / "images" / "val0.png"
    record = foveal.predict(model, large).record
    assert record["size"] == list(LARGE)
