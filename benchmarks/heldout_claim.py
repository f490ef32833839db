"""The protocol of every accuracy claim: hold out, train on the rest, measure the bundle once."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import foveal_command
from holdout import (
    Item,
    choose,
    hold_out,
    list_items,
    list_texts,
    thin,
    write_folders,
    write_texts,
)
from outcome import Outcome, add_out, note, report, seeds, shared


@dataclass(frozen=True)
class Claim:
    """An accuracy to be reached on held-out pictures within a time.

    Attributes:
        name: The key of the table's row.
        what: In words.
        data: Name of the set of pictures.
        share: Held out, in (0, 1).
        accuracy: To be reached, in [0, 1]; None where the figure is for information.
        wall_s: Limit of one whole `foveal train` process, in seconds, or None.
        options: Further arguments of `foveal train`; empty for the default recipe.
        repeats: Splits.
        metric: Which metric of `evaluate --json`.
        is_text: The labels are texts, so that the parts are not stratified by label.
        pictures: Only so many of the training part, chosen by lot; None takes all.
    """

    name: str
    what: str
    data: str
    share: float
    accuracy: float | None
    wall_s: float | None
    options: tuple[str, ...] = ()
    repeats: int = 3
    metric: str = "accuracy"
    is_text: bool = False
    pictures: int | None = None


def parser(description: str) -> argparse.ArgumentParser:
    """Return the options that all accuracy benchmarks share."""
    made = argparse.ArgumentParser(description=description)
    add_out(made)
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--repeats", type=int, default=None, help="splits, each with its seed")
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument(
        "--per-class", type=int, default=None, help="only so many pictures: to try the script"
    )
    made.add_argument(
        "--train-option",
        action="append",
        default=[],
        metavar="ARG",
        help="passed on to foveal train (a quick try; the claim is for the default recipe)",
    )
    return made


def measure(claim: Claim, arguments: argparse.Namespace) -> Outcome:
    """Train and test once for each split seed."""
    items = listed(claim, arguments)
    write = write_texts if claim.is_text else write_folders
    options = [*claim.options, *arguments.train_option]
    repeats = arguments.repeats or claim.repeats
    values, walls, trials = [], [], []
    for seed in seeds(repeats, arguments.first_seed):
        train_part, test_part = parts(claim, items, seed)
        with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
            folder = Path(temporary)
            data = write(train_part, folder / "train")
            test = write(test_part, folder / "test")
            trained = foveal_command.train(
                data, folder / "runs", claim.name, [*options, "--seed", str(seed)]
            )
            measured = foveal_command.evaluate(trained.json["bundle"], test)
        metrics = measured["metrics"]
        values.append(float(metrics[claim.metric]["value"]))
        walls.append(trained.wall_s)
        trials.append(
            {
                "seed": seed,
                "train": len(train_part),
                "test": measured["samples"],
                "wall_s": round(trained.wall_s, 2),
                "metrics": metrics,
                "validation": trained.json["metrics"],
            }
        )
        note(f"  {claim.name} seed {seed}: {100 * values[-1]:.2f} % in {walls[-1]:.1f} s")
    limits = {"slowest training, s": (max(walls), claim.wall_s)} if claim.wall_s else {}
    return Outcome(
        claim=claim.name,
        what=claim.what,
        unit="share",
        values=tuple(values),
        target=claim.accuracy,
        limits=limits,
        detail={
            "options": options,
            "pictures": len(items),
            "held_out_share": claim.share,
            "wall_s_mean": statistics.fmean(walls),
            "trials": trials,
        },
    )


def listed(claim: Claim, arguments: argparse.Namespace) -> list[Item]:
    """List the pictures of a claim."""
    root = shared(claim.data, arguments.data)
    items = list_texts(root) if claim.is_text else list_items(root)
    return thin(items, arguments.per_class)


def parts(claim: Claim, items: Sequence[Item], seed: int) -> tuple[list[Item], list[Item]]:
    """Return what is trained on and what is only tested on; the latter is never thinned."""
    if claim.is_text:
        train, test = hold_out(items, claim.share, seed, stratum_of=lambda item: "")
    else:
        train, test = hold_out(items, claim.share, seed)
    return choose(train, claim.pictures, seed), test


def main(description: str, claims: Sequence[Claim]) -> None:
    """Measure the chosen claims and report each."""
    made = parser(description)
    made.add_argument("--only", default=None, choices=[claim.name for claim in claims])
    arguments = made.parse_args()
    for claim in claims:
        if arguments.only in (None, claim.name):
            report(measure(claim, arguments), arguments.out)
