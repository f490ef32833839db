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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mask_scores import OURS, PLAIN
from mask_sets import SETS, Pictures
from other_program import Other
from outcome import Outcome, note, report
from segment_unet import in_turns, masks_in, parser

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
    made = parser((__doc__ or "").split("\n")[0])
    made.add_argument(
        "--nnunet-python", type=Path, required=True, help="interpreter of an environment with it"
    )
    made.add_argument("--memory-gb", type=float, default=MEMORY_GB, help="that nnU-Net plans for")
    made.add_argument("--mirrored", action="store_true", help="both average mirrored pictures")
    return made.parse_args()


def measure(pictures: Pictures, peer: Other, arguments: argparse.Namespace) -> Outcome:
    """Train both in turns for each seed, score both, and return the claim."""
    if arguments.mirrored:
        arguments.train_option = [*arguments.train_option, "--set", "pipeline.flips=all"]
    found = in_turns(pictures, arguments, NNUNET, partial(run_nnunet, peer), say)
    trials = [trial | {"scores": named(trial["scores"])} for trial in found["trials"]]
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
            **found,
            "trials": trials,
        },
    )


def say(pictures: Pictures, seed: int, scores: Mapping[str, Any]) -> None:
    """Say what came out on stderr."""
    ours, theirs = (100 * scores[side]["dice"]["value"] for side in (OURS, PLAIN))
    note(f"  {pictures.claim} seed {seed}: Dice {ours:.2f} %, nnU-Net {theirs:.2f} %")


def named(scores: Any) -> Any:
    """Return the scores of `compare` with nnU-Net's under its own name, on every level."""
    if not isinstance(scores, Mapping):
        return scores
    return {NNUNET if name == PLAIN else name: named(found) for name, found in scores.items()}


def run_nnunet(
    peer: Other, pictures: Pictures, folder: Path, seed: int, arguments: argparse.Namespace
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, Any]]:
    """Train nnU-Net and return (masks of the test pictures, facts); see `run_foveal`."""
    out = folder / f"{NNUNET}-{seed}"
    line: list[str | Path | int] = [folder / "train", folder / "test" / "images", out]
    line += ["--minutes", str(arguments.minutes), "--memory-gb", str(arguments.memory_gb)]
    line += ["--positive", pictures.positive, "--seed", seed]
    facts, wall_s = peer.run("nnunet_2d.py", *line, *([] if arguments.mirrored else ["--plain"]))
    note(f"  trained nnU-Net in {wall_s:.1f} s: {facts['steps']} steps")
    return masks_in(out, pictures), facts | {"wall_s": round(wall_s, 2)}


if __name__ == "__main__":
    main()
