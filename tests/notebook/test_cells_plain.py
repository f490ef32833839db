"""What is left of a cell for a program, and what is refused."""

import pytest

from foveal.errors import UsageError
from foveal.notebook.cells.plain import plain


def test_python_stays_as_it_is_with_its_line_numbers() -> None:
    cell = "%%foveal_code data\n\nname = '''\n%cd folder\n!ls\n'''\nrest = 7 % 4\n"
    found = plain(cell, "data")
    assert found.source == "# " + cell
    assert found.left_out == ()


def test_what_only_changes_the_notebook_is_left_out_and_said() -> None:
    found = plain(
        "%%foveal_code data\n%%time\n%matplotlib inline\nif True:\n    !pip install -q timm\n"
        "%pip install timm\nlen?\nü = 'ä'; x = 1\n",
        "data",
    )
    assert found.left_out == (
        (2, "%%time"),
        (3, "%matplotlib inline"),
        (5, "!pip install -q timm"),
        (6, "%pip install timm"),
        (7, "len?"),
    )
    names: dict[str, object] = {}
    exec(found.source, names)
    assert (names["ü"], names["x"]) == ("ä", 1)


def test_a_timed_statement_is_run_without_the_clock() -> None:
    found = plain("%%foveal_code\nif True:\n    %time total = sum([1, 2])\n", "a")
    names: dict[str, int] = {}
    exec(found.source, names)
    assert names["total"] == 3


@pytest.mark.parametrize(
    ("line", "shown", "hint"),
    [
        ("!ls -l", "!ls -l", "subprocess.run"),
        ("files = !ls", "!ls", "subprocess.run"),
        ("%cd folder", "%cd folder", "os.chdir"),
        ("%env KEY=value", "%env KEY=value", "os.environ"),
        ("y = %who", "%who", "leave the line out"),
        ("%%bash", "%%bash", "leave the line out"),
        ("get_ipython().reset()", "get_ipython().reset()", "leave the line out"),
    ],
)
def test_what_does_something_is_refused_with_its_cell_and_line(
    line: str, shown: str, hint: str
) -> None:
    with pytest.raises(UsageError) as error:
        plain(f"%%foveal_code data\n{line}\n", "data")
    assert error.value.message.startswith(f"Cell data, line 2: {shown} works in notebooks only")
    assert hint in str(error.value.hint)


@pytest.mark.parametrize(
    ("text", "line"), [("x = (", 3), ("await work()", 3), ("return 1", 3), ("%time x = (", 3)]
)
def test_a_cell_that_does_not_compile_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(UsageError, match=f"^Cell train, line {line}: "):
        plain(f"%%foveal_code train\npass\n{text}\n", "train")
