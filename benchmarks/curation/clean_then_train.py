"""Does a training gain from `foveal clean --auto`, with nobody looking?

A fifth of the pictures is held out, copies together with their originals, and freed of the pictures
whose labels a check of all pictures doubts. Labels of the rest may be flipped at random. Two models
are trained alike: on the rest as it is, and on the rest after `foveal check --features` and
`foveal clean --auto`. Measured: the difference of their accuracies on the held-out fifth.

    python benchmarks/curation/clean_then_train.py --flips 0 0.1 --set train.strategy=frozen
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import foveal
from foveal.cli.options import seconds
from outcome import Outcome, add_out, note, report, shared


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="laptop_phone")
    parser.add_argument("--flips", type=float, nargs="+", default=[0.0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", type=seconds, default=None, help="of each training, as 3m")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    add_out(parser)
    options = parser.parse_args()
    for share in options.flips:
        runs = []
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as work:
                runs.append(one(options, share, seed, Path(work)))
            note(f"flips {share:.0%}, seed {seed}: {runs[-1]}")
        report(
            Outcome(
                claim=f"clean_then_train_{options.data}_{round(100 * share)}",
                what=f"accuracy after clean --auto minus before, {share:.0%} of labels flipped",
                unit="share",
                values=tuple(run["after"] - run["before"] for run in runs),
                target=0.0,
                detail={"runs": runs},
            ),
            options.out,
        )


def one(options: argparse.Namespace, share: float, seed: int, work: Path) -> dict[str, Any]:
    """Train before and after a cleaning, and measure both."""
    data = shared(options.data)
    tree, dirty, tidy, held = (work / part for part in ("tree", "dirty", "tidy", "held"))
    foveal.split(data, tree, val=0.2, seed=seed, verbose=False)
    doubted = suspects_in(tree)
    shutil.copytree(tree / "val", held)
    for sample in doubted:
        if sample.startswith("val/"):
            (held / sample.removeprefix("val/")).unlink()
    shutil.copytree(tree / "train", dirty)
    flip(dirty, share, seed)
    shutil.copytree(dirty, tidy)
    foveal.check(tidy, features=True, verbose=False)
    cleaned = foveal.clean(tidy, auto=True, verbose=False)
    settings: dict[str, Any] = {"overrides": options.overrides, "seed": seed, "verbose": False}
    if options.budget is not None:
        settings["budget_s"] = options.budget
    runs = work / "runs"
    before = foveal.train(dirty, out=runs, name="before", **settings).evaluate(held, verbose=False)
    after = foveal.train(tidy, out=runs, name="after", **settings).evaluate(held, verbose=False)
    differences = np.asarray(after.correct, np.float64) - np.asarray(before.correct, np.float64)
    spread = differences.std() / np.sqrt(len(differences))
    return {
        "before": float(before.metrics["accuracy"]),
        "after": float(after.metrics["accuracy"]),
        "half_of_interval": float(1.96 * spread),
        "held_out": len(differences),
        "trained_on": sum(1 for _ in dirty.rglob("*.jpg")),
        "cleaned": dict(Counter(f"{c.finding}: {c.action}" for c in cleaned.changes)),
    }


def suspects_in(data: Path) -> set[str]:
    """Return the samples whose labels a check doubts."""
    found = foveal.check(data, features=True, verbose=False)
    return {s.sample for f in found.findings if f.id == "labels.suspect" for s in f.suspects}


def flip(data: Path, share: float, seed: int) -> None:
    """Move a share of the pictures into the folder of another class, by lot."""
    folders = sorted(path for path in data.iterdir() if path.is_dir())
    pictures = [picture for folder in folders for picture in sorted(folder.iterdir())]
    rng = np.random.default_rng(seed)
    for number in rng.permutation(len(pictures))[: round(share * len(pictures))].tolist():
        picture = pictures[number]
        others = [folder for folder in folders if folder != picture.parent]
        picture.rename(others[rng.integers(len(others))] / f"flipped-{picture.name}")


if __name__ == "__main__":
    main()
