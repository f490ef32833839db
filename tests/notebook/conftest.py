"""Run the example notebooks, and hold what is stored of them to what they do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from uncounted import NOT_COUNTED

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))
import refresh  # noqa: E402


@pytest.fixture
def run_notebook(tmp_path: Path) -> Callable[..., list[nbformat.NotebookNode]]:
    """Return what runs an example in a folder of its own and returns its cells of code.

    It takes the name of the notebook, and variables of the environment.
    """

    def run(name: str, **variables: str) -> list[nbformat.NotebookNode]:
        notebook = nbformat.read(EXAMPLES / name, as_version=4)
        shown = [refresh.kinds(cell) for cell in refresh.code_cells(notebook)]
        # What examples run of foveal is counted where it is tested.
        cells = refresh.code_cells(refresh.execute(notebook, tmp_path, **NOT_COUNTED, **variables))
        for stored, cell in zip(shown, cells, strict=True):
            assert refresh.kinds(cell) == stored, f"make notebooks: {cell.source}"
        return cells

    return run
