"""Run foveal as a user does: the command in a process of its own, timed from outside."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outcome import ROOT, note


@dataclass(frozen=True)
class Finished:
    """A command that ended well.

    Attributes:
        json: What it printed with `--json`.
        wall_s: From start to end of the process, in seconds.
    """

    json: dict[str, Any]
    wall_s: float


def command(*arguments: str | Path) -> list[str]:
    """Return the `foveal` command line: the installed script, or the module without one."""
    script = Path(sys.executable).with_name("foveal")
    start = [str(script)] if script.is_file() else [sys.executable, "-m", "foveal"]
    return [*start, *(str(argument) for argument in arguments)]


def environment() -> dict[str, str]:
    """Return the environment in which this checkout is importable also when not installed."""
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run(*arguments: str | Path) -> Finished:
    """Run a verb with `--json --quiet` and time the whole process.

    Raises:
        SystemExit: When it fails; with what it said.
    """
    line = command(*arguments, "--json", "--quiet")
    start = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), check=False)
    wall_s = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(line)}\nended with {done.returncode}:\n{done.stderr}")
    return Finished(json.loads(done.stdout.strip().splitlines()[-1]), wall_s)


def train(data: str | Path, out: Path, name: str, options: Sequence[str] = ()) -> Finished:
    """Train and return the last line of `train --json`: run, bundle, metrics, seconds."""
    finished = run("train", data, "--out", out, "--name", name, *options)
    note(f"  trained {name} in {finished.wall_s:.1f} s")
    return finished


def epoch_rows(trained: Finished, epochs: int) -> list[dict[str, str]]:
    """Return the rows of results.csv of a training, one for each epoch.

    Raises:
        SystemExit: When it had another number of epochs.
    """
    with (Path(trained.json["run"]) / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != epochs:
        raise SystemExit(f"foveal trained {len(rows)} epochs instead of {epochs}")
    return rows


def evaluate(bundle: str | Path, data: str | Path, out: Path | None = None) -> dict[str, Any]:
    """Measure a bundle on held-out data."""
    report: list[str | Path] = ["--out", out] if out is not None else []
    return run("evaluate", bundle, data, *report).json
