"""What is stored of the example notebooks belongs to them, and is small."""

import base64
import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
import refresh
from PIL import Image as PILImage
from PIL.PngImagePlugin import PngInfo

NOTEBOOKS = refresh.NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_stored_with_the_outputs_of_its_cells(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata["foveal"]["sources"] == refresh.digest(notebook), "make notebooks"
    cells = refresh.code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell.outputs) for cell in cells) > len(cells) / 2
    assert path.stat().st_size < (750_000 if path.parent.name == "course" else 270_000)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_output_is_an_error_a_warning_or_a_path_of_a_machine(path: Path) -> None:
    for cell in refresh.code_cells(nbformat.read(path, as_version=4)):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", output.text
            shown = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            assert "/tmp" not in shown and str(Path.home()) not in shown


def test_an_edited_notebook_has_another_digest() -> None:
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    before = refresh.digest(notebook)
    notebook.cells[0].source += " "
    assert refresh.digest(notebook) != before


def test_a_figure_keeps_its_size_so_that_its_text_can_be_read() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 1000, 3)).astype(np.uint8)
    flat = np.full((300, 1000, 3), 240, np.uint8)
    sizes = {}
    for name, pixels in (("jpeg", noise), ("png", flat)):
        buffer, software = io.BytesIO(), PngInfo()
        software.add_text("Software", "Matplotlib version 3.11")
        PILImage.fromarray(pixels).save(buffer, "PNG", pnginfo=software, compress_level=0)
        png = base64.b64encode(buffer.getvalue()).decode("ascii")
        output = nbformat.v4.new_output("display_data", {"image/png": png})
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
        ((kind, kept),) = refresh.stored(book).cells[0].outputs[0].data.items()
        assert len(kept) < len(png)
        with PILImage.open(io.BytesIO(base64.b64decode(kept))) as image:
            sizes[name] = (kind, image.size)
    assert sizes == {
        "jpeg": ("image/jpeg", (1000, 300)),
        "png": ("image/png", (1000, 300)),
    }


def test_reports_are_not_stored_and_large_pictures_as_smaller_ones() -> None:
    report = nbformat.v4.new_output(
        "display_data", {"text/html": "<iframe srcdoc='…'>", "text/plain": "report"}
    )
    noise = np.random.default_rng(0).integers(0, 256, (300, 1000, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    PILImage.fromarray(noise).save(buffer, "PNG")
    png = base64.b64encode(buffer.getvalue()).decode("ascii")
    small, large = (
        nbformat.v4.new_output("execute_result", {"image/png": data, "image/jpeg": "twice"})
        for data in ("tiny", png)
    )
    inside = nbformat.v4.new_output(
        "display_data", {"text/html": f'<img src="data:image/png;base64,{png}">'}
    )
    cell = nbformat.v4.new_code_cell(outputs=[report, small, large, inside])
    before = refresh.kinds(cell)
    kept = refresh.stored(nbformat.v4.new_notebook(cells=[cell])).cells[0]
    assert "Shown when" in kept.outputs[0].data["text/html"]
    assert kept.outputs[1].data == {"image/png": "tiny"}
    jpeg = kept.outputs[2].data["image/jpeg"]
    with PILImage.open(io.BytesIO(base64.b64decode(jpeg))) as image:
        assert (image.format, image.size) == ("JPEG", (560, 168))
    assert kept.outputs[3].data["text/html"] == f'<img src="data:image/jpeg;base64,{jpeg}">'
    assert refresh.kinds(kept) == before == ["html", "image"]
