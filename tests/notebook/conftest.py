"""Run the example notebooks."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[nbformat.NotebookNode]]:
    """Return what runs an example in a folder of its own and returns its cells of code."""

    def run(name: str) -> list[nbformat.NotebookNode]:
        paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
        notebook = nbformat.read(ROOT / "examples" / name, as_version=4)
        nbclient.NotebookClient(
            notebook,
            timeout=None,
            kernel_name="python3",
            resources={"metadata": {"path": str(tmp_path)}},
        ).execute()
        return [cell for cell in notebook.cells if cell.cell_type == "code"]

    return run
