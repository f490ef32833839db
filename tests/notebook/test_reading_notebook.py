from collections.abc import Callable

import nbformat
import pytest


def shown_as(cell: nbformat.NotebookNode, kind: str) -> str:
    return "".join(o.get("data", {}).get(kind, "") for o in cell.outputs)


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(o.text for o in cell.outputs if o.output_type == "stream")


@pytest.mark.slow
# nbclient 0.11 and jupyter_client 8 still ask asyncio and zmq for what Python will drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_reading_notebook_runs_and_renders(
    run_notebook: Callable[[str], list[nbformat.NotebookNode]],
) -> None:
    cells = run_notebook("reading.ipynb")

    def starting(start: str) -> nbformat.NotebookNode:
        return next(cell for cell in cells if cell.source.startswith(start))

    assert printed(starting("from pathlib")).startswith("image,text\nimages/000000.png,")
    assert shown_as(starting("sheet = "), "image/png")
    assert "digits" in shown_as(starting("model = foveal.train"), "text/html")
    assert "<svg" in shown_as(starting("notebook.curves"), "text/html")
    assert "Conv1d" in shown_as(starting("notebook.layers"), "text/html")
    assert "channels" in shown_as(starting("picture = "), "text/html")
    assert "exact_match" in shown_as(starting("evaluation = "), "text/plain")
    assert "<iframe" in shown_as(starting("evaluation.show"), "text/html")
    assert "<img" in shown_as(starting("answer = "), "text/html")
    assert shown_as(starting("foveal.synth"), "image/png")
    # What each of the five default steps made of the page, and the boxes of the lines.
    assert shown_as(starting("import random"), "text/html").count("<img") == 6
    assert shown_as(starting("Image.fromarray(cleaned"), "image/png")
