"""What the tests of the app share: its functions in Node, and its runtime."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from webcalls import Call

from foveal.export.web.runtime import find_folder
from foveal.export.web.write import APP


@pytest.fixture(scope="session")
def call() -> Call:
    """Return a function that calls the app's functions in Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node, which runs the app's functions, is not installed")

    def run(calls: Sequence[dict[str, Any]]) -> list[Any]:
        script = Path(__file__).parent / "calls.mjs"
        done = subprocess.run(
            [node, str(script), str(APP)],
            input=json.dumps(calls),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        results: list[Any] = json.loads(done.stdout)
        return results

    return run


@pytest.fixture(scope="session")
def web_runtime() -> None:
    """Skip where onnxruntime-web is not installed."""
    if find_folder() is None:
        pytest.skip("onnxruntime-web is not installed (make setup installs it where npm is there)")
