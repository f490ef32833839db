"""An exported ONNX file holds what is needed to answer pictures with it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from foveal.bundle.bundle import Bundle
from foveal.bundle.onnx_check import check_onnx
from foveal.export.formats import write_as
from foveal.export.job import ExportJob
from foveal.export.onnx_file import with_metadata


def written(bundle: Bundle, tmp_path: Path) -> bytes:
    out = tmp_path / "model.onnx"
    write_as(ExportJob(bundle), "onnx", out)
    return out.read_bytes()


def test_an_onnx_file_says_what_it_is(tiny_bundle: Bundle, tmp_path: Path) -> None:
    session = ort.InferenceSession(written(tiny_bundle, tmp_path))
    entries = session.get_modelmeta().custom_metadata_map
    assert json.loads(entries["labels"]) == list(tiny_bundle.manifest.labels)
    assert (entries["name"], entries["version"]) == (tiny_bundle.name, tiny_bundle.version)
    assert "bilinear" in entries["preprocessing"]
    assert "softmax" in entries["postprocessing"]
    described = json.loads(entries["foveal"])
    manifest = tiny_bundle.manifest.to_json()
    for key in ("task", "pipeline", "calibration", "outputs", "licences", "metrics"):
        assert described[key] == manifest[key]
    assert described["input"]["name"] == "image"


def test_the_file_is_one_that_a_bundle_may_hold(tiny_bundle: Bundle, tmp_path: Path) -> None:
    model = written(tiny_bundle, tmp_path)
    onnx.checker.check_model(onnx.load_from_string(model))
    names = [value.name for value in check_onnx(model).outputs]
    assert names == [value.name for value in check_onnx(tiny_bundle.model_bytes()).outputs]


def test_long_entries_in_any_script_are_read_by_onnx(tiny_bundle: Bundle) -> None:
    entries = {"short": "", "long": "猫" * 100_000}
    model = onnx.load_from_string(with_metadata(tiny_bundle.model_bytes(), entries))
    assert {entry.key: entry.value for entry in model.metadata_props} == entries


def test_the_page_steps_that_it_leaves_to_others_are_said(
    tiny_bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = replace(tiny_bundle.manifest.pipeline, steps=("grey", "lines"))
    pages = replace(tiny_bundle, manifest=replace(tiny_bundle.manifest, pipeline=pipeline))
    with caplog.at_level(logging.WARNING, "foveal"):
        write_as(ExportJob(pages), "onnx", tmp_path / "pages.onnx")
        write_as(ExportJob(tiny_bundle), "onnx", tmp_path / "tiny.onnx")
    assert [record.getMessage() for record in caplog.records] == [
        "onnx contains the network alone, and this model cleans pages: do the steps grey, lines "
        "before you scale a picture, as foveal.preprocess does."
    ]
