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
def test_the_segmentation_notebook_runs_and_renders(
    run_notebook: Callable[[str], list[nbformat.NotebookNode]],
) -> None:
    cells = run_notebook("segmentation.ipynb")

    def starting(start: str) -> nbformat.NotebookNode:
        return next(cell for cell in cells if cell.source.startswith(start))

    assert "0 → background, 1 → blue, 2 → red" in printed(starting("report = "))
    assert "blue, red" in shown_as(starting("model = foveal.train"), "text/html")
    assert shown_as(starting("Image.open(model.run"), "image/png")
    assert "<svg" in shown_as(starting("notebook.curves"), "text/html")
    assert "boundary_f1" in shown_as(starting("evaluation = "), "text/plain")
    assert "<iframe" in shown_as(starting("evaluation.show"), "text/html")
    # The picture, and under its mask.
    assert shown_as(starting("picture, truth = "), "text/html").count("<img") == 2
    assert "(300, 420)" in printed(starting("print(dict"))
    assert shown_as(starting("heat = "), "image/png")
    written = shown_as(starting("answers = "), "text/plain")
    for name in ("00.png", "00_overlay.jpg", "00_background.png", "00_blue.png", "00_red.png"):
        assert name in written
    assert shown_as(starting("overlay = "), "image/png")
