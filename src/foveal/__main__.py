"""`foveal`, and `python -m foveal`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

# Objects that are made before the next look for garbage, more than one prediction makes. What is
# made while modules are imported lives on: looking through it every 700 objects only slows the
# start.
_GC_THRESHOLD = 100_000
# As in pyproject.toml.
_OLDEST = (3, 11)


def main() -> None:
    """Run the command line and leave the process with its exit status."""
    gc.set_threshold(_GC_THRESHOLD)
    run = _command_line()
    status = run(sys.argv[1:])
    # The system takes the memory back: nothing need be looked through once more.
    gc.freeze()
    sys.exit(status)


def _command_line() -> Callable[[Sequence[str]], int]:
    """Return `run` of the command line, or end where this Python cannot run it.

    A job brings foveal, but not Python and the packages that foveal needs.
    """
    if sys.version_info < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        _end(f"foveal needs Python {oldest} or newer, and this is {sys.version.split()[0]}")
    try:
        # Not before: most objects are made by this.
        from foveal.cli.main import run
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "foveal":
            raise
        _end(f"foveal needs the module {error.name}, which this Python does not have")
    return run


def _end(problem: str) -> NoReturn:
    sys.exit(
        f"error: {problem} ({sys.executable}).\n"
        "hint: pip install foveal, for this Python; for jobs, install foveal[train] where they "
        "run, and let `python` be that one there"
    )


if __name__ == "__main__":
    main()
