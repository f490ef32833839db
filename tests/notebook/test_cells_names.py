"""Names that cells use and nothing defines."""

import sys
import types

import pytest

from foveal.notebook.cells.undefined import check_names


def undefined(*cells: str) -> list[tuple[str, int, str, str | None]]:
    names = check_names([(f"c{number}", source) for number, source in enumerate(cells, 1)])
    return [(one.cell, one.line, one.name, one.later) for one in names.undefined]


@pytest.mark.parametrize(
    "source",
    [
        "import os.path\nos.sep",
        "from math import pi as π\nπ",
        "total = 0\nfor i in range(3):\n    total += i\nprint(total, i, __name__)",
        "def f(x, *args, k=1, **more):\n    y = x\n    def g():\n"
        "        nonlocal y\n        y = k\n"
        "    return y, args, more, g",
        "class A:\n    size = 3\n    other = size\n    def f(self):\n        return A, self.size\n",
        "with open('f') as file:\n    pass\nfile",
        "try:\n    pass\nexcept ValueError as error:\n    print(error)",
        "match 1:\n    case [a, *rest]:\n        print(a, rest)\n    case {'k': v, **kw}:\n"
        "        print(v, kw)",
        "print([n for n in range(3) if (m := n)], m)",
        "def f():\n    global made\n    made = 1\nf()\nmade",
        "f = lambda x: (x, later)\nlater = 1",
        "def f():\n    return g()\ndef g():\n    return f()",
        "x: int = 1\nx",
    ],
)
def test_names_that_are_there_are_not_missed(source: str) -> None:
    assert undefined(source) == []


def test_what_no_cell_defines_is_found_with_its_first_line() -> None:
    assert undefined(
        "import os\n\nprint(missing)\nmissing",
        "def f():\n    return [hidden for _ in os.sep]\nclass B(Base):\n    a = inside",
    ) == [
        ("c1", 3, "missing", None),
        ("c2", 2, "hidden", None),
        ("c2", 3, "Base", None),
        ("c2", 4, "inside", None),
    ]


def test_what_runs_at_once_needs_an_earlier_cell_and_functions_any() -> None:
    assert undefined("def f():\n    return later", "now = soon", "later = soon = 1") == [
        ("c2", 1, "soon", "c3")
    ]


def test_what_only_notebooks_have_is_undefined() -> None:
    assert [name for _, _, name, _ in undefined("display(In, Out)\n_\nget_ipython()")] == [
        "In",
        "Out",
        "display",
        "_",
        "get_ipython",
    ]


def test_a_star_brings_what_its_module_has(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("starry")
    module.public, module._private = 1, 2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "starry", module)
    source = "from starry import *\nprint(public, _private)"
    assert undefined(source) == [("c1", 2, "_private", None)]
    module.__all__ = ["_private"]  # type: ignore[attr-defined]
    assert undefined(source) == [("c1", 2, "public", None)]


def test_after_a_star_that_is_not_known_nothing_is_said_but_the_star() -> None:
    found = check_names([("a", "print(missing)"), ("b", "from not_imported_here import *")])
    assert found.undefined == ()
    assert found.stars == (("b", "not_imported_here"),)
