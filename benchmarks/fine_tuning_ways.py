"""Ways to train a classifier on the same splits and seeds: head alone, fine-tuned, by quality.

Each answers the same pictures that were kept apart. `head` is what fine-tuning must not lose, and
`good` what `best` must exceed.

    python benchmarks/fine_tuning_ways.py cats_dogs --image-size 128 --ways head both
    python benchmarks/fine_tuning_ways.py hymenoptera --train 195 --test 49 --ways good best
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import foveal_command
from holdout import choose, hold_out, list_items, write_folders
from outcome import Outcome, add_out, note, report, seeds, shared

STAGED = ("train.strategy=staged", "train.head_is_enough=2")
# What is overridden of the recipe, by the name of the way.
WAYS: dict[str, tuple[str, ...]] = {
    "head": ("train.strategy=frozen",),
    "plain": (*STAGED, "train.keep_statistics=false", "train.blend=false"),
    "kept": (*STAGED, "train.keep_statistics=true", "train.blend=false"),
    "blended": (*STAGED, "train.keep_statistics=false", "train.blend=true"),
    "both": (*STAGED, "train.keep_statistics=true", "train.blend=true"),
    "all": (*STAGED, "train.frozen_stages=0"),
    "stages_2": (*STAGED, "train.frozen_stages=2"),
    "stages_3": (*STAGED, "train.frozen_stages=3"),
    "fast": ("train.quality=fast",),
    "good": (),
    "best": ("train.quality=best",),
}


def measure(arguments: argparse.Namespace) -> Outcome:
    """Train each way on every split."""
    items = list_items(shared(arguments.set, arguments.data))
    found: dict[str, list[dict[str, float]]] = {way: [] for way in arguments.ways}
    for seed in seeds(arguments.repeats, arguments.first_seed):
        chosen = choose(items, arguments.train + arguments.test, seed)
        train, test = hold_out(chosen, arguments.test / len(chosen), seed)
        with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
            folder = Path(temporary)
            data, held = write_folders(train, folder / "a"), write_folders(test, folder / "b")
            for way in arguments.ways:
                options = [part for value in WAYS[way] for part in ("--set", value)]
                if arguments.image_size is not None:
                    options += ["--image-size", str(arguments.image_size)]
                if arguments.epochs is not None:
                    options += ["--epochs", str(arguments.epochs)]
                trained = foveal_command.train(
                    data, folder / "runs", way, [*options, "--seed", str(seed)]
                )
                measured = foveal_command.evaluate(trained.json["bundle"], held)
                one = {"accuracy": measured["metrics"]["accuracy"]["value"]}
                found[way].append({**one, "wall_s": trained.wall_s, "test": measured["samples"]})
                note(f"  {arguments.set} seed {seed} {way}: {found[way][-1]}")
    means = {way: statistics.fmean(one["accuracy"] for one in found[way]) for way in arguments.ways}
    note(f"{arguments.set}: {means}")
    pairs = zip(found[arguments.ways[-1]], found[arguments.ways[0]], strict=True)
    return Outcome(
        claim=f"fine_tuning_ways_{arguments.set}",
        what=f"accuracy of {arguments.ways[-1]} minus that of {arguments.ways[0]}, kept apart",
        unit="share",
        values=tuple(last["accuracy"] - first["accuracy"] for last, first in pairs),
        target=0.0,
        detail={
            "means": means,
            "trials": found,
            "image_size": arguments.image_size,
            "epochs": arguments.epochs,
        },
    )


def main() -> None:
    """Measure one set."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("set", help="name of a set of pictures")
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--train", type=int, default=250, help="pictures to train on")
    made.add_argument("--test", type=int, default=500, help="pictures that are kept apart")
    made.add_argument("--image-size", type=int, default=None)
    made.add_argument("--epochs", type=int, default=None)
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument(
        "--ways",
        nargs="+",
        choices=list(WAYS),
        default=["head", "plain", "kept", "blended", "both"],
        help="the last one is compared with the first one",
    )
    arguments = made.parse_args()
    report(measure(arguments), arguments.out)


if __name__ == "__main__":
    main()
