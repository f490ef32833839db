"""Training in folds beside training with a validation split, on pictures that were kept apart.

Both ways get the same pictures and seeds, and answer the same others. Said is what folds gain in
accuracy, how far the accuracy that a bundle states of itself is from that on the pictures kept
apart, how wide its interval is, and what is sure and wrong.

    python benchmarks/folds.py hymenoptera --repeats 5
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import foveal_command
from holdout import choose, hold_out, list_items, write_folders
from outcome import Outcome, add_out, note, report, seeds, shared


def measure(arguments: argparse.Namespace) -> Outcome:
    """Train both ways on every split."""
    items = list_items(shared(arguments.set, arguments.data))
    ways: dict[str, list[str]] = {"split": [], "folds": ["--folds", str(arguments.folds)]}
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for seed in seeds(arguments.repeats, arguments.first_seed):
        train, test = hold_out(items, arguments.share, seed)
        train = choose(train, arguments.train, seed)
        with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
            folder = Path(temporary)
            data, held = write_folders(train, folder / "a"), write_folders(test, folder / "b")
            for way, given in ways.items():
                options = [*given, *arguments.train_option, "--seed", str(seed)]
                trained = foveal_command.train(data, folder / "runs", way, options)
                measured = foveal_command.evaluate(trained.json["bundle"], held)
                found[way].append(_described(trained, measured))
                note(f"  {arguments.set} seed {seed} {way}: {found[way][-1]}")
    pairs = zip(found["folds"], found["split"], strict=True)
    means = {
        way: {
            name: statistics.fmean(one[name] for one in trials)
            for name in ("accuracy", "off", "width", "coverage", "sure_and_wrong", "wall_s")
        }
        for way, trials in found.items()
    }
    note(f"{arguments.set}: {means}")
    return Outcome(
        claim=f"folds_{arguments.set}",
        what="accuracy of a training in folds minus that of one with a validation split",
        unit="share",
        values=tuple(folds["accuracy"] - split["accuracy"] for folds, split in pairs),
        target=0.0,
        detail={"means": means, "trials": found, "folds": arguments.folds},
    )


def _described(trained: foveal_command.Finished, measured: dict[str, Any]) -> dict[str, Any]:
    own, accuracy = trained.json["metrics"]["accuracy"], measured["metrics"]["accuracy"]["value"]
    certainty, count = measured["certainty"], measured["samples"]
    sure = certainty["accuracy_when_sure"]["value"]
    coverage = certainty["coverage"]
    return {
        "accuracy": accuracy,
        "own": own["value"],
        # Of what the bundle says of itself.
        "off": abs(own["value"] - accuracy),
        "width": own["high"] - own["low"],
        "coverage": coverage,
        "sure_and_wrong": 0.0 if sure is None else coverage * (1 - sure),
        "test": count,
        "wall_s": trained.wall_s,
    }


def main() -> None:
    """Measure one set."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("set", help="name of a set of pictures")
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--folds", type=int, default=5)
    made.add_argument("--share", type=float, default=1 / 5, help="share that is kept apart")
    made.add_argument("--train", type=int, default=None, help="only so many pictures to train on")
    made.add_argument("--repeats", type=int, default=5)
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument(
        "--train-option", action="append", default=[], metavar="ARG", help="for both ways"
    )
    arguments = made.parse_args()
    report(measure(arguments), arguments.out)


if __name__ == "__main__":
    main()
