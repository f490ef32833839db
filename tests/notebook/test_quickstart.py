import os
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"


def html_of(cell: nbformat.NotebookNode) -> str:
    return "".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)


@pytest.mark.slow
# nbclient 0.11 and jupyter_client 8 still ask asyncio and zmq for what Python will drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_quickstart_notebook_runs_and_renders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )

    client.execute()

    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]

    def shown_by(start: str) -> str:
        return html_of(next(cell for cell in cells if cell.source.startswith(start)))

    assert "quickstart" in shown_by("model = foveal.train")
    assert "<svg" in shown_by("notebook.curves")
    assert "<iframe" in shown_by("evaluation.show")
    assert shown_by("picture = ").count("<img") == 2
    assert "Conv2d" in shown_by("notebook.layers")
    assert "channels" in shown_by("first = ")
    served = next(cell for cell in cells if cell.source.startswith("import json"))
    assert "text/plain" in served.outputs[-1]["data"]
