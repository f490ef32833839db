"""cifar10 (10,000 pictures): the 3-block network against our `fovea` in equal minutes."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import foveal_command
from heldout_claim import parser
from holdout import hold_out, list_items, thin, write_folders
from outcome import Outcome, note, report, seeds, shared

NETWORKS = ("cnn3", "fovea")


def main() -> None:
    """Train both networks on the same split for the same time, in turns."""
    made = parser(__doc__ or "")
    made.add_argument("--budget", default="5m", help="training time of each network")
    made.add_argument("--batch-size", type=int, default=128)
    arguments = made.parse_args()
    items = thin(list_items(shared("cifar10", arguments.data)), arguments.per_class)
    trials: list[dict[str, Any]] = []
    for seed in seeds(arguments.repeats or 2, arguments.first_seed):
        train_part, test_part = hold_out(items, 1 / 5, seed)
        with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
            folder = Path(temporary)
            write_folders(train_part, folder / "train")
            write_folders(test_part, folder / "test")
            trials.append(
                {"seed": seed} | {name: measure(name, folder, seed, arguments) for name in NETWORKS}
            )
    accuracies = {name: [trial[name]["accuracy"] for trial in trials] for name in NETWORKS}
    baseline = statistics.fmean(accuracies["cnn3"])
    report(
        Outcome(
            claim="cifar10",
            what=f"accuracy of fovea on a held-out fifth after {arguments.budget}; the target is "
            "what the 3-block network reaches in the same time on the same splits",
            unit="share",
            values=tuple(accuracies["fovea"]),
            target=baseline,
            detail={"cnn3": accuracies["cnn3"], "budget": arguments.budget, "trials": trials},
        ),
        arguments.out,
    )


def measure(name: str, folder: Path, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one network within the budget and measure its bundle."""
    trained = foveal_command.train(
        folder / "train",
        folder / "runs",
        name,
        [
            *("--backbone", name),
            *("--budget", arguments.budget),
            *("--image-size", "32"),
            *("--batch-size", str(arguments.batch_size)),
            *("--seed", str(seed)),
            *arguments.train_option,
        ],
    )
    measured = foveal_command.evaluate(trained.json["bundle"], folder / "test")
    accuracy = measured["metrics"]["accuracy"]
    note(f"  {name} seed {seed}: {100 * accuracy['value']:.2f} %")
    return {
        "accuracy": accuracy["value"],
        "interval": [accuracy["low"], accuracy["high"]],
        "test": measured["samples"],
        "wall_s": round(trained.wall_s, 1),
        "model_bytes": measured["model_bytes"],
    }


if __name__ == "__main__":
    main()
