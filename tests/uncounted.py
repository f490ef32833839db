"""The environment of programs whose lines need not be counted, though `make coverage` counts."""

import os

_SWITCHES = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
NOT_COUNTED = dict.fromkeys(_SWITCHES, "")
"""Variables that keep `coverage` out of a process.

It is called for each line of Python that is run, also in packages that it does not measure, which
makes a training take 1.6 times as long.
"""


def uncounted() -> dict[str, str]:
    """Return the environment of this process for one that runs nothing of foveal worth counting."""
    return {**os.environ, **NOT_COUNTED}
