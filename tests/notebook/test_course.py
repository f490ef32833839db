"""Every chapter of the course runs, in a folder of its own, on pictures that it draws itself."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import refresh

COURSE = refresh.FOLDER / "course"
CHAPTERS = sorted(COURSE.glob("*.ipynb"))
ON_REAL_PICTURES = [path for path in CHAPTERS if "course.folder(" in path.read_text("utf-8")]

RunNotebook = Callable[..., list[nbformat.NotebookNode]]


# The assertions inside the chapters hold what they teach to what torch and OpenCV compute.
@pytest.mark.slow
# nbclient 0.11 and jupyter_client 8 still ask asyncio and zmq for what Python will drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs(path: Path, run_notebook: RunNotebook) -> None:
    run_notebook(f"course/{path.name}")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("path", ON_REAL_PICTURES, ids=lambda path: path.stem)
def test_a_chapter_runs_on_real_pictures_too(
    path: Path, run_notebook: RunNotebook, shared_data: Path
) -> None:
    run_notebook(f"course/{path.name}", COURSE_DATA=str(shared_data))


def test_chapters_are_numbered_without_gaps() -> None:
    assert [int(path.name[:2]) for path in CHAPTERS] == list(range(1, len(CHAPTERS) + 1))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_a_number_exercises_with_their_point_and_a_cover(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    first, last = notebook.cells[0].source, notebook.cells[-1].source
    title = re.match(rf"# {int(path.name[:2])} · (.+)\n", first)
    assert title, first
    exercises = last[last.index("## Exercises") :]
    assert len(re.findall(r"^\d\. ", exercises, re.M)) == exercises.count("*The point: ") >= 3
    small = refresh.cover(notebook)
    assert small is not None and max(small.size) == 480
    assert (refresh.COVERS / f"{path.stem}.png").is_file()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_documentation_lists_every_chapter(path: Path) -> None:
    text = (refresh.FOLDER.parent / "docs" / "course.md").read_text("utf-8")
    title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
    assert f"\n#{title}\n" in text
    assert f"(images/course/{path.stem}.png)" in text
    assert f"<../examples/course/{path.name}>" in text
    assert f"]({path.name})" in (COURSE / "README.md").read_text("utf-8")


def test_the_course_is_small() -> None:
    assert sum(path.stat().st_size for path in CHAPTERS) < 6_000_000
