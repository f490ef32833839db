from collections.abc import Callable

import nbformat
import pytest


def shown(cell: nbformat.NotebookNode, kind: str) -> str:
    return "".join(o.get("data", {}).get(kind, "") for o in cell.outputs)


@pytest.mark.slow
# nbclient 0.11 and jupyter_client 8 still ask asyncio and zmq for what Python will drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_notebook_of_cells_trains_in_a_job_and_loads_the_model(
    run_notebook: Callable[[str], list[nbformat.NotebookNode]],
) -> None:
    cells = run_notebook("cells_as_a_job.ipynb")

    def starting(start: str) -> nbformat.NotebookNode:
        return next(cell for cell in cells if cell.source.startswith(start))

    sent = starting("%%foveal_run")
    assert "letters on local: succeeded" in shown(sent, "text/plain")
    # The card ends with that of the model, which lies beside the notebook.
    assert "backbone" in shown(sent, "text/html")
    assert "jobs/letters/classify/letters" in shown(sent, "text/html")
    assert "succeeded" in shown(starting("job.wait()"), "text/plain")
    assert "classify" in shown(starting("model = foveal.load"), "text/html")
    assert shown(starting("model(next"), "text/html").count("<img") == 2
