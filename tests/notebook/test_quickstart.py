from collections.abc import Callable

import nbformat
import pytest


def html_of(cell: nbformat.NotebookNode) -> str:
    return "".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)


@pytest.mark.slow
# nbclient 0.11 and jupyter_client 8 still ask asyncio and zmq for what Python will drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_quickstart_notebook_runs_and_renders(
    run_notebook: Callable[[str], list[nbformat.NotebookNode]],
) -> None:
    cells = run_notebook("quickstart.ipynb")

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
