"""How many spoilt masks `foveal check --features` finds, and how many good ones it doubts.

Three masks of the set are spoilt in one way: moved by 5 or 10 % of the side, mirrored, turned by a
quarter, put in place of another's, or emptied. Found is one that is among the suspects.

    python benchmarks/curation/mask_suspects.py --set monuseg --seeds 3
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

import foveal
from outcome import Outcome, add_out, note, report, shared

Mask = NDArray[np.uint8]

_SPOILT = 3
KINDS: dict[str, Callable[[Mask, Mask], Mask]] = {
    "moved by 5 %": lambda mask, other: np.roll(mask, round(0.05 * len(mask)), (0, 1)),
    "moved by 10 %": lambda mask, other: np.roll(mask, round(0.1 * len(mask)), (0, 1)),
    "mirrored": lambda mask, other: mask[:, ::-1],
    "turned": lambda mask, other: np.rot90(mask),
    "another's": lambda mask, other: other,
    "emptied": lambda mask, other: np.zeros_like(mask),
}


def main() -> None:
    """Spoil masks, check and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--set", default="monuseg")
    parser.add_argument("--seeds", type=int, default=3)
    add_out(parser)
    options = parser.parse_args()
    paths = pictures(shared(options.set))
    for kind, spoil in KINDS.items():
        found, doubted = [], []
        for seed in range(options.seeds):
            chosen = np.random.default_rng(seed).choice(len(paths), _SPOILT, replace=False)
            suspects = check(paths, {int(i): spoil for i in chosen})
            found.append(len(suspects & set(chosen.tolist())) / _SPOILT)
            doubted.append(len(suspects - set(chosen.tolist())))
            note(f"{kind}: {found[-1]:.0%} found, {doubted[-1]} good ones doubted")
        report(
            Outcome(
                claim=f"mask_suspects_{options.set}_{kind}",
                what=f"share of masks of {options.set} found that were {kind}",
                unit="share",
                values=tuple(found),
                target=None,
                detail={"good_ones_doubted": doubted, "good_ones": len(paths) - _SPOILT},
            ),
            options.out,
        )


def pictures(root: Path) -> list[tuple[Path, Path]]:
    """Return the pictures of a set with their masks."""
    masks = {path.stem: path for path in (root / "masks").iterdir()}
    found = sorted(path for path in (root / "images").iterdir() if path.stem in masks)
    return [(path, masks[path.stem]) for path in found]


def check(
    paths: list[tuple[Path, Path]], spoilt: dict[int, Callable[[Mask, Mask], Mask]]
) -> set[int]:
    """Return the numbers of the pictures whose masks are suspects."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("images", "masks"):
            (folder / part).mkdir()
        for i, (picture, mask) in enumerate(paths):
            (folder / "images" / f"{i:04}{picture.suffix}").write_bytes(picture.read_bytes())
            values = np.asarray(PILImage.open(mask).convert("L"))
            if i in spoilt:
                other = PILImage.open(paths[(i + 1) % len(paths)][1]).convert("L")
                size = (values.shape[1], values.shape[0])
                values = spoilt[i](values, np.asarray(other.resize(size, PILImage.NEAREST)))
            PILImage.fromarray(np.ascontiguousarray(values)).save(folder / f"masks/{i:04}.png")
        found = foveal.check(folder, task="segment", features=True, verbose=False)
        suspects = [s.sample for f in found.findings if f.id == "masks.suspect" for s in f.suspects]
    return {int(Path(sample).stem) for sample in suspects}


if __name__ == "__main__":
    main()
