"""What of a bundle becomes an app, and what is refused before anything is written."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from colored import color_model, reader_manifest
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.errors import MissingExtraError, UsageError
from foveal.export.formats import FORMATS, write_as
from foveal.export.job import ExportJob
from foveal.export.web.icons import ICONS, draw_icon
from foveal.export.web.runtime import FOLDER_VARIABLE, read_runtime
from foveal.export.web.server import _parse
from foveal.export.web.write import check_fits, seal


def test_a_bundle_that_reads_pages_is_refused_before_the_runtime_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    manifest = reader_manifest()
    pipeline = replace(manifest.pipeline, steps=("grey", "threshold"))
    path = tmp_path / "pages"
    bundle = Bundle.write(path, replace(manifest, pipeline=pipeline), {"model.onnx": color_model()})
    with pytest.raises(
        UsageError, match="cannot clean pages, and this bundle has the steps grey, threshold"
    ):
        write_as(ExportJob(bundle), "web", tmp_path / "app")


def test_a_pattern_is_refused(tmp_path: Path) -> None:
    manifest = reader_manifest("ABC", "plates", {"pattern": "A+B"})
    bundle = Bundle.write(tmp_path / "plates", manifest, {"model.onnx": color_model()})
    with pytest.raises(UsageError, match=r"task_options\.pattern"):
        check_fits(bundle)


def test_without_its_runtime_the_command_that_installs_it_is_said(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(MissingExtraError, match="onnxruntime-web") as caught:
        write_as(ExportJob(tiny_bundle), "web", tmp_path / "app")
    hint = str(caught.value.hint)
    # The command alone would change nothing as long as the variable names another folder.
    assert hint.startswith(f"unset {FOLDER_VARIABLE}; npm install ")
    assert hint.endswith(" onnxruntime-web@1.30.0")
    assert not (tmp_path / "app").exists()


def test_a_runtime_of_other_content_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dist").mkdir()
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (tmp_path / "dist" / name).write_bytes(b"something else")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(
        MissingExtraError, match=r"differs from the file of onnxruntime-web 1\.30\.0"
    ):
        read_runtime()


def test_icons_have_their_sizes_and_maskable_ones_leave_a_rim() -> None:
    for name, (side, share) in ICONS.items():
        path = draw_icon(side, share)
        with PILImage.open(io.BytesIO(path)) as image:
            assert image.size == (side, side)
            pixels = np.asarray(image)
        # The corners are ground, and the middle is the spot.
        assert tuple(pixels[0, 0]) == (246, 245, 241), name
        assert tuple(pixels[side // 2, side // 2]) == (224, 122, 63), name
        drawn = np.flatnonzero((pixels != pixels[0, 0]).any(axis=(0, 2)))
        assert drawn[-1] - drawn[0] < (0.8 if "mask" in name or "apple" in name else 1) * side


def test_the_cache_is_another_one_when_a_file_is_another(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "a.js").write_text("1")
    seal(tiny_bundle, tmp_path)
    first = (tmp_path / "files.js").read_text()
    (tmp_path / "files.js").unlink()
    (tmp_path / "a.js").write_text("2")
    seal(tiny_bundle, tmp_path)
    second = (tmp_path / "files.js").read_text()
    assert tiny_bundle.version in first
    assert first.splitlines()[0] != second.splitlines()[0]
    assert first.splitlines()[1:] == second.splitlines()[1:]


def test_what_a_prover_sends_is_read_back() -> None:
    values = np.arange(6, dtype=np.float32)
    listed = [{"name": "logits", "dtype": "float32", "dims": [1, 6]}]
    listed.append({"name": "model input", "dtype": "uint8", "dims": [1, 1, 3]})
    header = json.dumps({"runtime": "here", "arrays": listed}).encode()
    said = _parse(header + b"\n" + values.tobytes() + bytes([7, 8, 9]))
    assert said.header["runtime"] == "here"
    assert said.arrays["logits"].tolist() == [[0, 1, 2, 3, 4, 5]]
    assert said.arrays["model input"].tolist() == [[[7, 8, 9]]]


def test_the_format_says_what_it_needs() -> None:
    assert FORMATS["web"].is_folder
    assert "without_pictures" in FORMATS["web"].options
