"""What `foveal tune` gains over the default recipe in half an hour, with its interval.

Runs one study for each data set, with the command that a user would type, and appends a line of
JSON for each: the verdict, how the trials ended, and whether the budget held. Needs the machine for
itself: the budget is wall-clock time.

    python benchmarks/scale/tune.py --out benchmarks/results.jsonl
    python benchmarks/scale/tune.py letters --budget 8m --epochs 8
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from foveal.machine import available_cores, processor_name
from foveal.version import __version__

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SETS = ("laptop_phone", "letters")


def main() -> None:
    """Tune each data set, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=SETS, help="folders of the shared data")
    parser.add_argument("--budget", default="30m")
    parser.add_argument("--epochs", help="of each training; default: the recipe's")
    parser.add_argument("--workers", default="1")
    parser.add_argument("--data", type=Path, default=DATA, help="where the folders are")
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    arguments = parser.parse_args()
    for name in arguments.sets:
        line = json.dumps(tuned(name, arguments))
        print(line, flush=True)
        if arguments.out is not None:
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def tuned(name: str, arguments: argparse.Namespace) -> dict[str, object]:
    """Return what a study of one data set found."""
    command = [sys.executable, "-m", "foveal", "tune", str(arguments.data / name)]
    command += ["--budget", arguments.budget, "--workers", arguments.workers, "--json"]
    command += ["--epochs", arguments.epochs] if arguments.epochs else []
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="foveal-tune-") as folder:
        done = subprocess.run([*command, "--out", folder], stdout=subprocess.PIPE, check=False)
    took_s = time.monotonic() - begun_s
    about: dict[str, object] = {
        "benchmark": "scale/tune",
        "data": name,
        "budget": arguments.budget,
        "epochs": arguments.epochs,
        "workers": arguments.workers,
        "took_s": round(took_s, 1),
        "foveal": __version__,
        "python": platform.python_version(),
        "processor": processor_name(),
        "cores": available_cores(),
    }
    if done.returncode:
        return {**about, "status": done.returncode}
    found = json.loads(done.stdout)
    kept = ("trial", "default", "best", "difference", "pictures", "better", "sentence")
    return {
        **about,
        **{key: found[key] for key in kept},
        "trials": dict(Counter(trial["state"] for trial in found["trials"])),
        "importances": found["importances"],
    }


if __name__ == "__main__":
    main()
