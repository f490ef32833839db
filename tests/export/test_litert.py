"""Files for LiteRT: converted by TensorFlow, opened and proven in LiteRT."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from drawing import DrawFolder
from test_int8 import grey_pictures

import foveal
from foveal.bundle.bundle import Bundle
from foveal.errors import UsageError
from foveal.export.formats import write_as
from foveal.export.job import ExportJob, ExportOptions, Precision
from foveal.export.litert.runtime import opened
from foveal.export.litert.signatures import Signature, signatures_of
from foveal.pipeline import Pipeline
from foveal.predict.engine import OnnxEngine
from foveal.predict.proof_inputs import draw_inputs
from foveal.workflow.exports import pictures_of

pytest.importorskip(
    "ai_edge_litert", reason="LiteRT is not installed: pip install 'foveal[litert]'"
)
pytest.importorskip("tensorflow", reason="needs TensorFlow: pip install 'foveal[litert]'")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the file of each precision."""
    folder = tmp_path_factory.mktemp("litert")
    files = {}
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    for precision in precisions:
        files[precision] = folder / f"{precision}.tflite"
        job = ExportJob(tiny_bundle, ExportOptions(precision), grey_pictures)
        write_as(job, "litert", files[precision])
    return files


def test_a_file_answers_as_the_bundle_and_gives_evidence(
    written: dict[str, Path], tiny_bundle: Bundle
) -> None:
    signatures = signatures_of(tiny_bundle.manifest, tiny_bundle.task)
    assert [one.name for one in signatures] == ["serving_default", "evidence"]
    inputs = draw_inputs(tiny_bundle.task, tiny_bundle.pipeline, 5)
    expected = OnnxEngine(tiny_bundle.model_bytes()).run(inputs)
    with opened(written["fp32"].read_bytes(), signatures) as engine:
        given = engine.run(inputs)
        assert set(given) == {"logits", "evidence"}
        for name, values in given.items():
            np.testing.assert_allclose(values, expected[name], atol=1e-4)
        assert set(engine.run(inputs, ["logits"])) == {"logits"}


def test_a_trained_network_says_how_familiar_a_picture_is(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    data = draw_folder(tmp_path / "shapes", n=12, size=32)
    bundle = foveal.train(
        data, backbone="cnn2", epochs=1, image_size=32, out=tmp_path / "runs", verbose=False
    ).bundle
    job = ExportJob(bundle, find_pictures=partial(pictures_of, bundle, None, data))
    write_as(job, "litert", tmp_path / "shapes.tflite")
    inputs = draw_inputs(bundle.task, bundle.pipeline, 3)
    expected = OnnxEngine(bundle.model_bytes()).run(inputs)["unfamiliarity"]
    signatures = signatures_of(bundle.manifest, bundle.task)
    with opened((tmp_path / "shapes.tflite").read_bytes(), signatures) as engine:
        given = engine.run(inputs, ["unfamiliarity"])["unfamiliarity"]
    np.testing.assert_allclose(given, expected, rtol=1e-3)


def test_a_file_of_integers_answers_nearly_as_the_bundle(
    written: dict[str, Path], tiny_bundle: Bundle
) -> None:
    # Values as they were when the ranges were taken; beyond these, integers end.
    inputs = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (80, 110, 140, 160)])
    expected = OnnxEngine(tiny_bundle.model_bytes()).run(inputs)
    with opened(
        written["int8"].read_bytes(), signatures_of(tiny_bundle.manifest, tiny_bundle.task)
    ) as engine:
        given = engine.run(inputs)
    for name, values in given.items():
        np.testing.assert_allclose(values, expected[name], atol=0.1)
        assert (values != expected[name]).any()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_file_opens_as_a_zip_of_labels_and_description(
    written: dict[str, Path], tiny_bundle: Bundle, precision: str
) -> None:
    with zipfile.ZipFile(written[precision]) as archive:
        assert archive.read("labels.txt") == b"circle\nsquare\n"
        described = json.loads(archive.read("foveal.json"))
    assert described["version"] == tiny_bundle.version
    assert described["proof"]["runtime"].startswith("LiteRT ")
    assert described["proof"]["label_agreement"] == 1.0
    assert (described["calibration"]["pictures"] == 400) == (precision == "int8")
    assert ("difference" in described["proof"]) == (precision == "int8")


def test_a_line_has_a_signature_for_each_width(tiny_reader: Bundle) -> None:
    manifest = replace(tiny_reader.manifest, pipeline=Pipeline(48, 100, "line"))
    assert signatures_of(manifest, tiny_reader.task) == tuple(
        Signature(f"width_{width}", width, ("logits",)) for width in (32, 64, 96)
    )


def test_a_file_is_not_written_without_pictures(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="A LiteRT file is proven on"):
        write_as(ExportJob(tiny_bundle), "litert", tmp_path / "m.tflite")
    assert list(tmp_path.iterdir()) == []
