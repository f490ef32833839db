"""Clearing small patches with numpy takes no longer than with OpenCV's connected components.

Processor seconds of one thread to find every patch and hole under 64 pixels in a drawn mask and
list its pixels, by foveal and by OpenCV's labelling, in turns. The masks: smooth blobs, small ones,
blobs with specks, and pure noise, the worst case. Both must find the same number of pixels.

    python benchmarks/patches.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from foveal.tasks.segment.patches import find_patches
from foveal.types import Mask
from outcome import Outcome, add_out, report

LIMIT = 64


def main() -> None:
    """Measure on every kind of mask and report each."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("--side", type=int, default=4000, help="of the masks, in pixels")
    made.add_argument("--rounds", type=int, default=5)
    arguments = made.parse_args()
    cv2.setNumThreads(1)
    for name, mask in drawn_masks(arguments.side).items():
        report(measure(name, mask, arguments.rounds), arguments.out)


def drawn_masks(side: int) -> dict[str, Mask]:
    """Return masks of two labels by name."""
    rng = np.random.default_rng(0)

    def blobs(grain: int) -> Mask:
        coarse = rng.normal(size=(side // grain + 2,) * 2).astype(np.float32)
        smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        return (smooth > 0.4).astype(np.uint8)

    large = blobs(40)
    return {
        "blobs": large,
        "small_blobs": blobs(8),
        "specks": large ^ (rng.random(large.shape) < 0.01).astype(np.uint8),
        "noise": (rng.random(large.shape) < 0.5).astype(np.uint8),
    }


def measure(name: str, mask: Mask, rounds: int) -> Outcome:
    """Find the patches of one mask in turns."""
    work: dict[str, Callable[[Mask], list[int]]] = {"opencv": by_opencv, "foveal": by_foveal}
    taken_s: dict[str, list[float]] = {key: [] for key in work}
    found: dict[str, list[int]] = {}
    for turn in range(rounds):
        for key in sorted(work, reverse=turn % 2 == 1):
            begun = time.process_time()
            found[key] = work[key](mask)
            taken_s[key].append(time.process_time() - begun)
    if found["opencv"] != found["foveal"]:
        raise SystemExit(f"{name}: OpenCV found other patches")
    pairs = zip(taken_s["foveal"], taken_s["opencv"], strict=True)
    return Outcome(
        claim=f"patches_{name}",
        what=f"processor time of finding patches and holes in a mask of {len(mask):,} px "
        f"({name.replace('_', ' ')}), relative to OpenCV's labelling, 1 thread",
        unit="ratio",
        values=tuple(ours / theirs for ours, theirs in pairs),
        target=None if name == "noise" else 1.0,
        better="low",
        judged_by="median",
        detail={"seconds": taken_s, "pixels_of_patches_and_holes": found["foveal"]},
    )


def by_foveal(mask: Mask) -> list[int]:
    """Return how many pixels small patches and holes have, by foveal."""
    return [
        sum(len(patches.places) for patches in find_patches(mask, kind, 1, LIMIT, 2))
        for kind in ("smallest", "holes")
    ]


def by_opencv(mask: Mask) -> list[int]:
    """Return the same by OpenCV, the whole mask at once."""
    counts = []
    for inside, connectivity in ((mask == 1, 8), (mask != 1, 4)):
        _, ids, stats, _ = cv2.connectedComponentsWithStats(
            inside.view(np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
        )
        left, top, width, height, areas = stats.T
        wanted: NDArray[np.bool_] = areas < LIMIT
        wanted[0] = False
        if connectivity == 4:
            wanted &= (left > 0) & (top > 0)
            wanted &= (left + width < mask.shape[1]) & (top + height < mask.shape[0])
        counts.append(len(np.flatnonzero(wanted[ids])))
    return counts


if __name__ == "__main__":
    main()
