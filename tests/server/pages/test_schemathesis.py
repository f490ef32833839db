"""Requests that schemathesis makes up from the published document, and what it finds wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tinted import tint_manifest, tint_model
from uncounted import uncounted

from foveal.access import KeyFile
from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread

_CONFIG = Path(__file__).parent / "schemathesis.toml"


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle, tiny_reader: Bundle
) -> dict[str, Predictor]:
    """Return a model of each task."""
    path = tmp_path_factory.mktemp("tints") / "tints"
    tints = Bundle.write(path, tint_manifest(), {"model.onnx": tint_model()})
    bundles = (tiny_bundle, tiny_reader, tints)
    return {bundle.name: Predictor(bundle, threads=1) for bundle in bundles}


@pytest.fixture(scope="module")
def server(models: dict[str, Predictor]) -> Iterator[ServerHandle]:
    """Return a server of all."""
    with start_in_thread(models, port=0) as handle:
        yield handle


def _run(folder: Path, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIG)]
    command = [*program, "run", f"{url}/openapi.json"]
    fixed = ["--no-color", "--seed", "1", "--generation-database", "none"]
    return subprocess.run(
        [*command, *fixed, *options], env=uncounted(), capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_schemathesis_finds_nothing(server: ServerHandle, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis, of the extra dev, is not installed")
    options = ["--phases", "coverage,fuzzing", "--max-examples", "2"]
    run = _run(tmp_path, server.url, *options)
    assert run.returncode == 0, run.stdout
    assert "Tested: " in run.stdout


@pytest.mark.slow
def test_schemathesis_finds_nothing_where_keys_are_asked_for(
    models: dict[str, Predictor], tmp_path: Path
) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis, of the extra dev, is not installed")
    path = tmp_path / "keys.json"
    KeyFile(path).create("client")
    with start_in_thread(models, port=0, keys=path) as handle:
        options = ["--phases", "fuzzing", "--max-examples", "1"]
        run = _run(tmp_path, handle.url, *options)
    assert run.returncode == 0, run.stdout
