"""Run a program of another environment, which has nothing of foveal, timed from outside."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASELINES = Path(__file__).with_name("baselines")


@dataclass(frozen=True)
class Other:
    """An environment with packages that foveal has no use for.

    Attributes:
        python: Its interpreter.
        packages: What must be in it.
    """

    python: Path
    packages: tuple[str, ...]

    def check(self) -> None:
        """End the script when the packages are not there, with how to install them."""
        modules = [name.partition("-")[0].replace("pillow", "PIL") for name in self.packages]
        line = [str(self.python), "-c", f"import {', '.join(modules)}"]
        try:
            done = subprocess.run(line, capture_output=True, check=False, env=environment())
            is_there = done.returncode == 0
        except OSError:
            is_there = False
        if not is_there:
            raise SystemExit(
                f"{self.python} cannot import {', '.join(modules)}. An environment that can:\n"
                f"python3 -m venv VENV && VENV/bin/pip install {' '.join(self.packages)}"
            )

    def version(self, package: str) -> str:
        """Return the version of one of its packages."""
        code = f"from importlib.metadata import version; print(version({package!r}))"
        line = [str(self.python), "-c", code]
        done = subprocess.run(line, capture_output=True, text=True, check=True, env=environment())
        return done.stdout.strip()

    def run(self, script: str, *arguments: str | Path | int) -> tuple[dict[str, Any], float]:
        """Run a script of `baselines/`.

        Returns:
            (the JSON line that it printed, seconds from start to end of its process).

        Raises:
            SystemExit: When it fails; with what it said.
        """
        line = [str(part) for part in (self.python, BASELINES / script, *arguments)]
        start = time.perf_counter()
        done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment())
        wall_s = time.perf_counter() - start
        if done.returncode != 0:
            raise SystemExit(f"{script} failed:\n{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return found, wall_s


def environment() -> dict[str, str]:
    """Return the environment of the other program, in which no path leads to this checkout."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": ""}
