"""Cells that run in a real kernel, and what they show."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbclient
import nbformat
from nbformat import NotebookNode

_BEGIN = """
import os
os.chdir({folder!r})
os.environ["XDG_STATE_HOME"] = {state!r}
%reset -f
%reload_ext foveal.notebook
"""


@contextmanager
def running_kernel() -> Iterator[nbclient.NotebookClient]:
    """Give a client with a running kernel, which has the environment of this process."""
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(), timeout=None, kernel_name="python3"
    )
    with client.setup_kernel(env=dict(os.environ)):
        yield client


def run_cells(
    kernel: nbclient.NotebookClient, folder: Path, *sources: str, errors: bool = True
) -> list[NotebookNode]:
    """Run cells as a new notebook in a folder, with jobs of its own, and return them.

    Args:
        kernel: A running one; nothing is left in it of what it ran before.
        folder: Where it runs; jobs are kept below it.
        *sources: What stands in the cells.
        errors: Go on after a cell that fails.
    """
    begin = _BEGIN.format(folder=str(folder), state=str(folder / "state"))
    cells = [nbformat.v4.new_code_cell(source) for source in (begin, *sources)]
    kernel.nb = nbformat.v4.new_notebook(cells=cells)
    kernel.reset_execution_trackers()
    kernel.allow_errors = errors
    for index, cell in enumerate(cells):
        kernel.execute_cell(cell, index)
    return cells[1:]


def printed(cell: NotebookNode) -> str:
    """Return what a cell printed."""
    return "".join(o.text for o in cell.outputs if o.output_type == "stream")


def shown(cell: NotebookNode, kind: str = "text/plain") -> str:
    """Return what a cell displayed."""
    return "".join(o.data[kind] for o in cell.outputs if kind in o.get("data", {}))


def error(cell: NotebookNode) -> str:
    """Return the name of the last error of a cell, and what is shown of it."""
    last = [o for o in cell.outputs if o.output_type == "error"][-1]
    return f"{last.ename}\n" + "\n".join(last.traceback)
