"""`foveal verify`: bundles and exports, unchanged and changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import DrawFolder

from foveal.bundle.bundle import Bundle
from foveal.bundle.proof import PROOF_NAME, ProofInputs
from foveal.cli.main import run
from foveal.errors import ParityError
from foveal.export.formats import FORMATS
from foveal.export.proof import Proof
from foveal.predict.engine import OnnxEngine
from foveal.predict.proof_inputs import prove_inputs


def with_proof(bundle: Bundle, path: Path, *, moved: float = 0.0) -> Bundle:
    """Return the bundle with a proof whose outputs were moved."""
    engine = OnnxEngine(bundle.model_bytes())
    proof = prove_inputs(engine, bundle.task, bundle.pipeline, ("logits",))
    logits = proof.outputs["logits"] + np.array([moved, 0], np.float32)
    content = ProofInputs(proof.inputs, {"logits": logits}).to_bytes()
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    return Bundle.write(path, replace(bundle.manifest, files={}), {**files, PROOF_NAME: content})


@pytest.fixture(scope="module")
def photos(draw_folder: DrawFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("verify") / "photos", n=6)


def test_a_bundle_alone_is_verified_by_its_own_inputs(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = with_proof(tiny_bundle, tmp_path / "b")
    assert run(["verify", str(bundle.path), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["schema_version"], value["passed"]) == (1, True)
    (check,) = value["checks"]
    assert check["figures"]["same_answers"] == check["figures"]["inputs"] == 16
    assert check["figures"]["max_output_difference"] < 1e-4


def test_a_bundle_that_answers_differently_here_fails(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = with_proof(tiny_bundle, tmp_path / "b", moved=2.0)
    assert run(["verify", str(bundle.path)]) == 1
    assert capsys.readouterr().out.startswith("FAILED  On this processor")


def test_a_bundle_without_a_proof_needs_another_to_compare_with(
    tiny_bundle: Bundle, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tiny_bundle.path)
    assert run(["verify", model]) == 2
    assert "has no proof inputs" in capsys.readouterr().err
    assert run(["verify", model, "--against", model, "--data", str(photos)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("passed  Answers agree with tiny ")
    assert said.endswith(" for 100.00 % of 12 pictures.\n")


def test_an_exported_onnx_file_is_verified_against_its_model(
    tiny_bundle: Bundle, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "m.onnx")
    assert run(["export", str(tiny_bundle.path), "--to", "onnx", "--out", out]) == 0
    assert run(["verify", out]) == 2
    assert "--against RUN" in capsys.readouterr().err
    line = ["verify", out, "--against", str(tiny_bundle.path), "--data", str(photos)]
    assert run(line) == 0
    said = capsys.readouterr().out
    assert said.startswith("passed  In ONNX Runtime ")
    assert said.endswith(", answers agree with tiny for 100.00 % of 12 pictures.\n")


def test_a_network_that_foveal_did_not_export_is_none_to_verify(
    tiny_bundle: Bundle, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(tiny_bundle.model_bytes())
    line = ["verify", str(bare), "--against", str(tiny_bundle.path), "--data", str(photos)]
    assert run(line) == 2
    assert "was not exported by foveal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("to", "inside"),
    [("web", "files.js"), ("docker", "Dockerfile"), ("savedmodel", "1/saved_model.pb")],
)
def test_a_folder_is_verified_as_an_export_whatever_its_name(
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    to: str,
    inside: str,
) -> None:
    asked = []

    def verified(_: object, path: Path) -> Proof:
        asked.append(path)
        raise ParityError("It is another model. Nothing was written.")

    monkeypatch.setitem(FORMATS._own, to, replace(FORMATS[to], verify=verified))
    out = tmp_path / "release"
    (out / inside).parent.mkdir(parents=True)
    (out / inside).touch()
    assert run(["verify", str(out), "--against", str(tiny_bundle.path)]) == 1
    assert capsys.readouterr().out == "FAILED  It is another model.\n"
    assert asked == [out]


def test_a_bundle_that_is_called_like_an_export_is_verified_as_a_bundle(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_proof(tiny_bundle, tmp_path / "photos-docker")
    assert run(["verify", str(tmp_path / "photos-docker")]) == 0
    assert "16 of 16 drawn inputs" in capsys.readouterr().out


@pytest.mark.parametrize("to", ["onnx", "foveal"])
def test_a_network_that_was_replaced_is_not_exported(
    to: str, tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = with_proof(tiny_bundle, tmp_path / "b", moved=2.0)
    out = tmp_path / "exported"
    assert run(["export", str(bundle.path), "--to", to, "--out", str(out)]) == 4
    assert "is not the one that its proof was made with" in capsys.readouterr().err
    assert not out.exists()


def test_the_hint_for_an_unknown_format_lists_the_formats(
    tiny_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(tiny_bundle.path), "--to", "onxx"]) == 2
    said = capsys.readouterr().err
    assert "Did you mean 'onnx'?" in said and "foveal export --list" in said
