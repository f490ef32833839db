"""Accuracy of `foveal train --budget` and of fastai's `fine_tune` in the same minutes.

Both start from the same weights of EfficientNet-Lite0 and get the same pictures, of which each
makes its own validation part; both are tested once on pictures that neither saw. The sets were not
used to choose the recipe: photographs of six kinds out of three sets, few of each, and the six
animals of CIFAR-10 at 32 px. foveal chooses the side and everything else itself; fastai gets
224 px, or three times the size of smaller pictures.

    python benchmarks/fastai_accuracy.py --fastai-python VENV/bin/python
    python benchmarks/fastai_accuracy.py --fastai-python VENV/bin/python --set animals --minutes 1
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import foveal_command
from foveal.models.lite import load_lite
from holdout import Item, hold_out, list_items, thin, write_folders
from other_program import Other
from outcome import Outcome, add_out, note, report, seeds, shared

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Mixed:
    """Classes out of one or more sets.

    Attributes:
        name: Key of the claim.
        what: The pictures in words.
        folders: The sets.
        classes: Taken out of them.
        train: Pictures of each class to train on.
        test: Pictures of each class to test on, at most.
        side: Of fastai's pictures, in pixels.
    """

    name: str
    what: str
    folders: tuple[str, ...]
    classes: frozenset[str]
    train: int
    test: int
    side: int


SETS = (
    Mixed(
        name="photographs",
        what="photographs of laptops, phones, cats, dogs, ants and bees, 80 of each",
        folders=("laptop_phone", "cats_dogs", "hymenoptera"),
        classes=frozenset({"laptop", "phone", "cat", "dog", "ants", "bees"}),
        train=80,
        test=120,
        side=224,
    ),
    Mixed(
        name="animals",
        what="the six animals of CIFAR-10, 300 of each",
        folders=("cifar10",),
        classes=frozenset({"bird", "cat", "deer", "dog", "frog", "horse"}),
        train=300,
        test=200,
        side=96,
    ),
)


def main() -> None:
    """Measure the chosen sets and report each."""
    arguments = parse_arguments()
    peer = Other(arguments.fastai_python, ("fastai",))
    peer.check()
    for one in SETS:
        if arguments.set in (None, one.name):
            report(measure(one, peer, arguments), arguments.out)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument(
        "--fastai-python", type=Path, required=True, help="of an environment with fastai and timm"
    )
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--set", default=None, choices=[one.name for one in SETS])
    made.add_argument("--minutes", type=float, default=5.0, help="of either training")
    made.add_argument("--repeats", type=int, default=1, help="splits, each with its seed")
    made.add_argument("--first-seed", type=int, default=0)
    return made.parse_args()


def measure(one: Mixed, peer: Other, arguments: argparse.Namespace) -> Outcome:
    """Train both in turns for each split, test both, and return the claim."""
    items = [
        item
        for folder in one.folders
        for item in list_items(shared(folder, arguments.data))
        if item.label in one.classes
    ]
    trials = []
    for seed in seeds(arguments.repeats, arguments.first_seed):
        train_part, test_part = parts(one, items, seed)
        with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
            folder = Path(temporary)
            write_folders(train_part, folder / "train")
            write_folders(test_part, folder / "test")
            trials.append(
                {
                    "seed": seed,
                    "train": len(train_part),
                    "foveal": run_foveal(folder, seed, arguments.minutes),
                    "fastai": run_fastai(one, peer, folder, seed, arguments.minutes),
                }
            )
        ours, theirs = trials[-1]["foveal"], trials[-1]["fastai"]
        note(
            f"  {one.name} seed {seed}: foveal {100 * ours['accuracy']:.1f} % in "
            f"{ours['wall_s']:.0f} s, fastai {100 * theirs['accuracy']:.1f} % in "
            f"{theirs['wall_s']:.0f} s"
        )
    return Outcome(
        claim=f"fastai_accuracy_{one.name}",
        what=f"accuracy on kept-aside pictures of {one.what}, after {arguments.minutes:g} minutes: "
        "default recipe minus fastai",
        unit="points",
        values=tuple(100 * (t["foveal"]["accuracy"] - t["fastai"]["accuracy"]) for t in trials),
        target=0.0,
        detail={"minutes": arguments.minutes, "fastai_side": one.side, "trials": trials},
    )


def parts(one: Mixed, items: Sequence[Item], seed: int) -> tuple[list[Item], list[Item]]:
    """Return what is trained on and what is only tested on, of each class so many."""
    train: list[Item] = []
    test: list[Item] = []
    for label in sorted(one.classes):
        own = [item for item in items if item.label == label]
        rest, learned = hold_out(own, one.train / len(own), seed)
        train += learned
        # The first ones by name would be those of one source, if names tell it.
        test += thin(hold_out(rest, min(1.0, one.test / len(rest)), seed)[1], one.test)
    return train, test


def run_foveal(folder: Path, seed: int, minutes: float) -> dict[str, Any]:
    """Train with foveal and test its bundle."""
    options = ["--budget", f"{round(60 * minutes)}s", "--seed", str(seed)]
    trained = foveal_command.train(folder / "train", folder / "runs", "ours", options)
    measured = foveal_command.evaluate(trained.json["bundle"], folder / "test")
    accuracy = measured["metrics"]["accuracy"]
    return {
        "accuracy": accuracy["value"],
        "interval": [accuracy["low"], accuracy["high"]],
        "count": measured["samples"],
        "wall_s": trained.wall_s,
    }


def run_fastai(one: Mixed, peer: Other, folder: Path, seed: int, minutes: float) -> dict[str, Any]:
    """Train with fastai, from the same weights, and test it."""
    weights = folder / "lite0.pth"
    torch.save(load_lite(0, pretrained=True).state_dict(), weights)
    sizes = (one.side, _BATCH, round(60 * minutes), seed)
    found, wall_s = peer.run(
        "fastai_accuracy.py", folder / "train", folder / "test", weights, *sizes
    )
    return found | {"accuracy": found["right"] / found["count"], "wall_s": wall_s}


if __name__ == "__main__":
    main()
