"""Run the notebooks of this folder and store their outputs: `make notebooks`.

A test runs them too, and fails where what is stored is no longer what they do.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import nbclient
import nbformat
from nbformat import NotebookNode
from PIL import Image as PILImage

FOLDER = Path(__file__).resolve().parent
# A report holds all its pictures: it is shown where a notebook is run, and not stored.
_NOT_STORED = "<p>Shown when the notebook is run.</p>"
# Larger pictures are stored as JPEG with a longer side of at most this.
_MOST_CHARACTERS = 12_000
_SIDE_PX = 560
_PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run a notebook in a folder, with the foveal of this checkout, and return it."""
    paths = [str(FOLDER.parent / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    client = nbclient.NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    return notebook


def stored(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook that was run as it is stored: small, with the digest of its cells."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                # Pillow gives its images twice.
                data.pop("image/jpeg", None)
                kind, image = _small(data.pop("image/png"))
                data[f"image/{kind}"] = image
            if "<iframe" in data.get("text/html", ""):
                data["text/html"] = _NOT_STORED
            elif "text/html" in data:
                data["text/html"] = _PNG.sub(_small_source, data["text/html"])
    notebook.metadata["foveal"] = {"sources": digest(notebook)}
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells of code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def digest(notebook: NotebookNode) -> str:
    """Return the SHA-256 of the sources of all cells."""
    text = "\0".join(cell.source for cell in notebook.cells)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def kinds(cell: NotebookNode) -> list[str]:
    """Return what a cell shows: streams by name, displays and results by their richest type."""
    found = []
    for output in cell.outputs:
        types = output.get("data", {})
        if output.output_type == "stream":
            kind = output.name
        elif "text/html" in types:
            kind = "html"
        else:
            kind = "image" if types.keys() & {"image/png", "image/jpeg"} else "text"
        # How many pieces a stream comes in depends on the time.
        if kind not in found:
            found.append(kind)
    return found


def _small_source(match: re.Match[str]) -> str:
    kind, image = _small(match[1])
    return f"data:image/{kind};base64,{image}"


def _small(png: str) -> tuple[str, str]:
    """Return a PNG picture in base64 as it is, or a large one as JPEG where that is smaller."""
    if len(png) < _MOST_CHARACTERS:
        return "png", png
    with PILImage.open(io.BytesIO(base64.b64decode(png))) as image:
        shown = image.convert("RGB")
    shown.thumbnail((_SIDE_PX, _SIDE_PX))
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=60)
    jpeg = base64.b64encode(buffer.getvalue()).decode("ascii")
    return ("jpeg", jpeg) if len(jpeg) < len(png) else ("png", png)


def main() -> None:
    """Refresh the notebooks that are named, or all."""
    for name in sys.argv[1:] or sorted(path.name for path in FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(FOLDER / name, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(stored(execute(notebook, Path(folder))), FOLDER / name)
        sys.stderr.write(f"{name}: {(FOLDER / name).stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
