"""The numbers of a bundle: each has its range, and all fit the graph."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from colored import color_model, reader_manifest
from drawing import brightness_model, tiny_manifest
from tinted import tint_manifest, tint_model

from foveal.bundle import Bundle, Manifest
from foveal.errors import BundleError
from foveal.pipeline import Pipeline
from foveal.types import TensorSpec


@pytest.fixture
def folder(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle.path, copy)
    return copy


def edited(folder: Path, *keys: str | int, value: str) -> Path:
    """Put JSON text in place of one value of `bundle.json`."""
    path = folder / "bundle.json"
    whole = json.loads(path.read_text())
    part: Any = whole
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = "@here"
    path.write_text(json.dumps(whole).replace('"@here"', value))
    return folder


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", '"x"', "0", "1e-300", "1e300", "true"])
def test_a_temperature_is_a_number_within_bounds(folder: Path, value: str) -> None:
    with pytest.raises(BundleError, match=r"temperature|JSON"):
        Bundle.open(edited(folder, "calibration", "temperature", value=value))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unsure_below", "NaN"),
        ("unsure_below", "1e999"),
        ("unsure_below", "1.5"),
        ("unsure_below", "-0.1"),
        ("unsure_below", "null"),
        ("thresholds", "[0.5]"),
        ("thresholds", "[0.5, -1]"),
        ("thresholds", '["x", "y"]'),
        ("thresholds", "0.5"),
        ("smallest", "[1.5, 2]"),
        ("holes", "[-1, 2]"),
        ("holes", "[1, 2, 3]"),
        ("cores", "[4]"),
        ("cores", "[0, -1]"),
        ("offsets", "[0.5]"),
        ("offsets", "[0, 4.5]"),
        ("offsets", '[0, "1"]'),
        ("stated_accuracy", "2"),
        ("coverage", '"all"'),
        ("pictures", "-3"),
        ("not_usable", "7"),
    ],
)
def test_a_calibration_is_as_documented(folder: Path, key: str, value: str) -> None:
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Bundle.open(edited(folder, "calibration", key, value=value))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("metrics", "accuracy", "value"), "NaN"),
        (("metrics", "accuracy", "value"), '"high"'),
        (("metrics", "accuracy"), "0.9"),
        (("metrics", "accuracy"), "{}"),
        (("baseline",), '{"answer": "circle"}'),
        (("baseline",), '{"answer": 1, "is_beaten": true, "metrics": {}, "difference": {}}'),
        (("parity",), "[]"),
        (("data", "samples"), "-Infinity"),
        (("labels",), '["circle", "\\ud800"]'),
        (("labels",), '"ab"'),
        (("licences",), "[1]"),
        (("files", "model.onnx"), '"abc"'),
        (("outputs", 0, "shape"), "[null, 2.0]"),
        (("outputs", 0, "shape"), "[null, true]"),
        (("outputs", 0, "shape"), "2"),
        (("outputs", 0, "name"), "1"),
        (("outputs", 0), "[]"),
        (("task_options", "multi_label"), '"yes"'),
        (("task_options", "surprise"), "1"),
        (("pipeline", "steps"), '["median:4"]'),
        (("pipeline", "scale"), "1e-300"),
        (("pipeline", "scale"), "NaN"),
        (("pipeline", "height"), "true"),
    ],
)
def test_every_other_value_is_as_documented(
    folder: Path, keys: tuple[str | int, ...], value: str
) -> None:
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Bundle.open(edited(folder, *keys, value=value))


def write(tmp_path: Path, manifest: Manifest, model: bytes) -> Bundle:
    return Bundle.write(tmp_path / "bundle", manifest, {"model.onnx": model})


def with_labels(manifest: Manifest, labels: str, *shapes: tuple[int | None, ...]) -> Manifest:
    """Return the manifest with other labels, and the shapes of outputs that these call for."""
    outputs = [
        TensorSpec(spec.name, spec.dtype, shape)
        for spec, shape in zip(manifest.outputs, shapes, strict=True)
    ]
    return replace(manifest, labels=tuple(labels), outputs=tuple(outputs))


@pytest.mark.parametrize("labels", ["a", "abc"])
def test_labels_must_be_as_many_as_the_outputs_say(folder: Path, labels: str) -> None:
    with pytest.raises(BundleError, match=f"with {len(labels)} labels"):
        Bundle.open(edited(folder, "labels", value=json.dumps(list(labels))))


@pytest.mark.parametrize("labels", ["a", "abc"])
def test_labels_must_be_as_many_as_the_graph_gives_to_classify(tmp_path: Path, labels: str) -> None:
    n = len(labels)
    manifest = with_labels(tiny_manifest(), labels, (None, n), (None, n, None, None))
    with pytest.raises(BundleError, match=rf"model\.onnx .* with {n} labels"):
        write(tmp_path, manifest, brightness_model())


@pytest.mark.parametrize("labels", ["A", "ABCD"])
def test_labels_must_be_as_many_as_the_graph_gives_to_read(tmp_path: Path, labels: str) -> None:
    manifest = with_labels(reader_manifest(), labels, (None, None, len(labels) + 1))
    with pytest.raises(BundleError, match=rf"model\.onnx .* with {len(labels)} labels"):
        write(tmp_path, manifest, color_model())


def test_labels_must_be_as_many_as_the_graph_gives_to_segment(tmp_path: Path) -> None:
    manifest = tint_manifest()
    n = len(manifest.labels) + 1
    shape = (None, n, *manifest.outputs[0].shape[2:])
    with pytest.raises(BundleError, match=rf"model\.onnx .* with {n} labels"):
        write(tmp_path, with_labels(manifest, "abcdefgh"[:n], shape), tint_model())


def test_the_graph_must_take_what_the_pipeline_makes(tmp_path: Path) -> None:
    manifest = replace(tiny_manifest(), pipeline=Pipeline(16, 32))
    with pytest.raises(BundleError, match=r"image in model\.onnx .* any x 16 x 32 x 3"):
        write(tmp_path, manifest, brightness_model())


def test_the_graph_must_give_what_is_listed(tmp_path: Path) -> None:
    familiar = TensorSpec("unfamiliarity", "float32", (None,))
    manifest = replace(tiny_manifest(), outputs=(*tiny_manifest().outputs, familiar))
    with pytest.raises(BundleError, match="no input or output 'unfamiliarity'"):
        write(tmp_path, manifest, brightness_model())
