"""The application around a package: its sources, its project, and what it computes."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openstep_plist
import pytest
import tree_sitter
import tree_sitter_swift
from colored import reader_manifest
from drawing import DrawFolder
from PIL import Image as PILImage

from foveal.bundle.bundle import Bundle
from foveal.bundle.manifest import Manifest
from foveal.errors import UsageError
from foveal.export.coreml import project
from foveal.export.formats import FORMATS, write_as
from foveal.export.job import ExportJob, ExportOptions, Pictures
from foveal.metrics import softmax
from foveal.predict.predictor import Predictor
from foveal.resample import noise
from foveal.types import Calibration, Frame, Labels
from foveal.workflow.exports import pictures_of

_APP = Path(project.__file__).parent / "app"
_VECTORS = Path(__file__).parents[1] / "vectors" / "resample.json"
_HARNESS = Path(__file__).parent / "swift" / "main.swift"


def swift_files() -> list[Path]:
    return sorted([*(_APP / "Foveal").rglob("*.swift"), _HARNESS])


def broken(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    if node.is_error or node.is_missing:
        yield node
    for child in node.children:
        yield from broken(child)


@pytest.mark.parametrize("path", swift_files(), ids=lambda path: path.name)
def test_every_source_is_swift(path: Path) -> None:
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
    tree = parser.parse(path.read_bytes())
    assert [str(node.start_point) for node in broken(tree.root_node)] == []


def test_what_is_no_swift_is_found() -> None:
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
    assert list(broken(parser.parse(b"struct A { let a: Int =  }").root_node))


def test_logic_needs_none_of_apples_frameworks() -> None:
    for path in (_APP / "Foveal" / "Core").glob("*.swift"):
        imported = re.findall(r"^import (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(imported) <= {"Foundation"}, path


@pytest.fixture(scope="module")
def xcode() -> dict[str, Any]:
    text = (_APP / "Foveal.xcodeproj" / "project.pbxproj").read_text(encoding="utf-8")
    return dict(openstep_plist.loads(text, use_numbers=True))


def test_every_reference_of_the_project_resolves(xcode: dict[str, Any]) -> None:
    objects = xcode["objects"]
    seen = {xcode["rootObject"]}
    waiting = list(seen)
    while waiting:
        for value in objects[waiting.pop()].values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str) and re.fullmatch("[0-9A-F]{24}", one) and one not in seen:
                    seen.add(one)
                    waiting.append(one)
    # Whatever is not reached from the project is not part of it.
    assert seen == set(objects)


def test_the_project_takes_a_folder_and_builds_an_application(xcode: dict[str, Any]) -> None:
    objects = xcode["objects"]
    assert xcode["objectVersion"] == 77
    (target,) = [one for one in objects.values() if one["isa"] == "PBXNativeTarget"]
    assert target["productType"] == "com.apple.product-type.application"
    phases = [objects[phase]["isa"] for phase in target["buildPhases"]]
    assert phases == ["PBXSourcesBuildPhase", "PBXFrameworksBuildPhase", "PBXResourcesBuildPhase"]
    (group,) = [objects[one] for one in target["fileSystemSynchronizedGroups"]]
    assert group["isa"] == "PBXFileSystemSynchronizedRootGroup"
    assert (_APP / group["path"] / "FovealApp.swift").is_file()


@pytest.mark.parametrize("name", ["Debug", "Release"])
def test_the_camera_is_asked_for_in_words(xcode: dict[str, Any], name: str) -> None:
    objects = xcode["objects"]
    (target,) = [one for one in objects.values() if one["isa"] == "PBXNativeTarget"]
    listed = objects[target["buildConfigurationList"]]["buildConfigurations"]
    (settings,) = [objects[c]["buildSettings"] for c in listed if objects[c]["name"] == name]
    assert "No picture leaves it" in settings["INFOPLIST_KEY_NSCameraUsageDescription"]
    # The application finds the model by its name; a class of the same name would be in the way.
    assert settings["COREML_CODEGEN_LANGUAGE"] == "None"
    # Xcode would rewrite the pictures that the model is checked on.
    assert settings["COMPRESS_PNG_FILES"] == "NO"


@pytest.fixture(scope="module")
def pictures(draw_folder: DrawFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("app-pictures"), n=5, size=40)


def job_of(bundle: Bundle, data: Path, **options: bool) -> ExportJob:
    def find() -> Pictures | None:
        return pictures_of(bundle, None, data)

    return ExportJob(bundle, ExportOptions(with_app=True, **options), find)


@pytest.fixture(scope="module")
def written(
    tiny_bundle: Bundle, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    pytest.importorskip("coremltools", reason="coremltools is not installed")
    out = tmp_path_factory.mktemp("app") / "tiny-ios"
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("foveal")
    logger.addHandler(handler)
    try:
        write_as(job_of(tiny_bundle, pictures), "coreml", out)
    finally:
        logger.removeHandler(handler)
    return out, said


def test_the_project_holds_model_icon_and_words(written: tuple[Path, list[str]]) -> None:
    out, _ = written
    assert (out / project.MODEL / "Manifest.json").is_file()
    with PILImage.open(out / "Foveal/Assets.xcassets/AppIcon.appiconset/icon.png") as icon:
        assert (icon.size, icon.mode) == ((1024, 1024), "RGB")
    text = (out / "Foveal.xcodeproj" / "project.pbxproj").read_text(encoding="utf-8")
    assert '"org.example.tiny"' in text
    for path in out.rglob("*"):
        if path.suffix in (".pbxproj", ".md"):
            assert not re.search(r"@[A-Z_]+@", path.read_text(encoding="utf-8")), path


def test_it_checks_itself_on_eight_pictures(
    tiny_bundle: Bundle, written: tuple[Path, list[str]]
) -> None:
    folder = written[0] / project.CHECK
    listed = json.loads((folder / "check.json").read_text(encoding="utf-8"))
    assert len(listed["pictures"]) == 8
    predictor = Predictor(tiny_bundle)
    for expected in listed["pictures"]:
        picture = predictor.decode((folder / expected["file"]).read_bytes())
        (answer,) = predictor.predict([picture])
        assert (answer.text, answer.confidence) == (expected["text"], expected["confidence"])
        pixels, _ = predictor.prepare(picture)
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == expected["input"]


def test_that_pictures_are_given_away_is_said(written: tuple[Path, list[str]]) -> None:
    out, said = written
    assert any("holds 8 pictures of the validation split" in line for line in said)
    assert any("this machine is not a Mac" in line for line in said)
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "These are validation pictures" in text
    assert "did not use a Mac" in text


def test_pictures_may_be_left_out(tiny_bundle: Bundle, pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("coremltools", reason="coremltools is not installed")
    out = tmp_path / "app"
    write_as(job_of(tiny_bundle, pictures, without_pictures=True), "coreml", out)
    assert not (out / project.CHECK).exists()
    assert "cannot check itself" in (out / "README.md").read_text(encoding="utf-8")


def test_an_application_has_a_name_of_its_own() -> None:
    assert FORMATS["coreml"].suffix_for(ExportOptions(with_app=True)) == "-ios"
    assert FORMATS["coreml"].suffix_for(ExportOptions()) == ".mlpackage"


def test_texts_that_are_searched_for_are_refused(tiny_sums: Bundle) -> None:
    with pytest.raises(UsageError, match=r"searches among texts \(grammar\)"):
        project.check_app(tiny_sums)


# What follows is run where there is a Swift compiler, on any system.


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("swiftc")
    if compiler is None:
        pytest.skip("there is no Swift compiler (swiftc) on this machine")
    program = tmp_path_factory.mktemp("swift") / "core"
    sources = [*(_APP / "Foveal" / "Core").glob("*.swift"), _HARNESS]
    command = [compiler, "-O", "-swift-version", "5", *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return program


def run_swift(program: Path, cases: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    path = folder / "cases.json"
    path.write_text(json.dumps(cases), encoding="utf-8")
    ran = subprocess.run([str(program), str(path)], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.parametrize("kind", ["noise", "resize", "fit"])
def test_swift_gives_the_pixels_of_the_definition(swift: Path, kind: str, tmp_path: Path) -> None:
    vectors = json.loads(_VECTORS.read_text(encoding="utf-8"))[kind]
    said = run_swift(swift, [{"kind": kind, **case} for case in vectors], tmp_path)
    for case, result in zip(vectors, said, strict=True):
        assert result["size"] == case["size"], case
        digest = hashlib.sha256(base64.b64decode(result["data"])).hexdigest()
        assert digest == case["sha256"], case


def test_swift_turns_pictures_as_their_orientation_says(swift: Path, tmp_path: Path) -> None:
    cases = [
        {"kind": "turn", "seed": 3, "height": 3, "width": 5, "orientation": o} for o in range(1, 9)
    ]
    picture = noise(3, 3, 5)
    # As docs/bundle-format.md says it.
    for case, result in zip(cases, run_swift(swift, cases, tmp_path), strict=True):
        orientation = case["orientation"]
        expected = picture.transpose(1, 0, 2) if int(str(orientation)) >= 5 else picture
        expected = expected[::-1] if orientation in (3, 4, 7, 8) else expected
        expected = expected[:, ::-1] if orientation in (2, 3, 6, 7) else expected
        assert result["size"] == list(expected.shape[:2])
        assert base64.b64decode(result["data"]) == expected.tobytes()


def described(manifest: Manifest) -> dict[str, Any]:
    known = manifest.to_json()
    keys = ("name", "task", "labels", "task_options", "pipeline", "calibration", "licences")
    return {"version": "1", **{key: known[key] for key in keys}}


@pytest.mark.parametrize("multi", [False, True])
def test_swift_says_the_labels_of_foveal(
    swift: Path, tiny_bundle: Bundle, multi: bool, tmp_path: Path
) -> None:
    thresholds = (0.3, 0.6) if multi else ()
    manifest = replace(
        tiny_bundle.manifest,
        task_options={"multi_label": multi},
        calibration=Calibration(temperature=1.7, unsure_below=0.6, thresholds=thresholds),
    )
    task = tiny_bundle.task.bind(Labels(manifest.labels), manifest.task_options)
    rng = np.random.default_rng(1)
    cases, expected = [], []
    for _ in range(20):
        evidence = rng.normal(0, 2, (2, 4, 4)).astype(np.float32)
        logits = evidence.mean((1, 2))[None]
        frame = Frame((16, 16), (16, 16), (1.0, 1.0), (0.0, 0.0))
        (answer,) = task.decode({"logits": logits}, [frame], manifest.calibration)
        expected.append(answer)
        shares = {"shape": [2], "values": answer.probabilities.tolist()}
        maps = {"shape": [2, 4, 4], "values": evidence.ravel().tolist()}
        outputs = {"probabilities": shares, "evidence": maps}
        shown = {"description": described(manifest), "frame": [16, 16, 0, 0, 16, 16]}
        cases.append({"kind": "answer", "outputs": outputs, **shown})
    for answer, said in zip(expected, run_swift(swift, cases, tmp_path), strict=True):
        assert said["text"] == answer.text
        assert said["unsure"] == answer.unsure
        assert said["confidence"] == pytest.approx(answer.confidence, abs=1e-6)
        assert [label for label, _ in said["scores"]] == list(answer.scores)
        assert said["overlay"] == [4, 4]


@pytest.mark.parametrize("head", ["ctc", "positions"])
def test_swift_reads_what_foveal_reads(
    swift: Path, tiny_reader: Bundle, head: str, tmp_path: Path
) -> None:
    options = {"head": head, "length": 7 if head == "positions" else 0}
    manifest = reader_manifest("ABC", "reader", options)
    task = tiny_reader.task.bind(Labels(manifest.labels), options)
    rng = np.random.default_rng(2)
    cases, expected = [], []
    for _ in range(30):
        logits = rng.normal(0, 3, (1, 7, 4)).astype(np.float32)
        frame = Frame((16, 56), (16, 56), (1.0, 1.0), (0.0, 0.0))
        (answer,) = task.decode(
            {"logits": logits, "attention": np.full((1, 7, 7), 1 / 7, np.float32)},
            [frame],
            manifest.calibration,
        )
        expected.append(answer)
        outputs = {"logits": {"shape": [7, 4], "values": logits.ravel().tolist()}}
        shown = {"description": described(manifest), "frame": [16, 56, 0, 0, 16, 56]}
        cases.append({"kind": "answer", "outputs": outputs, **shown})
    for answer, said in zip(expected, run_swift(swift, cases, tmp_path), strict=True):
        assert said["text"] == answer.text
        assert said["confidence"] == pytest.approx(answer.confidence, rel=1e-4)
        assert said["unsure"] == answer.unsure


def test_swift_fills_a_tile_and_marks_it_as_foveal(swift: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (3, 16, 16)).astype(np.float32)
    known = {"height": 16, "width": 16, "fit": "tile", "pad_color": [0, 0, 0]}
    pipeline = {**known, "width_step": 32, "scale": 1.0}
    manifest = {
        **{"name": "a", "version": "1", "task": "segment", "task_options": {}, "licences": []},
        **{"labels": ["background", "cell", "gland"], "pipeline": pipeline},
        "calibration": {"temperature": 1.5, "unsure_below": 0.9, "thresholds": []},
    }
    outputs = {"logits": {"shape": [3, 16, 16], "values": logits.ravel().tolist()}}
    shown = {"description": manifest, "frame": [16, 16, 0, 0, 10, 12]}
    tile = {"kind": "fit", "seed": 5, "height": 10, "width": 12, "pipeline": pipeline}
    said, filled = run_swift(
        swift, [{"kind": "answer", "outputs": outputs, **shown}, tile], tmp_path
    )
    # The part of the tile that the picture fills is what counts.
    shares = softmax(np.moveaxis(logits, 0, -1)[:10, :12] / np.float32(1.5))
    labels = shares.argmax(-1)
    assert said["confidence"] == pytest.approx(float(shares.max(-1).mean()), rel=1e-5)
    assert said["unsure"] is bool(shares.max(-1).mean() < 0.9)
    assert said["text"] == ("cell" if (labels == 1).sum() >= (labels == 2).sum() else "gland")
    shown_pixels = np.array(said["rgba"]).reshape(10, 12, 4)[..., 3] > 0
    np.testing.assert_array_equal(shown_pixels, labels > 0)
    mirrored = np.pad(noise(5, 10, 12), ((0, 6), (0, 4), (0, 0)), mode="reflect")
    assert base64.b64decode(filled["data"]) == mirrored.tobytes()
