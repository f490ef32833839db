"""`foveal`, and `python -m foveal`."""

from __future__ import annotations

import gc
import sys

# Objects that are made before the next look for garbage, more than one prediction makes. What is
# made while modules are imported lives on: looking through it every 700 objects only slows the
# start.
_GC_THRESHOLD = 100_000


def main() -> None:
    """Run the command line and leave the process with its exit status."""
    gc.set_threshold(_GC_THRESHOLD)
    # Not before: most objects are made by this.
    from foveal.cli.main import run

    status = run(sys.argv[1:])
    # The system takes the memory back: nothing need be looked through once more.
    gc.freeze()
    sys.exit(status)


if __name__ == "__main__":
    main()
