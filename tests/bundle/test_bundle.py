"""Bundles: what opens, what is refused, and that writing is whole or nothing."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from drawing import brightness_model, tiny_manifest

from foveal.bundle import SCHEMA_VERSION, Bundle, Manifest
from foveal.data.decode import DecodeLimits
from foveal.errors import BundleError
from foveal.predict import Predictor


@pytest.fixture
def folder(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle.path, copy)
    return copy


def edit(folder: Path, **changes: object) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_bundle_is_read_also_when_the_working_directory_has_changed(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_bundle.path, tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    bundle = Bundle.open(Path("tiny"))
    monkeypatch.chdir("/")
    assert bundle.read("bundle.json") == tiny_bundle.read("bundle.json")


def test_a_written_bundle_opens_with_what_was_written(folder: Path) -> None:
    bundle = Bundle.open(folder)
    assert bundle.manifest.labels == ("circle", "square")
    assert bundle.model_bytes() == brightness_model()
    assert bundle.task.labels.names == ("circle", "square")
    assert len(bundle.version) == 12


def test_a_packed_bundle_is_the_same_bundle(folder: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(folder)
    packed = Bundle.open(bundle.pack(tmp_path / "tiny.foveal"))
    assert packed.manifest == bundle.manifest
    assert packed.version == bundle.version
    assert packed.model_bytes() == bundle.model_bytes()


def test_packing_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(folder)
    first = bundle.pack(tmp_path / "a.foveal").read_bytes()
    assert bundle.pack(tmp_path / "b.foveal").read_bytes() == first


def test_a_changed_file_is_refused(folder: Path) -> None:
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\x00")
    with pytest.raises(BundleError, match=r"model\.onnx .* was changed"):
        Bundle.open(folder)


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "bundle_too_new", "schema version"),
        ({"schema_version": "1"}, "bundle_invalid", "schema_version"),
        ({"surprise": 1}, "bundle_invalid", "surprise"),
        ({"labels": []}, "bundle_invalid", "labels"),
        ({"labels": ["a", "a"]}, "bundle_invalid", "labels"),
        ({"labels": [1, 2]}, "bundle_invalid", "labels"),
        ({"pipeline": {"height": 16}}, "bundle_invalid", "pipeline"),
        ({"calibration": {"temperature": 0, "thresholds": []}}, "bundle_invalid", "temperature"),
        (
            {"calibration": {"surprise": 0, "thresholds": []}},
            "bundle_invalid",
            "surprise|keyword|temperature",
        ),
        ({"name": "../up"}, "bundle_invalid", "name"),
        ({"outputs": []}, "bundle_invalid", "outputs"),
        ({"limits": {"max_pixels": 1}}, "bundle_invalid", "max_bytes"),
        ({"limits": {"max_pixels": 0, "max_bytes": 1}}, "bundle_invalid", "limits"),
        ({"limits": {"max_pixels": True, "max_bytes": 1}}, "bundle_invalid", "limits"),
        ({"limits": {"max_pixels": 1, "max_bytes": 1, "hint": "x"}}, "bundle_invalid", "limits"),
    ],
)
def test_a_manifest_that_is_not_as_documented_is_refused(
    folder: Path, changes: dict[str, object], code: str, message: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(BundleError, match=message) as caught:
        Bundle.open(folder)
    assert caught.value.error_code == code
    assert str(folder) in caught.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_no_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle\.json") as caught:
        Bundle.open(folder)
    assert str(folder) in caught.value.message


def test_a_pickle_beside_the_model_is_refused(folder: Path) -> None:
    (folder / "extra.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(BundleError, match=r"extra\.pkl") as caught:
        Bundle.open(folder)
    assert caught.value.error_code == "bundle_unsafe"


def test_a_link_in_a_bundle_is_refused(folder: Path) -> None:
    (folder / "README.md").symlink_to("/etc/hostname")
    with pytest.raises(BundleError, match="link"):
        Bundle.open(folder)


def test_a_missing_model_is_refused(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    with pytest.raises(BundleError, match="is incomplete"):
        Bundle.open(folder)


def test_a_zip_bomb_is_refused(folder: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.foveal"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "bundle.json", "bundle.json")
        archive.writestr("model.onnx", bytes(20_000_000))
    with pytest.raises(BundleError, match="too large"):
        Bundle.open(bomb)


def test_a_failed_write_leaves_the_old_bundle(folder: Path) -> None:
    before = (folder / "bundle.json").read_bytes()
    with pytest.raises(BundleError):
        Bundle.write(folder, tiny_manifest(), {"model.onnx": b"not a model"})
    assert (folder / "bundle.json").read_bytes() == before
    assert [p.name for p in folder.parent.iterdir()] == ["copy"]


def test_a_path_that_is_nothing_names_itself(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        Bundle.open(tmp_path / "nowhere")


def test_a_bundle_from_before_limits_were_written_has_those_of_its_time(folder: Path) -> None:
    path = folder / "bundle.json"
    values = json.loads(path.read_text())
    del values["limits"]
    path.write_text(json.dumps(values))
    limits = Bundle.open(folder).manifest.limits
    assert (limits.max_pixels, limits.max_bytes) == (50_000_000, 100_000_000)


def test_the_limits_of_a_bundle_are_those_of_whoever_answers_with_it(folder: Path) -> None:
    edit(folder, limits={"max_pixels": 60_000_000, "max_bytes": 7})
    assert Predictor(Bundle.open(folder)).limits == DecodeLimits(7, 60_000_000)


def test_the_manifest_survives_a_round_trip() -> None:
    manifest = tiny_manifest()
    assert Manifest.from_json(json.dumps(manifest.to_json()).encode()) == manifest
