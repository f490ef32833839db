"""Training throughput of the 3-block network at 64 px: foveal against a plain Keras script.

Both programs train the same network on the same files with the same kinds of augmentation for the
same epochs and validate after each, in turns on the same machine. Counted are pictures seen in
training per second of the whole process, from start to end: foveal's also checks, decodes, exports,
proves and reports within that time. The training loops alone stand beside it.

    python benchmarks/keras_throughput.py --keras-python /path/to/venv/bin/python
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import foveal_command
from holdout import list_items, thin, write_split
from other_program import Other
from outcome import Outcome, add_out, note, report, shared

SIDE = 64
# What the tutorial's ImageDataGenerator does: shear 0.2 degrees, zoom 0.2, horizontal flips.
AUGMENTATION = (
    "train.augment.rotation=0",
    "train.augment.shift=0",
    "train.augment.shear=0.2",
    "train.augment.zoom=0.2",
    "train.augment.brightness=0",
    "train.augment.contrast=0",
    "train.augment.color=0",
    "train.augment.flip_horizontal=true",
)


def main() -> None:
    """Run both programs in turns and report the ratio of their rates."""
    arguments = parse_arguments()
    keras = Other(arguments.keras_python, ("tensorflow-cpu", "scipy", "pillow"))
    keras.check()
    items = thin(list_items(shared(arguments.set, arguments.data)), arguments.per_class)
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        folder = Path(temporary)
        pictures = write_split(items, folder / "data")
        for number in range(arguments.rounds):
            pair: dict[str, Any] = {
                "keras": run_keras(keras, arguments, folder, number),
                "foveal": run_foveal(arguments, folder, number, pictures),
            }
            pair["ratio"] = pair["foveal"]["rate"] / pair["keras"]["rate"]
            pair["loop_ratio"] = pair["foveal"]["loop_rate"] / pair["keras"]["loop_rate"]
            note(f"  round {number}: {pair['ratio']:.2f} x (loop {pair['loop_ratio']:.2f} x)")
            rounds.append(pair)
    report(
        Outcome(
            claim="keras_throughput",
            what=f"training throughput of the 3-block network at {SIDE} px, whole process, "
            "relative to a plain Keras script",
            unit="ratio",
            values=tuple(pair["ratio"] for pair in rounds),
            target=2.0,
            judged_by="median",
            detail={
                "epochs": arguments.epochs,
                "batch_size": arguments.batch_size,
                "pictures": pictures,
                "loop_ratio_median": statistics.median(pair["loop_ratio"] for pair in rounds),
                "keras_rate_median": statistics.median(p["keras"]["rate"] for p in rounds),
                "foveal_rate_median": statistics.median(p["foveal"]["rate"] for p in rounds),
                "rounds": rounds,
            },
        ),
        arguments.out,
    )


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument(
        "--keras-python",
        type=Path,
        required=True,
        help="interpreter of an environment with tensorflow, scipy and pillow",
    )
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--set", default="cats_dogs", help="which set of pictures")
    made.add_argument("--per-class", type=int, default=None, help="to try the script")
    made.add_argument("--epochs", type=int, default=25, help="as the tutorial")
    made.add_argument("--batch-size", type=int, default=32)
    made.add_argument("--rounds", type=int, default=3)
    return made.parse_args()


def run_keras(
    keras: Other, arguments: argparse.Namespace, folder: Path, number: int
) -> dict[str, Any]:
    """Train with Keras and return its rates."""
    saved = folder / f"keras-{number}.keras"
    sizes = (SIDE, arguments.batch_size, arguments.epochs)
    found, wall_s = keras.run("keras_cnn3.py", folder / "data", saved, *sizes)
    seen = found["pictures"] * found["epochs"]
    return found | {"wall_s": wall_s, "rate": seen / wall_s, "loop_rate": seen / found["fit_s"]}


def run_foveal(
    arguments: argparse.Namespace, folder: Path, number: int, pictures: int
) -> dict[str, Any]:
    """Train with foveal and return its rates."""
    options = ["--backbone", "cnn3", "--image-size", str(SIDE)]
    options += ["--epochs", str(arguments.epochs), "--batch-size", str(arguments.batch_size)]
    for override in AUGMENTATION:
        options += ["--set", override]
    trained = foveal_command.train(folder / "data", folder / "runs", f"round-{number}", options)
    rows = foveal_command.epoch_rows(trained, arguments.epochs)
    loop_s = sum(float(row["seconds"]) for row in rows)
    seen = pictures * arguments.epochs
    return {
        "pictures": pictures,
        "epochs": len(rows),
        "fit_s": loop_s,
        "wall_s": trained.wall_s,
        "rate": seen / trained.wall_s,
        "loop_rate": seen / loop_s,
        "validation": trained.json["metrics"],
    }


if __name__ == "__main__":
    main()
