"""Pictures through Ray Data on two actors, against two plain `foveal predict` processes.

In turns in one run, each side bound to as many cores: the plain processes to one core each, each
with half of the pictures. Ray is started before (its time is in `ray_start_s`); the actors' start
counts. The pictures are links to a hundred drawn files. With `--kill`, an actor is killed in the
middle of one more run, whose records must be those of the others. The memory of the actors is read
at a quarter of the pictures and at the end.

    python benchmarks/scale/ray_predict.py BUNDLE --pictures 100000 --rounds 3 --kill
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import foveal
from foveal.cluster.connect import connected
from foveal.console import NoProgress
from foveal.jobs import Target
from foveal.machine import resident_bytes
from outcome import Outcome, add_out, note, report

_WORKERS = 2
_DRAWN = 100


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kill", action="store_true")
    add_out(parser)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        root = Path(temporary)
        halves = link_pictures(root, asked.pictures)
        begun = time.perf_counter()
        with connected(Target.parse("ray:local"), cores=_WORKERS):
            start_s = time.perf_counter() - begun
            detail, values = measure(asked, root, halves)
    report(
        Outcome(
            claim="ray_predict",
            what=f"pictures a second on Ray Data with {_WORKERS} actors, relative to {_WORKERS} "
            f"plain processes; {asked.pictures} pictures",
            unit="ratio",
            values=values,
            target=0.9,
            better="high",
            judged_by="median",
            detail={"ray_start_s": start_s, **detail},
        ),
        asked.out,
    )


def measure(
    asked: argparse.Namespace, root: Path, halves: list[Path]
) -> tuple[dict[str, object], tuple[float, ...]]:
    """Run both in turns; return what was found, and the ratios of their rates."""
    seconds: dict[str, list[float]] = {"ray": [], "plain": []}
    memory: list[dict[str, int]] = []
    for number in range(asked.rounds):
        seconds["plain"].append(timed(partial(run_plain, asked.bundle, halves)))
        watching = Watching(asked.pictures)
        out = root / f"out-{number}"
        seconds["ray"].append(
            timed(lambda out=out, w=watching: run_ray(asked.bundle, halves, out, w))
        )
        memory.append(watching.memory)
        plain, ray = seconds["plain"][-1], seconds["ray"][-1]
        note(f"round {number + 1}: {ray:.1f} s on Ray, {plain:.1f} s plain")
    detail: dict[str, object] = {"seconds": seconds, "actor_bytes": memory}
    if asked.kill:
        watching = Watching(asked.pictures, kill=True)
        run_ray(asked.bundle, halves, root / "killed", watching)
        expected, found = sources(root / "out-0"), sources(root / "killed")
        detail["killed"] = {
            "pictures": len(found),
            "lost": len(set(expected) - set(found)),
            "doubled": len(found) - len(set(found)),
        }
    pairs = zip(seconds["plain"], seconds["ray"], strict=True)
    return detail, tuple(plain / ray for plain, ray in pairs)


class Watching(NoProgress):
    """Reads the memory of the actors on the way, and may kill one of them."""

    def __init__(self, total: int, *, kill: bool = False) -> None:
        self._total = total
        self._kill = kill
        self.memory: dict[str, int] = {}

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Look."""
        if done >= self._total // 4 and "quarter" not in self.memory:
            self.memory["quarter"] = max(resident(process) for process in actors())
        if done >= self._total // 2 and self._kill:
            self._kill = False
            actors()[0].kill()
        if done < self._total and done >= self._total * 0.95:
            self.memory["end"] = max(resident(process) for process in actors())


def actors() -> list[psutil.Process]:
    """Return the processes that answer on Ray."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "MapBatches(_Actor)" in " ".join(process.info["cmdline"] or ())
    ]


def resident(process: psutil.Process) -> int:
    """Return the memory that a process holds, in bytes."""
    return resident_bytes(Path(f"/proc/{process.pid}/statm"))


def run_ray(bundle: Path, halves: list[Path], out: Path, watching: Watching) -> None:
    """Answer all pictures on Ray."""
    foveal.load(bundle).predict_on("ray:local", halves, out, workers=_WORKERS, progress=watching)


def run_plain(bundle: Path, halves: list[Path]) -> None:
    """Answer each half in a process of its own, bound to a core of its own."""
    cores = sorted(os.sched_getaffinity(0))
    running = []
    for core, half in zip(cores, halves, strict=False):
        command = [sys.executable, "-m", "foveal", "predict", str(bundle), str(half), "--json"]
        running.append(
            subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.DEVNULL)
        )
    for process in running:
        if process.wait():
            raise SystemExit("a plain process failed")


def timed(run: Callable[[], None]) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def sources(out: Path) -> list[str]:
    """Return the pictures of all records."""
    files = sorted(out.glob("part-*.jsonl"))
    return [json.loads(line)["source"] for file in files for line in file.read_text().splitlines()]


def link_pictures(root: Path, count: int) -> list[Path]:
    """Draw pictures, link to them under many names in two folders, and return these."""
    from PIL import Image

    rng = np.random.default_rng(0)
    drawn = []
    (root / "drawn").mkdir()
    for number in range(_DRAWN):
        coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
        path = root / "drawn" / f"{number}.jpg"
        Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC).save(path, quality=90)
        drawn.append(path)
    halves = [root / f"half-{number}" for number in range(_WORKERS)]
    for half in halves:
        half.mkdir()
    for number in range(count):
        os.link(drawn[number % _DRAWN], halves[number % _WORKERS] / f"{number:07}.jpg")
    return halves


if __name__ == "__main__":
    main()
