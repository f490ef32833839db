"""Cells put together into a program."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from foveal.errors import UsageError
from foveal.notebook.cells.program import MODULE, Program, dry_run, make_program
from foveal.notebook.cells.store import Cell, CellStore


def cell(name: str, body: str) -> Cell:
    return Cell(name, name, f"%%foveal_code {name}\n{body}\n")


def run(program: Program, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    for name, content in program.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    environment = {**os.environ, "FOVEAL_OUTPUT": str(folder / "output")}
    # Without foveal: what is sent needs Python alone.
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", MODULE, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_cell_that_is_stored_again_replaces_itself_in_its_place() -> None:
    store = CellStore()
    for made in (cell("a", "x = 1"), cell("b", "y = x"), cell("a", "x = 2")):
        store.put(made)
    assert [kept.source.splitlines()[1] for kept in store.whole()] == ["x = 2", "y = x"]


def test_no_program_is_made_of_a_cell_that_failed() -> None:
    store = CellStore()
    store.put(cell("a", "x = 1"))
    store.mark_failed("a")
    with pytest.raises(UsageError, match="Cell a failed when it last ran"):
        store.whole()
    store.put(cell("a", "x = 2"))
    assert len(store.whole()) == 1


def test_a_cell_is_forgotten_by_its_name() -> None:
    store = CellStore()
    store.put(cell("data", "x = 1"))
    with pytest.raises(UsageError, match="Did you mean 'data'"):
        store.forget("date")
    store.forget("data")
    with pytest.raises(UsageError, match="There is no cell 'data'"):
        store.forget("data")


def test_cells_run_in_one_namespace_that_is_the_main_module(tmp_path: Path) -> None:
    program = make_program(
        [
            cell("data set", "import pickle\nclass Point:\n    x = 3"),
            cell("train", "print(pickle.loads(pickle.dumps(Point())).x, Point.__module__)"),
        ]
    )
    done = run(program, tmp_path)
    assert (done.returncode, done.stdout) == (0, "3 __main__\n"), done.stderr
    assert sorted(program.files) == [
        "foveal_cells/__init__.py",
        "foveal_cells/cells/1_data_set.py",
        "foveal_cells/cells/2_train.py",
        "foveal_cells/task.py",
    ]
    assert (tmp_path / "output").is_dir()


def test_an_error_names_the_line_of_the_cell_and_nothing_of_what_runs_it(tmp_path: Path) -> None:
    program = make_program([cell("a", "def f(x):\n    return 1 / x"), cell("b", "\nf(0)")])
    done = run(program, tmp_path)
    assert done.returncode == 1
    frames = [line.strip() for line in done.stderr.splitlines() if "File" in line]
    assert [frame.split("cells/")[-1] for frame in frames] == [
        '2_b.py", line 3, in <module>',
        '1_a.py", line 3, in f',
    ]
    assert "task.py" not in done.stderr


def test_a_check_leaves_the_last_cell_out(tmp_path: Path) -> None:
    program = make_program([cell("a", "print('one')"), cell("b", "print('two')")])
    assert run(program, tmp_path, "--check").stdout == "one\n"


def test_a_dry_run_fails_where_a_cell_needs_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "table.csv").write_text("1")
    monkeypatch.chdir(tmp_path)
    reads = cell("data", "text = open('table.csv').read()")
    with pytest.raises(UsageError, match=r"1_data.py\", line 2(.|\n)*table.csv"):
        dry_run(make_program([reads, cell("train", "print(text)")]))
    dry_run(make_program([cell("data", "text = '1'"), cell("train", "1 / 0")]))


def test_requirements_and_the_use_of_foveal_are_told() -> None:
    program = make_program(
        [cell("a", "import foveal\nimport numpy\n%matplotlib inline")], given=("timm>=1.0",)
    )
    assert program.requirements == (f"numpy=={version('numpy')}", "timm>=1.0")
    assert program.uses_foveal
    assert program.notes == ("left out: cell a, line 4: %matplotlib inline",)
    plain = make_program([cell("a", "import numpy")], is_automatic=False)
    assert (plain.requirements, plain.uses_foveal) == ((), False)


@pytest.mark.parametrize(
    ("bodies", "message", "hint"),
    [
        (["print(data)"], "Cell c0, line 2: 'data' is not defined in any cell", "%%foveal_code"),
        (["a\nb\nc"], r"'a' is not defined in any cell that is sent \(2 more: b, c\)", "%%foveal"),
        (["print(x)", "x = 1"], "'x' is defined only later, in cell c1", "--forget"),
        (["display(1)"], "'display' exists in notebooks only", "IPython.display"),
        (["Out[3]"], "'Out' exists in notebooks only", "leave it out"),
    ],
)
def test_undefined_names_are_refused(bodies: list[str], message: str, hint: str) -> None:
    cells = [cell(f"c{number}", body) for number, body in enumerate(bodies)]
    with pytest.raises(UsageError, match=message) as error:
        make_program(cells)
    assert hint in str(error.value.hint)


def test_a_star_of_a_module_that_is_not_known_is_said() -> None:
    with pytest.raises(
        UsageError, match="not_imported_here does not belong to an installed package"
    ):
        make_program([cell("a", "from not_imported_here import *\nprint(x)")])
    program = make_program(
        [cell("a", "from not_imported_here import *\nprint(x)")], is_automatic=False
    )
    assert program.notes == (
        "cell a imports * from not_imported_here, so undefined names in it cannot be detected",
    )
