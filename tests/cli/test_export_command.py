"""`foveal export`: the list, the record in the run, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image as PILImage

import foveal
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.export.formats import FORMATS, Format
from foveal.export.job import ExportJob
from foveal.export.needs import Need, package
from foveal.export.proof import Proof


def write(job: ExportJob, out: Path) -> Proof:
    out.write_bytes(bytes(1000))
    return Proof("some runtime 2", 7, 1.0, 3e-5, 1.0, {"ratio": 1.5})


@pytest.fixture
def tiny_run(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """Return the folder of a run, as far as a model that is not trained has one."""
    run = tmp_path / "tiny"
    shutil.copytree(tiny_bundle.path, run / "bundle")
    (run / "recipe.yaml").touch()
    (run / "split.csv").touch()
    return run


@pytest.fixture
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Format("proven", ".bin", write, precisions=("fp32", "fp16"), options=("with_app",))
    monkeypatch.setitem(FORMATS._own, "proven", entry)


def test_the_list_says_what_is_missing_and_how_to_install_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Need("an engine", lambda: False, lambda: "apt install engine")
    entry = Format(
        "far away",
        ".far",
        write,
        needs=(package("surely_not_there", extra="far"), package("json.nowhere", extra="far")),
        proof_needs=(engine,),
    )
    monkeypatch.setitem(FORMATS._own, "far", entry)
    monkeypatch.setitem(FORMATS._own, "near", Format("near", ".n", write, proof_needs=(engine,)))
    assert run(["export", "--list"]) == 0
    out = capsys.readouterr()
    lines = {line.split()[0]: line for line in out.out.splitlines()}
    assert "ready" in lines["onnx"]
    assert "cannot be written without surely_not_there, json.nowhere, an engine" in lines["far"]
    assert "cannot be proven without an engine" in lines["near"]
    assert "[far]" in out.err
    assert out.err.count("[far]") == 1
    assert run(["export", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["formats"]["far"]["install"].endswith(" && apt install engine")
    assert listed["exports"] == []


def test_what_is_missing_stops_an_export(
    tiny_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Format("far", ".far", write, needs=(package("surely_not_there", extra="far"),))
    monkeypatch.setitem(FORMATS._own, "far", entry)
    assert run(["export", str(tiny_run), "--to", "far"]) != 0
    err = capsys.readouterr().err
    assert "surely_not_there, not found on this machine" in err
    assert "[far]" in err


def test_pictures_without_labels_prove_nothing(
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def needing(job: ExportJob, out: Path) -> Proof:
        job.needed_pictures("A file is proven")
        return write(job, out)

    monkeypatch.setitem(FORMATS._own, "needing", Format("needing", ".bin", needing))
    photos = tmp_path / "photos"
    photos.mkdir()
    PILImage.new("RGB", (8, 8)).save(photos / "one.png")
    line = ["export", str(tiny_run), "--to", "needing", "--data", str(photos)]
    assert run([*line, "--out", str(tmp_path / "out.bin")]) == 3
    said = capsys.readouterr().err
    assert f"There are no labelled pictures in {photos}." in said
    assert "hint: foveal check DATA --task classify" in said
    assert not (tmp_path / "out.bin").exists()


@pytest.mark.usefixtures("proven")
def test_a_run_keeps_what_was_exported_with_its_proof(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.bin"
    line = ["export", str(tiny_run), "--to", "proven", "--out", str(out)]
    for _ in range(2):
        assert run(line) == 0
    said = "in some runtime 2 answers agree for 100.00 % of 7 validation pictures,"
    assert said in capsys.readouterr().err
    assert run([*line, "--fp16"]) == 0
    assert run([*line[:-1], str(tmp_path / "app"), "--with-app"]) == 0
    exports = foveal.load(tiny_run).exports()
    assert [(e["precision"], e["options"]) for e in exports] == [
        ("fp32", []),
        ("fp16", []),
        ("fp32", ["with_app"]),
    ]
    assert exports[0]["proof"]["ratio"] == 1.5
    assert exports[0]["path"] == str(out)
    assert foveal.load(tiny_run).info()["exports"] == exports
    assert "some runtime 2" in foveal.load(tiny_run)._repr_html_()
    capsys.readouterr()
    assert run(["export", "--list", str(tiny_run)]) == 0
    listed = capsys.readouterr().out
    assert (listed.count("some runtime 2"), listed.count("proven --with-app ")) == (3, 1)
    (tiny_run / "exports.json").write_text("[]")
    assert run(["export", "--list", str(tiny_run)]) == 2
    assert "exports.json is damaged" in capsys.readouterr().err


@pytest.mark.usefixtures("proven")
def test_a_version_in_a_store_keeps_what_was_exported_from_it(
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FOVEAL_STORE", str(tmp_path / "store"))
    stored = foveal.load(tiny_run).push("tiny")
    out = tmp_path / "model.bin"
    assert run(["export", "tiny", "--to", "proven", "--out", str(out)]) == 0
    (export,) = foveal.load("tiny:1").exports()
    assert (export["to"], export["path"], export["proof"]["ratio"]) == ("proven", str(out), 1.5)
    capsys.readouterr()
    assert run(["models", "show", str(stored)]) == 0
    assert "some runtime 2" in capsys.readouterr().out
    assert run(["models", "show", str(stored), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["exports"] == [export]
    # The version is as whole as before, and a new one has no exports.
    assert foveal.open_store().problem("tiny", 1) is None
    assert foveal.load(tiny_run).exports() == []


@pytest.mark.usefixtures("proven")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--to", "proven", "--int8"],
            "proven cannot be exported in int8. Expected: fp32 or fp16.",
        ),
        (["--to", "onnx", "--with-app"], "--with-app has no effect on onnx"),
        (["--to", "proven", "--int8", "--fp16"], "Expected one precision"),
        ([], "MODEL and --to FORMAT are required"),
    ],
)
def test_options_that_a_format_does_not_take_are_refused(
    options: list[str], words: str, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(tiny_run), *options]) == 2
    assert words in capsys.readouterr().err
