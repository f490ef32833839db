"""Dice of the default recipe and of nnU-Net v2 (configuration 2d), trained for the same minutes.

On the sets and held-out pictures of segment_unet.py, in turns, each in a process of its own.
nnU-Net runs by baselines/nnunet_2d.py in an environment of its own and has the minutes for training
steps alone, without planning, preprocessing and validation; foveal reads, validates and trains in
them. nnU-Net plans for the memory of a graphics card. On a processor the patches that it plans for
8 GB leave it a few steps a minute, so it may plan for less, which gives it more steps. Neither
answers mirrored pictures unless asked to. Masks of both are scored by the same code.

    python benchmarks/nnunet.py --nnunet-python VENV/bin/python
    python benchmarks/nnunet.py --nnunet-python VENV/bin/python --set isbi_membrane --minutes 2
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from mask_scores import OURS, PLAIN, compare, score
from mask_sets import SETS, Pictures, write_parts
from other_program import Other
from outcome import Outcome, add_out, note, report, seeds, shared
from reader_run import runs_folder
from segment_unet import run_foveal

MINUTES = 8.0
# Patches of about 256 px in batches of two, the fewest that nnU-Net takes.
MEMORY_GB = 0.35
NNUNET = "nnunet"


def main() -> None:
    """Measure the chosen sets and report each."""
    arguments = parse_arguments()
    peer = Other(arguments.nnunet_python, ("nnunetv2",))
    peer.check()
    for pictures in SETS:
        if arguments.set in (None, pictures.data):
            report(measure(pictures, peer, arguments), arguments.out)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument(
        "--nnunet-python", type=Path, required=True, help="interpreter of an environment with it"
    )
    made.add_argument("--data", type=Path, default=None, help="folder of the sets of pictures")
    made.add_argument("--set", default=None, choices=[one.data for one in SETS])
    made.add_argument("--minutes", type=float, default=MINUTES, help="of either training")
    made.add_argument("--memory-gb", type=float, default=MEMORY_GB, help="that nnU-Net plans for")
    made.add_argument("--mirrored", action="store_true", help="both average mirrored pictures")
    made.add_argument("--repeats", type=int, default=1, help="trainings, each with its seed")
    made.add_argument("--first-seed", type=int, default=0)
    made.add_argument("--runs", type=Path, default=None, help="keep runs and masks in this folder")
    made.add_argument("--train-option", action="append", default=[], metavar="ARG")
    return made.parse_args()


def measure(pictures: Pictures, peer: Other, arguments: argparse.Namespace) -> Outcome:
    """Train both in turns for each seed, score both, and return the claim."""
    if arguments.mirrored:
        arguments.train_option = [*arguments.train_option, "--set", "pipeline.flips=all"]
    trials: list[dict[str, Any]] = []
    with runs_folder(arguments) as place:
        folder = Path(place).resolve() / pictures.claim
        train, test = write_parts(pictures, shared(pictures.data, arguments.data), folder)
        for number, seed in enumerate(seeds(arguments.repeats, arguments.first_seed)):
            sides = (OURS, NNUNET) if number % 2 == 0 else (NNUNET, OURS)
            facts: dict[str, Any] = {}
            rows: dict[str, NDArray[np.float64]] = {}
            for side in sides:
                masks, facts[side] = (
                    run_foveal(pictures, folder, seed, arguments)
                    if side == OURS
                    else run_nnunet(pictures, folder, seed, peer, arguments)
                )
                rows[side] = score(pictures, masks, test)
            scores = named(compare(rows[NNUNET], rows[OURS], pictures.labels))
            trials.append({"seed": seed, "order": sides, "scores": scores, **facts})
            ours, theirs = (100 * scores[side]["dice"]["value"] for side in (OURS, NNUNET))
            note(f"  {pictures.claim} seed {seed}: Dice {ours:.2f} %, nnU-Net {theirs:.2f} %")
    return Outcome(
        claim=f"nnunet_{pictures.claim}_dice",
        what=f"Dice, mean over the pictures, of {pictures.what}, after {arguments.minutes:g} "
        "minutes: default recipe minus nnU-Net",
        unit="points",
        values=tuple(100 * trial["scores"]["difference"]["dice"]["value"] for trial in trials),
        target=0.0,
        detail={
            "options": arguments.train_option,
            "minutes": arguments.minutes,
            "memory_gb": arguments.memory_gb,
            "train": [path.name for path in train],
            "test": [path.name for path in test],
            "trials": trials,
        },
    )


def named(scores: Any) -> Any:
    """Return the scores of `compare` with nnU-Net's under its own name, on every level."""
    if not isinstance(scores, Mapping):
        return scores
    return {NNUNET if name == PLAIN else name: named(found) for name, found in scores.items()}


def run_nnunet(
    pictures: Pictures, folder: Path, seed: int, peer: Other, arguments: argparse.Namespace
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, Any]]:
    """Train nnU-Net and return (masks of the test pictures, facts); see `run_foveal`."""
    out = folder / f"{NNUNET}-{seed}"
    line: list[str | Path | int] = [folder / "train", folder / "test" / "images", out]
    line += ["--minutes", str(arguments.minutes), "--memory-gb", str(arguments.memory_gb)]
    line += ["--positive", pictures.positive, "--seed", seed]
    facts, wall_s = peer.run("nnunet_2d.py", *line, *([] if arguments.mirrored else ["--plain"]))
    note(f"  trained nnU-Net in {wall_s:.1f} s: {facts['steps']} steps")
    table = pictures.table()[[pictures.negative, pictures.positive]]
    masks = {}
    for path in sorted(out.iterdir()):
        with PILImage.open(path) as mask:
            masks[path.stem] = table[(np.asarray(mask) > 0).astype(np.uint8)]
    return masks, facts | {"wall_s": round(wall_s, 2)}


if __name__ == "__main__":
    main()
