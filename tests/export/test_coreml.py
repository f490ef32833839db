"""`foveal export --to coreml`: what is written, how it is proven, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from drawing import DrawFolder, brightness_model, tiny_manifest

import foveal
from foveal.bundle.bundle import Bundle
from foveal.errors import NetworkError, ParityError, UnknownOperatorError, UsageError
from foveal.export.coreml import conversion, lossy, write
from foveal.export.coreml.interpreter import ProgramEngine
from foveal.export.coreml.saved import read_metadata, read_program
from foveal.export.formats import write_as
from foveal.export.job import ExportJob, ExportOptions, Pictures, Precision
from foveal.export.proof import Proof
from foveal.predict.engine import OnnxEngine
from foveal.workflow.exports import pictures_of

pytest.importorskip("coremltools", reason="coremltools is not installed")


@pytest.fixture(scope="module")
def pictures(draw_folder: DrawFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("coreml-pictures"), n=4)


def job_of(bundle: Bundle, pictures: Path, options: ExportOptions | None = None) -> ExportJob:
    def find() -> Pictures | None:
        return pictures_of(bundle, None, pictures)

    return ExportJob(bundle, options or ExportOptions(), find)


@pytest.fixture(scope="module")
def exported(
    tiny_bundle: Bundle, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Proof]:
    package = tmp_path_factory.mktemp("coreml") / "tiny.mlpackage"
    proof = write_as(job_of(tiny_bundle, pictures), "coreml", package)
    assert proof is not None
    return package, proof


def noise(count: int, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def test_the_saved_program_answers_like_the_bundle(
    tiny_bundle: Bundle, exported: tuple[Path, Proof]
) -> None:
    temperature = tiny_bundle.manifest.calibration.temperature
    engine = ProgramEngine(read_program(exported[0]), temperature=temperature)
    said, expected = engine.run(noise(3)), OnnxEngine(tiny_bundle.model_bytes()).run(noise(3))
    np.testing.assert_allclose(said["evidence"], expected["evidence"], atol=1e-4)
    # The logits of probabilities are known up to a number that is the same for all labels.
    between = [outputs["logits"][:, 0] - outputs["logits"][:, 1] for outputs in (said, expected)]
    np.testing.assert_allclose(*between, atol=1e-3)


def test_a_trained_network_says_how_familiar_a_picture_is(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    data = draw_folder(tmp_path / "shapes", n=12, size=32)
    model = foveal.train(
        data, backbone="cnn2", epochs=1, image_size=32, out=tmp_path / "runs", verbose=False
    )
    package = tmp_path / "shapes.mlpackage"
    write_as(job_of(model.bundle, data), "coreml", package)
    said = ProgramEngine(read_program(package), temperature=1.0).run(noise(3, 32, 32))
    expected = OnnxEngine(model.bundle.model_bytes()).run(noise(3, 32, 32))
    np.testing.assert_allclose(said["unfamiliarity"], expected["unfamiliarity"], rtol=1e-3)


def test_the_proof_says_what_ran_the_program(exported: tuple[Path, Proof]) -> None:
    proof = exported[1].to_json()
    assert proof["runtime"].startswith("the saved program of Core ML, run by foveal (coremltools")
    assert (proof["samples"], proof["label_agreement"], proof["precision"]) == (8, 1.0, "fp32")
    assert proof["outputs"]["evidence"]["share"] < 1e-5


def test_the_outputs_are_the_probabilities_and_the_map(exported: tuple[Path, Proof]) -> None:
    assert read_program(exported[0]).outputs == ("probabilities", "evidence")
    answer = ProgramEngine(read_program(exported[0])).answer(noise(1)[0])
    assert answer["probabilities"].sum() == pytest.approx(1.0)


def test_the_package_says_what_it_is(tiny_bundle: Bundle, exported: tuple[Path, Proof]) -> None:
    said = json.loads(read_metadata(exported[0])["foveal"])
    assert (said["name"], said["version"]) == (tiny_bundle.name, tiny_bundle.version)
    assert said["labels"] == ["circle", "square"]
    assert said["calibration"]["temperature"] == tiny_bundle.manifest.calibration.temperature
    assert said["proof"] == exported[1].to_json()


def test_coremltools_reads_what_was_added(exported: tuple[Path, Proof]) -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "for name in ('tensorflow', 'torch', 'sklearn'): sys.modules[name] = None\n"
        "import coremltools\n"
        "spec = coremltools.utils.load_spec(sys.argv[1])\n"
        "print(spec.specificationVersion, spec.description.input[0].type.WhichOneof('Type'))\n"
        "print([o.name for o in spec.description.output])\n"
        "print(sorted(k for k in spec.description.metadata.userDefined if '.' not in k))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(exported[0])], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["8 imageType", "['probabilities', 'evidence']", "['foveal']"]


def test_halves_are_rounded_and_proven(tiny_bundle: Bundle, pictures: Path, tmp_path: Path) -> None:
    job = job_of(tiny_bundle, pictures, ExportOptions("fp16"))
    proof = write_as(job, "coreml", tmp_path / "tiny.mlpackage")
    assert proof is not None
    # Rounded to 11 bits: off by more than in 32 bits, and by less than a hundredth.
    assert 1e-6 < proof.to_json()["outputs"]["evidence"]["share"] < 1e-2


def test_weights_of_8_bits_are_calibrated_anew(
    tiny_bundle: Bundle, draw_folder: DrawFolder, tmp_path: Path
) -> None:
    package = tmp_path / "tiny.mlpackage"
    # On fewer, even no mistake at all would not show that none in a hundred is lost.
    many = draw_folder(tmp_path / "many", n=200)
    proof = write_as(job_of(tiny_bundle, many, ExportOptions("int8")), "coreml", package)
    assert proof is not None
    said = json.loads(read_metadata(package)["foveal"])
    assert said["proof"]["precision"] == "int8"
    assert said["proof"]["calibrated_difference"] < 1e-5
    # Fitted to pictures that are all answered right; the bundle's own is 1.
    temperature = said["calibration"]["temperature"]
    assert temperature != tiny_bundle.manifest.calibration.temperature
    one = ProgramEngine(read_program(package), temperature=temperature).run(noise(2))
    own = OnnxEngine(tiny_bundle.model_bytes()).run(noise(2))
    between = [outputs["logits"][:, 0] - outputs["logits"][:, 1] for outputs in (one, own)]
    np.testing.assert_allclose(*between, rtol=0.05, atol=0.1)
    # No ranges of activations were taken from any of them, so all of them verify it.
    assert write.verify_coreml(job_of(tiny_bundle, many), package).samples == proof.samples == 400


def test_too_few_pictures_cannot_show_that_8_bits_are_enough(
    tiny_bundle: Bundle,
    exported: tuple[Path, Proof],
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def convert(bundle: Bundle, precision: str, package: Path, *, temperature: float) -> None:
        shutil.copytree(exported[0], package)

    monkeypatch.setattr(lossy, "convert", convert)
    with pytest.raises(ParityError, match="cannot be ruled out on so few pictures"):
        write_as(job_of(tiny_bundle, pictures, ExportOptions("int8")), "coreml", tmp_path / "int8")
    assert not (tmp_path / "int8").exists()


def test_a_reader_takes_every_width(tiny_reader: Bundle, tmp_path: Path) -> None:
    package = tmp_path / "reader.mlpackage"
    conversion.convert(tiny_reader, "fp32", package)
    engine, own = ProgramEngine(read_program(package)), OnnxEngine(tiny_reader.model_bytes())
    pipeline = tiny_reader.pipeline
    widths = conversion.widths_of(tiny_reader)
    assert widths[0] == pipeline.width_step
    for width in {widths[0], widths[-1]}:
        inputs = noise(2, pipeline.height, width)
        for name, values in own.run(inputs).items():
            np.testing.assert_allclose(engine.run(inputs)[name], values, atol=1e-4)


def test_places_are_counted_from_the_end_too(pictures: Path, tmp_path: Path) -> None:
    model = onnx.load_from_string(brightness_model())
    places = onnx.helper.make_tensor("places", onnx.TensorProto.INT64, [3], [-1, -2, -3])
    model.graph.initializer.append(places)
    turned = onnx.helper.make_node("Gather", ["nchw", "places"], ["turned"], axis=1)
    model.graph.node.insert(2, turned)
    model.graph.node[3].input[0] = "turned"
    bundle = Bundle.write(
        tmp_path / "turned", tiny_manifest(), {"model.onnx": model.SerializeToString()}
    )
    package = tmp_path / "turned.mlpackage"
    write_as(job_of(bundle, pictures), "coreml", package)
    program = read_program(package)
    (gather,) = (one for one in program.operations if one.kind == "gather")
    (places,) = gather.inputs["indices"]
    if isinstance(places, str):
        places = next(one.value for one in program.operations if places in one.outputs)
    assert np.array_equal(places, [2, 1, 0])


def test_an_operator_without_counterpart_is_named(pictures: Path, tmp_path: Path) -> None:
    model = onnx.load_from_string(brightness_model())
    model.graph.node.insert(2, onnx.helper.make_node("Sin", ["nchw"], ["waves"]))
    model.graph.node[3].input[0] = "waves"
    bundle = Bundle.write(
        tmp_path / "waves", tiny_manifest(), {"model.onnx": model.SerializeToString()}
    )
    with pytest.raises(UnknownOperatorError, match="it contains Sin, which foveal cannot convert"):
        write_as(job_of(bundle, pictures), "coreml", tmp_path / "waves.mlpackage")
    assert not (tmp_path / "waves.mlpackage").exists()


@pytest.mark.parametrize(("precision", "hint"), [("fp32", None), ("fp16", "leave out --fp16")])
def test_a_package_that_was_tampered_with_is_refused(
    precision: Precision,
    hint: str | None,
    tiny_bundle: Bundle,
    exported: tuple[Path, Proof],
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def convert(bundle: Bundle, precision: str, package: Path) -> None:
        folder = Path("Data") / "com.apple.CoreML"
        model = (exported[0] / folder / "model.mlmodel").read_bytes()
        # The bias of the one convolution, with its sign turned.
        bias = np.array([6.4, -6.4], np.float32)
        assert model.count(bias.tobytes()) == 1
        (package / folder).mkdir(parents=True)
        tampered = model.replace(bias.tobytes(), (-bias).tobytes())
        (package / folder / "model.mlmodel").write_bytes(tampered)

    monkeypatch.setattr(write, "convert", convert)
    job = job_of(tiny_bundle, pictures, ExportOptions(precision))
    with pytest.raises(ParityError, match=r"circle.0\.png .circle .* became square") as caught:
        write_as(job, "coreml", tmp_path / "tiny.mlpackage")
    assert caught.value.hint == hint
    assert not (tmp_path / "tiny.mlpackage").exists()


def test_a_package_is_verified_again(
    tiny_bundle: Bundle, exported: tuple[Path, Proof], pictures: Path
) -> None:
    proof = write.verify_coreml(job_of(tiny_bundle, pictures), exported[0])
    assert (proof.samples, proof.label_agreement) == (8, 1.0)
    assert proof.max_probability_difference == exported[1].max_probability_difference


def test_without_pictures_there_is_no_proof(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="A package for Core ML is proven on validation pictures"):
        write_as(ExportJob(tiny_bundle), "coreml", tmp_path / "tiny.mlpackage")


def test_an_unknown_operation_of_a_program_is_named(exported: tuple[Path, Proof]) -> None:
    program = read_program(exported[0])
    strange = replace(program.operations[-1], kind="resample")
    with pytest.raises(NetworkError, match="it contains resample"):
        ProgramEngine(replace(program, operations=(*program.operations, strange)))


def test_what_is_no_package_is_said(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="is not a program for Core ML"):
        read_program(tmp_path)


def test_a_package_needs_the_ending_that_it_is_read_by(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Expected \.mlpackage") as caught:
        foveal.load(tiny_bundle.path).export("coreml", out=tmp_path / "model")
    assert caught.value.hint == f"use --out {tmp_path / 'model'}.mlpackage"
    assert not list(tmp_path.iterdir())
