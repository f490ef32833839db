"""Run the cells beside this file, one after another, in one namespace, as a notebook does.

A copy of it is sent with them, so it needs Python alone.
"""

from __future__ import annotations

import os
import sys
import traceback
import types
from collections.abc import Sequence
from pathlib import Path


def run(folder: Path, arguments: Sequence[str]) -> int:
    """Run the cells in a folder, in the order of their names, and return an exit status.

    Args:
        folder: One file of Python for each cell.
        arguments: `--check` leaves the last one out.
    """
    cells = sorted(folder.glob("*.py"))
    if "--check" in arguments:
        cells = cells[:-1]
    output = os.environ.get("FOVEAL_OUTPUT", "")
    if output and "://" not in output:
        Path(output).mkdir(parents=True, exist_ok=True)
    # What cells define belongs to `__main__`, as in a notebook: a class that is pickled here can
    # be read there.
    program = types.ModuleType("__main__")
    sys.modules["__main__"] = program
    for path in cells:
        code = compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
        try:
            exec(code, vars(program))  # noqa: S102 - what was sent to be run
        except Exception as error:
            # It begins in the cell; what this file did is no part of it.
            inside = error.__traceback__.tb_next if error.__traceback__ else None
            sys.stdout.flush()
            traceback.print_exception(error.with_traceback(inside))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(run(Path(__file__).with_name("cells"), sys.argv[1:]))
