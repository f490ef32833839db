"""Two processes with one thread each against one process with two threads, in turns.

Pictures a second of training alone, of the epochs after the first, on drawn letters: nothing but
the other way of using the same two cores can make a difference.

    python benchmarks/scale/data_parallel.py [--rounds 5] [--count 1000] [--out FILE]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from tiny_run import copied, prepared_run, rates, train_in_one, train_in_several  # noqa: E402

from outcome import Outcome, add_out, note, report  # noqa: E402

CASES = {
    "fovea, 64 px, batch 64": {"image_size": 64, "backbone": "fovea", "batch_size": 64},
    "efficientnet_lite0, 96 px, batch 32": {
        "image_size": 96,
        "backbone": "efficientnet_lite0",
        "batch_size": 32,
    },
}
EPOCHS = 4


def main() -> None:
    """Train in turns, and report the ratio of each turn."""
    arguments = parse_arguments()
    if arguments.one is not None:
        train_in_one(arguments.one)
        return
    for name, knobs in CASES.items():
        report(compared(name, knobs, arguments.rounds, arguments.count), arguments.out)


def compared(name: str, knobs: dict[str, object], rounds: int, count: int) -> Outcome:
    """Return the ratios of one network."""
    settings = ("data.fresh_every=0", "train.precision=fp32")
    ones: list[float] = []
    twos: list[float] = []
    with tempfile.TemporaryDirectory(prefix="foveal-") as scratch:
        folder = Path(scratch)
        ready = prepared_run(
            folder / "ready",
            f"synth:letters?count={count}",
            settings,
            {"epochs": EPOCHS, "strategy": "scratch", "device": "cpu", "devices": 2, **knobs},
        )
        for turn in range(rounds):
            one = copied(ready, folder / f"one-{turn}", 1)
            environment = {**os.environ, "OMP_NUM_THREADS": "2"}
            command = [sys.executable, __file__, "--one", str(one.run.path)]
            subprocess.run(command, env=environment, check=True)
            ones.append(statistics.median(rates(one.run.path)[1:]))
            two = copied(ready, folder / f"two-{turn}", 2)
            os.environ["OMP_NUM_THREADS"] = "1"
            train_in_several(two)
            twos.append(statistics.median(rates(two.run.path)[1:]))
            note(f"  {name}, turn {turn + 1}: one {ones[-1]:.0f}/s, two {twos[-1]:.0f}/s")
    return Outcome(
        claim=f"data_parallel ({name})",
        what="pictures a second of two processes with one thread, relative to one with two",
        unit="ratio",
        values=tuple(b / a for a, b in zip(ones, twos, strict=True)),
        target=0.9,
        judged_by="median",
        detail={"one_per_s": ones, "two_per_s": twos, "epochs": EPOCHS, "pictures": count},
    )


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--count", type=int, default=1000, help="pictures that are drawn")
    options.add_argument("--one", type=Path, help="train this run in this process (internal)")
    add_out(options)
    return options.parse_args()


if __name__ == "__main__":
    main()
