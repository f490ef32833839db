"""SavedModels: from the bytes of files on, they answer as the bundle does."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from foveal.bundle.bundle import Bundle
from foveal.cli.main import run
from foveal.errors import ImageError, ParityError, UsageError
from foveal.export import savedmodel
from foveal.export.formats import write_as
from foveal.export.job import ExportJob, Pictures
from foveal.export.process import Worker, pack_files, working
from foveal.predict.predictor import Predictor
from foveal.workflow.exports import pictures_of

TESTS = Path(__file__).resolve().parents[1]
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed"),
]


@pytest.fixture(scope="module")
def written(
    tiny_bundle: Bundle, draw_folder: object, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a SavedModel that the command line wrote."""
    root = tmp_path_factory.mktemp("savedmodel")
    draw_folder(root / "photos", n=3)  # type: ignore[operator]
    command = [str(tiny_bundle.path), "--to", "savedmodel", "--out", str(root / "shapes")]
    assert run(["export", *command, "--data", str(root / "photos"), "--quiet"]) == 0
    return root / "shapes"


@pytest.fixture(scope="module")
def worker(written: Path) -> Iterator[Worker]:
    with working("foveal.export.tensorflow.program", environment=QUIET) as started:
        started.call("load", folder=np.array(str(written)))
        yield started


def test_it_holds_what_serving_needs_and_its_proof(written: Path) -> None:
    described = json.loads((written / "1" / "assets" / "foveal.json").read_text())

    assert (written / "1" / "saved_model.pb").is_file()
    assert (written / "1" / "assets" / "labels.txt").read_text().split() == described["labels"]
    proof = described["proof"]
    assert proof["samples"] == 6 and proof["runtime"].startswith("TensorFlow ")
    assert proof["label_agreement"] == proof["identical_inputs"] == 1.0


def files() -> dict[str, bytes]:
    """Draw pictures of many sizes, modes and orientations."""
    rng = np.random.default_rng(0)
    found = {}
    for i, mode in enumerate(("RGB", "L", "RGBA", "LA", "P", "1", "I;16")):
        height, width = int(rng.integers(1, 90)), int(rng.integers(1, 90))
        pixels = rng.integers(0, 256, (height, width, 4), np.uint8)
        image = PILImage.fromarray(pixels, "RGBA")
        if mode == "I;16":
            image = PILImage.fromarray(rng.integers(0, 65536, (height, width), np.uint16))
        else:
            image = image.convert(mode)
        found[f"{mode}.png"] = save(image, "PNG", 1 + i % 8)
    for orientation in range(1, 9):
        height, width = int(rng.integers(1, 400)), int(rng.integers(1, 400))
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        image = PILImage.fromarray(pixels).convert("L" if orientation % 4 == 0 else "RGB")
        found[f"{orientation}.jpg"] = save(image, "JPEG", orientation)
    return found


def save(image: PILImage.Image, kind: str, orientation: int) -> bytes:
    exif = PILImage.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif)
    return buffer.getvalue()


def test_the_model_input_is_the_same_to_the_bit(worker: Worker, tiny_bundle: Bundle) -> None:
    predictor = Predictor(tiny_bundle)

    for name, data in files().items():
        expected, _ = predictor.prepare(predictor.decode(data))
        text = (data, base64.b64encode(data), base64.urlsafe_b64encode(data))
        for given in text:
            found = worker.call("answer", **pack_files([given]))
            np.testing.assert_array_equal(found["model_input/image"][0], expected, name)


def test_what_is_no_picture_is_an_error(worker: Worker) -> None:
    with pytest.raises(ImageError, match="Expected a JPEG or PNG picture"):
        worker.call("answer", **pack_files([b"GIF89a, and no more"]))


def test_the_vectors_of_the_pixels_come_out(tmp_path: Path) -> None:
    vectors = [str(TESTS / "vectors" / f"{name}.json") for name in ("resample", "decode")]
    program = [sys.executable, str(TESTS / "running_tensorflow.py"), *vectors]

    done = subprocess.run(program, capture_output=True, text=True, env={**os.environ, **QUIET})

    assert (done.returncode, done.stdout) == (0, "")


def test_a_reader_answers_alike(tiny_reader: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    rows = ["path,text"]
    colors = {"A": (255, 0, 0), "B": (0, 255, 0), "C": (0, 0, 255)}
    for text in ("AB", "CCA", "B"):
        line = [PILImage.new("RGB", (16, 16), colors[letter]) for letter in text]
        image = PILImage.new("RGB", (24 * len(text), 16), (255, 255, 255))
        for i, block in enumerate(line):
            image.paste(block, (24 * i, 0))
        image.save(folder / f"{text}.png")
        rows.append(f"{text}.png,{text}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    pictures = pictures_of(tiny_reader, None, folder)
    job = ExportJob(tiny_reader, find_pictures=lambda: pictures)

    proof = write_as(job, "savedmodel", tmp_path / "reader")

    assert proof is not None and proof.samples == 3
    assert proof.label_agreement == proof.identical_inputs == 1.0


def test_a_reader_that_searches_is_refused(tiny_sums: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="searches for a text \\(grammar\\)"):
        write_as(ExportJob(tiny_sums), "savedmodel", tmp_path / "sums")


def test_a_model_with_page_steps_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    manifest = tiny_bundle.manifest
    pipeline = replace(manifest.pipeline, steps=("grey",))
    bundle = replace(tiny_bundle, manifest=replace(manifest, pipeline=pipeline))

    with pytest.raises(UsageError, match="cannot clean pages"):
        write_as(ExportJob(bundle), "savedmodel", tmp_path / "pages")


def test_another_network_is_refused(worker: Worker, written: Path, tiny_bundle: Bundle) -> None:
    manifest = tiny_bundle.manifest
    swapped = replace(manifest, labels=tuple(reversed(manifest.labels)))
    pictures = pictures_of(tiny_bundle, None, written.parent / "photos")
    assert isinstance(pictures, Pictures)
    job = ExportJob(replace(tiny_bundle, manifest=swapped), find_pictures=lambda: pictures)

    with pytest.raises(ParityError, match="6 of 6 validation pictures"):
        savedmodel._prove(job, pictures, worker, "TensorFlow")
