"""A small training on discs that touch, from numbered masks to objects that are told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage

import foveal
from foveal.errors import UsageError
from foveal.render.masks import read_numbers

pytestmark = pytest.mark.slow

SIDE, RADIUS = 96, 9
SMALL = (
    "model.backbone=fovea",
    "pipeline.image_size=64",
    "train.batch_size=4",
    "train.precision=fp32",
    "evaluate.bootstrap=100",
    "task_options.instances=objects",
    "task_options.core_px=2",
)


def draw(folder: Path, count: int, seed: int) -> Path:
    """Draw pairs of discs that touch, and masks in which each disc has a number of its own."""
    rng = np.random.default_rng(seed)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        ids = numbers(rng)
        noise = rng.integers(0, 60, (SIDE, SIDE, 3))
        shade = np.append(0, rng.integers(90, 190, ids.max()))[ids]
        pixels = (noise + shade[..., None]).astype(np.uint8)
        PILImage.fromarray(pixels).save(folder / "images" / f"{i}.png")
        PILImage.fromarray(ids.astype(np.uint8)).save(folder / "masks" / f"{i}.png")
    return folder


def numbers(rng: np.random.Generator) -> NDArray[np.int64]:
    rows, columns = np.indices((SIDE, SIDE))
    ids = np.zeros((SIDE, SIDE), np.int64)
    for top in (0, SIDE // 2):
        y, x = top + SIDE // 4, rng.integers(RADIUS + 2, SIDE - 3 * RADIUS)
        for shift in (0, 2 * RADIUS - 1):
            inside = (rows - y) ** 2 + (columns - x - shift) ** 2 <= RADIUS**2
            ids[inside & (ids == 0)] = ids.max() + 1
    return ids


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> foveal.Model:
    data = draw(tmp_path_factory.mktemp("data") / "discs", 16, seed=1)
    out = tmp_path_factory.mktemp("runs")
    return foveal.train(data, task="segment", out=out, epochs=16, overrides=SMALL)


def test_discs_that_touch_are_objects_of_their_own(model: foveal.Model, tmp_path: Path) -> None:
    held_out = draw(tmp_path / "held", 4, seed=2)
    found = foveal.evaluate(model, held_out, out=tmp_path / "report").metrics
    assert found["pq"].value > 0.7
    assert found["aji"].value > 0.7
    assert "AJI" in (tmp_path / "report" / "report.html").read_text()
    details = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert "objects" in json.dumps(details)


def test_an_answer_has_its_objects_in_python_and_in_files(
    model: foveal.Model, tmp_path: Path
) -> None:
    pictures = draw(tmp_path / "more", 2, seed=3) / "images"
    for answer in model.predict(pictures, out=tmp_path / "out"):
        record = answer.record
        assert answer.numbers is not None
        stored = read_numbers(record["mask"]["instances_path"])
        assert np.array_equal(stored, answer.numbers)
        assert int(stored.max()) == len(record["instances"])
        for i, one in enumerate(record["instances"]):
            rows, columns = np.nonzero(stored == i + 1)
            assert len(rows) == one["area"]
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert box == one["box"]
            assert 0.5 <= one["score"] <= 1


def test_an_app_refuses_in_one_line(model: foveal.Model, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot tell objects apart"):
        model.export("web", out=tmp_path / "app")
