"""Train on a graphics card: pictures a second by number format and compilation, and time to learn.

Ends within `--minutes` (12 by default): what does not fit any more is left out and said. Pictures
are drawn, unless `--data` holds the real sets. With `--device cpu` the script itself is tried on a
machine without a card; its figures then say nothing of one.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import foveal_command
from outcome import SHARED_DATA, Outcome, add_out, note, report

# Beside the training itself: starting, decoding, exporting, proving, evaluating.
_AROUND_S = 45
_VARIANTS = {
    "default": (),
    "compiled": ("--set", "train.compile=true"),
    "not compiled": ("--set", "train.compile=false"),
    "float32": ("--set", "train.precision=fp32", "--set", "train.compile=false"),
}


@dataclass(frozen=True)
class Case:
    """A training that is timed.

    Attributes:
        name: In the table.
        data: Name of a real set, or a folder that was drawn.
        options: Of `foveal train`.
        budget_s: Of each training.
        metric: Column of results.csv that says how well it learns.
        wanted: When it has learnt.
    """

    name: str
    data: str | Path
    options: tuple[str, ...]
    budget_s: int
    metric: str
    wanted: float


def main() -> None:
    """Train every case in every variant, and report each as a line."""
    arguments = parse_arguments()
    end_s = time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        folder = Path(temporary)
        for case in cases(folder, arguments):
            for variant, options in _VARIANTS.items():
                needed_s = case.budget_s + _AROUND_S
                if end_s - time.monotonic() < needed_s:
                    note(f"  left out for want of time: {case.name}, {variant}")
                    continue
                name = f"{case.name}-{variant}".replace(" ", "-")
                wanted = (*case.options, *options, "--device", arguments.device)
                budget = ("--budget", f"{case.budget_s}s")
                finished = foveal_command.train(case.data, folder, name, (*wanted, *budget))
                run = Path(finished.json["run"])
                report(outcome(case, variant, run, finished, arguments.device), arguments.out)


def outcome(
    case: Case, variant: str, run: Path, finished: foveal_command.Finished, device: str
) -> Outcome:
    """Return a training's rate: that of every epoch after the first, which warms up."""
    with (run / "results.csv").open(encoding="utf-8", newline="") as file:
        epochs = list(csv.DictReader(file))
    rates = [float(row["pictures_per_s"]) for row in epochs]
    steady = rates[1:] or rates
    return Outcome(
        claim="gpu",
        what=f"{case.name}, {variant}: pictures a second of training",
        unit="pictures/s",
        values=tuple(steady),
        target=None,
        judged_by="median",
        detail={
            "device": card(device),
            "median": statistics.median(steady),
            "first_epoch": rates[0],
            "epochs": len(epochs),
            "best": max(float(row[case.metric]) for row in epochs),
            "wanted": case.wanted,
            "seconds_to_wanted": seconds_to(epochs, case),
            "wall_s": finished.wall_s,
        },
    )


def seconds_to(epochs: Sequence[dict[str, str]], case: Case) -> float | None:
    """Return the seconds of training and validation until the metric was reached, or None."""
    total = 0.0
    for row in epochs:
        total += float(row["seconds"])
        if float(row[case.metric]) >= case.wanted:
            return total
    return None


def cases(folder: Path, arguments: argparse.Namespace) -> list[Case]:
    """Return what is trained, the quickest to learn first."""
    letters = folder / "letters"
    foveal_command.run("synth", "letters", "--out", letters, "--count", str(arguments.letters))
    found = [
        Case("letters, fovea 64 px", letters, ("--image-size", "64"), 40, "val_accuracy", 0.99),
    ]
    photos: str | Path = arguments.data / "cats_dogs"
    is_real = Path(photos).is_dir()
    found.append(
        Case(
            f"{'cats_dogs' if is_real else 'letters'}, EfficientNet-Lite0 224 px, fine-tuned",
            photos if is_real else letters,
            ("--backbone", "efficientnet_lite0", "--image-size", "224", "--strategy", "full"),
            60,
            "val_accuracy",
            0.98,
        )
    )
    found.append(Case("drawn captchas", "synth:captcha", (), 90, "val_exact_match", 0.95))
    membranes = arguments.data / "isbi_membrane"
    if membranes.is_dir():
        found.append(Case("isbi_membrane", membranes, ("--task", "segment"), 60, "val_dice", 0.85))
    return found


def card(device: str) -> dict[str, Any]:
    """Return the name and the memory of the card."""
    import torch

    if not device.startswith("cuda"):
        return {"name": device}
    properties = torch.cuda.get_device_properties(torch.device(device))
    return {
        "name": properties.name,
        "memory_gb": round(properties.total_memory / 1e9, 1),
        "cuda": torch.version.cuda,
    }


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("--device", default="cuda")
    made.add_argument("--minutes", type=float, default=12)
    made.add_argument("--letters", type=int, default=5200, help="letters drawn (%(default)s)")
    made.add_argument("--data", type=Path, default=SHARED_DATA, help="folder of the real sets")
    return made.parse_args()


if __name__ == "__main__":
    main()
