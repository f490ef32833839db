"""IPython magics that collect cells and submit them as one job.

%load_ext foveal.notebook
%foveal_init --on vertex:my-project/europe-west4 --bucket my-bucket
%%foveal_code NAME
%%foveal_run --on local
"""

from __future__ import annotations

import functools
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from keyword import iskeyword
from pathlib import Path
from typing import Any, final

from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

from foveal.errors import FovealError, UsageError, complaint
from foveal.jobs.submit import submit
from foveal.jobs.work import Work
from foveal.notebook import arguments, old
from foveal.notebook.cells.plain import plain
from foveal.notebook.cells.program import MODULE, Program, dry_run, make_program
from foveal.notebook.cells.requirements import check_requirements
from foveal.notebook.cells.store import Cell, CellStore
from foveal.notebook.inline import Inline
from foveal.notebook.sent import SentJob
from foveal.notebook.settings import NotebookSettings
from foveal.render.markup import table_html
from foveal.words import table

OUT = Path("jobs")
"""Where results are fetched to, in the folder of the notebook."""


@final
class NotebookMagics:
    """The magics of one kernel, and the cells that they have collected.

    Args:
        shell: IPython shell in which they are registered.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._cells = CellStore()
        self._settings = NotebookSettings()
        self._now: ExecutionInfo | None = None

    def register(self) -> None:
        """Register the magics."""
        for (kind, name), function in self._functions().items():
            function.__doc__ = arguments.PARSERS[name].format_help()
            self._shell.magics_manager.register_function(function, kind, name)
        self._shell.events.register("pre_run_cell", self._remember)

    def unregister(self) -> None:
        """Unregister the magics."""
        for kind, name in self._functions():
            self._shell.magics_manager.magics[kind].pop(name, None)
        self._shell.events.unregister("pre_run_cell", self._remember)

    def _functions(self) -> dict[tuple[str, str], Callable[..., Any]]:
        found: dict[tuple[str, str], Callable[..., Any]] = {
            ("line", "foveal_init"): self.init,
            ("line", "foveal_cells"): self.cells,
            ("cell", "foveal_code"): self.code,
            ("cell", "foveal_run"): self.run,
            ("line", "ml_init"): self.ml_init,
            ("cell", "ml_init"): self.ml_init,
            ("cell", "ml_code"): self.ml_code,
            ("cell", "ml_run"): self.ml_run,
        }
        return {key: _in_one_line(function) for key, function in found.items()}

    def _remember(self, info: ExecutionInfo) -> None:
        """Record which cell is running; code that a magic runs inside it has no id."""
        self._now = info

    def init(self, line: str) -> None:
        """Set the target of jobs and their requirements."""
        given = arguments.parsed("foveal_init", line)
        check_requirements(given.package, "--package")
        self._settings = NotebookSettings.from_arguments(given, given.package)
        unused = ", ".join(self._settings.unused())
        where = "%%foveal_run --on vertex:PROJECT/REGION"
        _say(
            f"Jobs go to {self._settings.target()}."
            + (f" {unused}: without effect there, unless a cell says {where}." if unused else "")
        )

    def cells(self, line: str) -> Inline | None:
        """Show the collected cells, or drop some of them."""
        given = arguments.parsed("foveal_cells", line)
        if given.all:
            self._cells.clear()
        for name in given.forget:
            self._cells.forget(name)
        if given.all or given.forget:
            count = len(self._cells)
            _say("1 cell is kept." if count == 1 else f"{count} cells are kept.")
            return None
        rows = [
            (cell.name, str(cell.source.count("\n")), "failed" if cell.failed else "")
            for cell in self._cells
        ]
        head = ("cell", "lines", "")
        return Inline(table_html(head, rows), table(head, rows))

    def code(self, line: str, cell: str) -> None:
        """Collect a cell, and run it here."""
        given = arguments.parsed("foveal_code", line)
        self._collect(given.name, f"%%foveal_code {line}".rstrip(), cell, runs=not given.no_run)

    def run(self, line: str, cell: str) -> SentJob:
        """Submit the collected cells and this one as one job."""
        given = arguments.parsed("foveal_run", line)
        if given.into and (not given.into.isidentifier() or iskeyword(given.into)):
            raise UsageError(
                f"{given.into!r} is not the name of a variable.", hint="use --into job"
            )
        return self._send(f"%%foveal_run {line}".rstrip(), cell, given)

    def ml_init(self, line: str, cell: str = "") -> None:
        """Run an `%%ml_init` of cloudml-magic."""
        given = old.parsed(line, cell)
        self._settings = given
        _say(f"%%ml_init is now: {given.line()}")

    def ml_code(self, line: str, cell: str) -> None:
        """Run an `%%ml_code` of cloudml-magic."""
        _say("%%ml_code is now: %%foveal_code NAME")
        self._collect(None, "%%ml_code", cell, runs=True)

    def ml_run(self, line: str, cell: str) -> SentJob | None:
        """Run an `%%ml_run` of cloudml-magic."""
        if old.goes_to_cloud(line):
            target = self._settings.target("vertex")
            _say(f"%%ml_run cloud is now: %%foveal_run --on {target}")
            given = arguments.parsed("foveal_run", f"--on {target}")
            return self._send("%%ml_run cloud", cell, given)
        _say("%%ml_run is now: %%foveal_code NAME")
        self._collect(None, "%%ml_run", cell, runs=True)
        return None

    def _collect(self, name: str | None, first: str, cell: str, *, runs: bool) -> None:
        source = f"{first}\n{cell}"
        made = Cell(*self._identity(name, source), source)
        # What could not be sent is said now, and not after hours of work.
        plain(source, made.name)
        self._cells.put(made)
        if not runs:
            return
        result = self._shell.run_cell(cell)  # type: ignore[no-untyped-call]
        if result.success:
            return
        self._cells.mark_failed(made.key)
        error = result.error_before_exec or result.error_in_exec
        first = f"{type(error).__name__}: {error}"
        _shown_as(error, f"{first}\nThe cell {made.name} is not sent until it runs.")
        result.raise_error()

    def _identity(self, name: str | None, source: str) -> tuple[str, str]:
        """Return a key that identifies a cell across runs, and its display name."""
        if name:
            return f"name {name}", name
        shown = self._number()
        own = getattr(self._now, "cell_id", None)
        if own:
            return f"id {own}", shown
        _say("Name the cell, so that running it again replaces it: %%foveal_code NAME")
        return f"source {source}", shown

    def _number(self) -> str:
        """Return the number of the running cell, as the notebook shows it."""
        history = self._shell.history_manager
        return f"In[{len(history.input_hist_raw) - 1 if history else 1}]"

    def _send(self, first: str, cell: str, given: Namespace) -> SentJob:
        target = self._settings.target(given.on)
        options = self._settings.options(target)
        last = Cell("", self._number(), f"{first}\n{cell}")
        program = make_program(
            (*self._cells.whole(), last),
            is_automatic=self._settings.is_automatic,
            given=self._settings.requirement_lines(),
        )
        for note in program.notes:
            _say(note)
        if given.check:
            dry_run(program)
        job = SentJob(submit(_work(program, given.name), target, options), OUT)
        if given.into:
            self._shell.user_ns[given.into] = job
        if not given.wait:
            return job
        return job.watched()


def _work(program: Program, name: str | None) -> Work:
    return Work(
        name or f"notebook-{datetime.now():%Y%m%d-%H%M%S}",
        MODULE,
        files=program.files,
        requirements=program.requirements,
        extras=("train",) if program.uses_foveal else (),
    )


def _in_one_line(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that notebooks show its foveal errors without a traceback."""

    @functools.wraps(function)
    def called(*args: str) -> Any:
        with _errors_in_one_line():
            return function(*args)

    return called


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except FovealError as error:
        _shown_as(error, complaint(error.message, error.hint))
        raise


def _shown_as(error: BaseException | None, line: str) -> None:
    """Let IPython show a single line for an error whose traceback is of no use."""
    if error is not None:
        error._render_traceback_ = line.splitlines  # type: ignore[attr-defined]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
