"""Run the notebooks of this folder and of the course, and store their outputs: `make notebooks`.

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
from collections.abc import Sequence
from pathlib import Path

import nbclient
import nbformat
from nbformat import NotebookNode
from PIL import Image as PILImage

FOLDER = Path(__file__).resolve().parent
NOTEBOOKS = (*sorted(FOLDER.glob("*.ipynb")), *sorted(FOLDER.glob("course/*.ipynb")))
# The picture of each chapter of the course that the documentation shows, by its cell's tag.
COVERS = FOLDER.parent / "docs" / "images" / "course"
_COVER_SIDE_PX = 480
# A report holds all its pictures: it is shown where a notebook is run, and not stored.
_NOT_STORED = "<p>Shown when the notebook is run.</p>"
# Larger pictures are stored as JPEG with a longer side of at most this.
_MOST_CHARACTERS = 12_000
_SIDE_PX = 560
# Figures of matplotlib keep their size, so that their text can be read. Up to this, they are stored
# with fewer colours, larger ones as JPEG where that is smaller.
_MOST_CHARACTERS_OF_A_FIGURE = 30_000
_PICTURES = ("image/png", "image/jpeg")
_PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


def execute(notebook: NotebookNode, folder: Path, **variables: str) -> NotebookNode:
    """Run a notebook in a folder, with the foveal of this checkout, and return it.

    Args:
        notebook: What to run; it gets the outputs.
        folder: Where its files are read and written.
        **variables: Environment of the kernel, besides that of this process.
    """
    own = [FOLDER.parent / "src", FOLDER / "course"]
    paths = [*map(str, own), *filter(None, [os.environ.get("PYTHONPATH")])]
    client = nbclient.NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    kept = {name: text for name, text in os.environ.items() if name != "COURSE_DATA"}
    # Jobs that a notebook sends are kept apart from those of the user.
    kept |= {"PYTHONPATH": os.pathsep.join(paths), "XDG_STATE_HOME": str(folder / "state")}
    client.execute(env={**kept, **variables})
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
        is_figure = "Matplotlib" in image.info.get("Software", "")
        shown = image.convert("RGB")
    if is_figure:
        few = _encoded(shown.quantize(256, dither=PILImage.Dither.NONE), "PNG", optimize=True)
        if len(few) < _MOST_CHARACTERS_OF_A_FIGURE:
            return "png", few
        jpeg = _encoded(shown, "JPEG", quality=80)
        return min(("png", few), ("jpeg", jpeg), key=lambda coded: len(coded[1]))
    shown.thumbnail((_SIDE_PX, _SIDE_PX))
    jpeg = _encoded(shown, "JPEG", quality=60)
    return ("jpeg", jpeg) if len(jpeg) < len(png) else ("png", png)


def _encoded(image: PILImage.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def cover(notebook: NotebookNode) -> PILImage.Image | None:
    """Return the last picture of the cell with the tag `cover`, small; None if no cell has it."""
    for cell in code_cells(notebook):
        if "cover" in cell.metadata.get("tags", ()):
            shown = [output.get("data", {}) for output in cell.outputs]
            *_, coded = (data[kind] for data in shown for kind in data if kind in _PICTURES)
            with PILImage.open(io.BytesIO(base64.b64decode(coded))) as image:
                small = image.convert("RGB")
            small.thumbnail((_COVER_SIDE_PX, _COVER_SIDE_PX))
            return small.quantize(128, dither=PILImage.Dither.NONE)
    return None


def main(names: Sequence[str]) -> None:
    """Refresh the notebooks that are named, or all."""
    for path in [FOLDER / name for name in names] or NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, Path(folder))
        small = cover(notebook)
        if small is not None:
            small.save(COVERS / f"{path.stem}.png", optimize=True)
        nbformat.write(stored(notebook), path)
        sys.stderr.write(f"{path.name}: {path.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
