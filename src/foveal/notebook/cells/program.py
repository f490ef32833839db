"""Cells put together into what is sent: checked, with what they need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from foveal.errors import UsageError
from foveal.notebook.cells.plain import plain
from foveal.notebook.cells.requirements import imports, merged, requirements_of
from foveal.notebook.cells.store import Cell
from foveal.notebook.cells.undefined import OF_NOTEBOOKS, Undefined, check_names

PACKAGE = "foveal_cells"
"""The package that holds them where they run."""
MODULE = f"{PACKAGE}.task"
"""The module that runs them."""
_LONGEST_TAIL = 2_000


@final
@dataclass(frozen=True, slots=True)
class Program:
    """The program made of the cells.

    Attributes:
        files: Path with `/` → content.
        requirements: Packages, as pip reads them.
        uses_foveal: Whether a cell imports foveal.
        notes: Sentences about what people may not expect, to be shown.
    """

    files: dict[str, bytes]
    requirements: tuple[str, ...]
    uses_foveal: bool
    notes: tuple[str, ...]


def make_program(
    cells: Sequence[Cell], *, is_automatic: bool = True, given: Sequence[str] = ()
) -> Program:
    """Check cells and put them together.

    Args:
        cells: In the order in which they run.
        is_automatic: Take requirements from the imports.
        given: More requirements, which hold instead of those from imports.

    Raises:
        UsageError: For a cell that could not run elsewhere; it says the cell and the line.
    """
    notes, sources = [], []
    for cell in cells:
        found = plain(cell.source, cell.name)
        sources.append((cell.name, found.source))
        notes += [f"left out: cell {cell.name}, line {n}: {text}" for n, text in found.left_out]
    names = check_names(sources)
    notes += [
        f"cell {cell} imports * from {module}, so undefined names in it cannot be detected"
        for cell, module in names.stars
    ]
    if names.undefined:
        raise _undefined(names.undefined)
    imported = imports(sources)
    automatic = requirements_of(imported) if is_automatic else ()
    return Program(
        dict(_files(sources)),
        merged(automatic, given),
        any(one.top == "foveal" for one in imported),
        tuple(notes),
    )


def dry_run(program: Program) -> None:
    """Run all cells but the last in a new process of this machine, in an empty folder.

    Raises:
        UsageError: If one of them fails, with the end of what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="foveal-check-") as temporary:
        folder = Path(temporary)
        for name, content in program.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        done = subprocess.run(  # noqa: S603 - the cells of the user's own notebook
            [sys.executable, "-m", MODULE, "--check"],
            cwd=folder,
            env={**os.environ, "FOVEAL_OUTPUT": str(folder / "output")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    if done.returncode:
        raise UsageError(
            "The cells fail when they are run in a new process:\n"
            + done.stdout.replace(str(folder) + os.sep, "").strip()[-_LONGEST_TAIL:],
            hint="define everything they need in the cells, and put data at a URL",
        )


def _files(sources: Sequence[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    yield f"{PACKAGE}/__init__.py", b'"""Cells of a notebook."""\n'
    yield f"{PACKAGE}/task.py", Path(__file__).with_name("task.py").read_bytes()
    digits = len(str(len(sources)))
    for number, (name, source) in enumerate(sources, 1):
        plain_name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
        yield f"{PACKAGE}/cells/{number:0{digits}d}_{plain_name}.py", source.encode()


def _undefined(found: Sequence[Undefined]) -> UsageError:
    first, more = found[0], len(found) - 1
    rest = f" ({more} more: {', '.join(one.name for one in found[1:6])})" if more else ""
    where = f"Cell {first.cell}, line {first.line}: {first.name!r}"
    if first.later:
        return UsageError(
            f"{where} is defined only later, in cell {first.later}{rest}.",
            hint="cells run in the order in which they were first run; to put a cell last: "
            "%foveal_cells --forget NAME, then run it again",
        )
    if first.name in OF_NOTEBOOKS:
        shows = first.name == "display"
        return UsageError(
            f"{where} exists in notebooks only{rest}.",
            hint="from IPython.display import display" if shows else "leave it out of this cell",
        )
    return UsageError(
        f"{where} is not defined in any cell that is sent{rest}.",
        hint="put the cell that defines it under %%foveal_code",
    )
