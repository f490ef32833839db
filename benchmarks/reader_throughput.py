"""Training throughput on 170x80 captchas: the default reader against a plain Keras script.

The Keras script trains the classic network at full size on pictures that it holds in memory;
foveal trains its default reader on the same pictures from a folder, and its own classic network
(`crnn` with the head `gru`, the same size and batch) for a comparison of like with like. In turns
on the same machine. Counted are pictures seen in training per second of training and validating,
from the second epoch on: in the first one Keras traces its graph. Whole processes and the training
alone stand beside it.

    python benchmarks/reader_throughput.py --tf-python VENV/bin/python
    python benchmarks/reader_throughput.py --tf-python VENV/bin/python --pictures 300 --val 44 \\
        --epochs 2 --slow-epochs 1 --rounds 1
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import foveal_command
from other_program import Other
from outcome import Outcome, add_out, note, report
from plain_captchas import SIZE, write_captchas

BATCH = 128
# What the Keras script does to a picture: nothing.
CLASSIC = (
    *("--backbone", "crnn", "--batch-size", str(BATCH)),
    *("--set", "task_options.head=gru"),
    *("--set", "pipeline.fit=stretch"),
    *("--set", f"pipeline.width={SIZE[0]}"),
    *("--set", f"pipeline.height={SIZE[1]}"),
    *("--set", "train.augment.enabled=false"),
)
RATES = ("loop_per_s", "train_per_s", "process_per_s")


def main() -> None:
    """Run the programs in turns and report the ratios of their rates."""
    arguments = parse_arguments()
    keras = Other(arguments.tf_python, ("tensorflow-cpu", "pillow"))
    keras.check()
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        folder = Path(temporary)
        write_captchas(folder / "data", arguments.pictures, val=arguments.val)
        for number in range(arguments.rounds):
            found = {
                "keras": run_keras(keras, arguments, folder, number),
                "foveal": run_foveal("default", arguments.epochs, arguments, folder, number),
                "classic": run_foveal("classic", arguments.slow_epochs, arguments, folder, number),
            }
            shown = {name: round(one["loop_per_s"], 1) for name, one in found.items()}
            note(f"  round {number}, pictures a second: {shown}")
            rounds.append(found)
    report(outcome("foveal", rounds, arguments), arguments.out)
    report(outcome("classic", rounds, arguments), arguments.out)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument(
        "--tf-python",
        type=Path,
        required=True,
        help="interpreter of an environment with tensorflow-cpu and pillow",
    )
    made.add_argument("--pictures", type=int, default=2304, help="drawn, validation included")
    made.add_argument("--val", type=int, default=256, help="of them for validation")
    # Each program is to train for a minute or more; an epoch of Keras lasts as long as ten of ours.
    made.add_argument("--epochs", type=int, default=24, help="of the default reader")
    made.add_argument("--slow-epochs", type=int, default=3, help="of both classic networks")
    made.add_argument("--rounds", type=int, default=3)
    return made.parse_args()


def run_keras(
    keras: Other, arguments: argparse.Namespace, folder: Path, number: int
) -> dict[str, Any]:
    """Train with Keras and return its rates."""
    saved = folder / f"{number}.keras"
    epochs = arguments.slow_epochs
    found, wall_s = keras.run("keras_reader.py", folder / "data", saved, BATCH, epochs)
    return found | rates(found["pictures"], found["epochs_s"], found["trainings_s"], wall_s)


def run_foveal(
    name: str, epochs: int, arguments: argparse.Namespace, folder: Path, number: int
) -> dict[str, Any]:
    """Train a reader and return its rates."""
    options = ["--task", "read", "--epochs", str(epochs), *(CLASSIC if name == "classic" else ())]
    trained = foveal_command.train(folder / "data", folder / "runs", f"{name}-{number}", options)
    rows = foveal_command.epoch_rows(trained, epochs)
    pictures = arguments.pictures - arguments.val
    epochs_s = [float(row["seconds"]) for row in rows]
    trainings_s = [pictures / float(row["pictures_per_s"]) for row in rows]
    found = {"pictures": pictures, "epochs": epochs, "validation": trained.json["metrics"]}
    return found | rates(pictures, epochs_s, trainings_s, trained.wall_s)


def rates(
    pictures: int, epochs_s: Sequence[float], trainings_s: Sequence[float], wall_s: float
) -> dict[str, Any]:
    """Return pictures seen in training per second.

    Args:
        pictures: Of one epoch.
        epochs_s: Seconds of each epoch, validation included.
        trainings_s: Seconds of its training alone.
        wall_s: Of the whole process.

    Returns:
        `loop_per_s` with the validation and `train_per_s` without it, both from the second epoch
        on if there is one, and `process_per_s` over the whole process.
    """
    warm = slice(1, None) if len(epochs_s) > 1 else slice(None)
    return {
        "epochs_s": list(epochs_s),
        "wall_s": wall_s,
        "loop_per_s": pictures / statistics.fmean(epochs_s[warm]),
        "train_per_s": pictures / statistics.fmean(trainings_s[warm]),
        "process_per_s": pictures * len(epochs_s) / wall_s,
    }


def ratios(
    rounds: Sequence[Mapping[str, Mapping[str, Any]]], name: str, rate: str
) -> tuple[float, ...]:
    """Return, for each round, a rate of a program relative to that of the Keras script."""
    return tuple(found[name][rate] / found["keras"][rate] for found in rounds)


def outcome(name: str, rounds: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> Outcome:
    """Return the claim about the default reader, or about foveal's own classic network."""
    is_default = name == "foveal"
    network = "the default reader" if is_default else "the classic network (crnn, gru)"
    detail: dict[str, Any] = {
        "per_s_median": {
            program: {
                rate: statistics.median(one[program][rate] for one in rounds) for rate in RATES
            }
            for program in ("keras", name)
        },
        "ratio_median": {rate: statistics.median(ratios(rounds, name, rate)) for rate in RATES},
    }
    if is_default:
        detail |= {"batch_size": BATCH, "captcha": version("captcha"), "rounds": rounds}
        detail |= {"pictures": arguments.pictures, "val": arguments.val}
    return Outcome(
        claim="reader_throughput" if is_default else "reader_throughput_classic",
        what=f"pictures a second in training {network} on 170x80 captchas, relative to the "
        "classic network in a plain Keras script",
        unit="ratio",
        values=ratios(rounds, name, "loop_per_s"),
        target=8.0 if is_default else None,
        judged_by="median",
        detail=detail,
    )


if __name__ == "__main__":
    main()
