"""How well near copies are found: pictures saved again, made smaller, brightened, cropped, turned.

Two searches have to find them. A split keeps near copies on one side (`foveal.data.near`: hash and
thumbnail; `foveal.data.resemblance`: laid over each other), and an evaluation counts pictures that
were trained on (`foveal.bundle.trained_on`: the hash alone). For each set and each change: the
share of the copies that is found. And among the pictures themselves: the share that is taken for a
copy of another one. Few are: some advertisements of laptop_phone were saved twice, and letters has
sister fonts.
"""

from __future__ import annotations

import argparse
import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageEnhance, ImageOps

from foveal.bundle.trained_on import TrainedOn
from foveal.data.hashing import Fingerprint, fingerprint
from foveal.data.near import MIN_SPREAD, together
from foveal.data.resemblance import find_copies
from foveal.data.scan import Scan
from foveal.data.source import Sample
from foveal.recipe import Recipe
from outcome import Outcome, add_out, note, report, shared

_SETS = ("laptop_phone", "hymenoptera", "cats_dogs", "cifar10", "captcha_wp", "letters")
_SUFFIXES = {".jpg", ".jpeg", ".png"}

Change = Callable[[PILImage.Image], PILImage.Image]


def saved(quality: int) -> Change:
    """Return the change by saving as JPEG."""

    def change(picture: PILImage.Image) -> PILImage.Image:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        return PILImage.open(io.BytesIO(buffer.getvalue())).convert("RGB")

    return change


def scaled(share: float) -> Change:
    """Return the change to a share of height and width."""
    return lambda p: p.resize([max(1, round(share * side)) for side in p.size])


def cropped(share: float) -> Change:
    """Return the change that cuts off a share of each side."""

    def change(picture: PILImage.Image) -> PILImage.Image:
        width, height = picture.size
        across, down = round(share * width), round(share * height)
        return picture.crop((across, down, width - across, height - down))

    return change


CHANGES: dict[str, Change] = {
    "JPEG, quality 60": saved(60),
    "JPEG, quality 20": saved(20),
    "70 % of the size": scaled(0.7),
    "40 % of the size": scaled(0.4),
    "brighter by a fifth": lambda p: ImageEnhance.Brightness(p).enhance(1.2),
    "more contrast by a fifth": lambda p: ImageEnhance.Contrast(p).enhance(1.2),
    "grey": lambda p: p.convert("L").convert("RGB"),
    "2 % cut off each side": cropped(0.02),
    "5 % cut off each side": cropped(0.05),
    "turned by 1 degree": lambda p: p.rotate(1, PILImage.Resampling.BILINEAR, fillcolor="white"),
    "mirrored": ImageOps.mirror,
}
"""What is done to the copies."""

MADE_FOR = ("JPEG, quality 60", "70 % of the size", "brighter by a fifth")
"""By these they are judged: what programs and websites do to a picture that stays the same."""


def main() -> None:
    """Measure every set and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(parser)
    parser.add_argument("--count", type=int, default=200, help="pictures of each set")
    arguments = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in _SETS:
        pictures = some_pictures(shared(name), arguments.count)
        found[name] = measure(pictures)
        note(f"{name}, {len(pictures)} pictures: {found[name]}")
    report(
        Outcome(
            claim="near_copies",
            what="copies that a split keeps together, saved again, made smaller or brightened",
            unit="share",
            values=tuple(found[name]["split"][change] for name in _SETS for change in MADE_FOR),
            target=None,
            detail=found,
        ),
        arguments.out,
    )


def some_pictures(folder: Path, count: int) -> list[PILImage.Image]:
    """Return pictures of a set, evenly from all of its folders, none twice."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES)
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]
    found = {}
    for path in chosen:
        with PILImage.open(path) as picture:
            found[path.read_bytes()] = picture.convert("RGB")
    return list(found.values())


def measure(pictures: Sequence[PILImage.Image]) -> dict[str, dict[str, float]]:
    """Return, for both searches, the share of copies found after each change."""
    originals = [seen(picture) for picture in pictures]
    half = len(originals) // 2
    looks = np.array([look_of(print_) for print_ in originals], np.uint64)
    known = TrainedOn(np.zeros(0, np.uint64), looks[:half])
    found: dict[str, dict[str, float]] = defaultdict(dict)
    found["split"]["no copies"] = joined(originals)
    found["trained on"]["no copies"] = share_known(known, looks[half:])
    for name, change in CHANGES.items():
        copies = [seen(change(picture)) for picture in pictures]
        found["split"][name] = paired(originals, copies)
        changed = np.array([look_of(print_) for print_ in copies[:half]], np.uint64)
        found["trained on"][name] = share_known(known, changed)
    return dict(found)


def seen(picture: PILImage.Image) -> Fingerprint:
    """Return the fingerprint of a picture."""
    return fingerprint(np.asarray(picture))


def look_of(print_: Fingerprint) -> int:
    """Return the hash by which a bundle knows a picture; 0 of a blank one."""
    return print_.phash if print_.spread >= MIN_SPREAD else 0


def share_known(known: TrainedOn, looks: NDArray[np.uint64]) -> float:
    """Return the share that is taken for pictures that were trained on."""
    return float(known.recognise([bytes([1] * 16)] * len(looks), looks).mean())


def scan_of(prints: Sequence[Fingerprint]) -> Scan:
    """Return a scan of pictures whose files differ."""
    scan = Scan.empty(len(prints))
    scan.ok[:] = True
    for i, print_ in enumerate(prints):
        scan.digest[i, :8] = np.frombuffer(i.to_bytes(8, "little"), np.uint8)
        scan.phash[i], scan.thumb[i], scan.small[i] = print_.phash, print_.thumb, print_.small
        scan.spread[i], scan.balance[i] = print_.spread, print_.balance
    return scan


def first_of(prints: Sequence[Fingerprint]) -> NDArray[np.int64]:
    """Return the smallest position of those that each picture belongs to."""
    distance = Recipe().data.near_duplicate_distance
    scan, positions = scan_of(prints), np.arange(len(prints))
    # All under one label, as copies of a picture are.
    samples = [Sample(str(i), ("label",)) for i in range(len(prints))]
    copies = find_copies(samples, scan, positions, "labels", distance)
    return together(scan, positions, distance, copies.pairs.tolist()).first


def joined(originals: Sequence[Fingerprint]) -> float:
    """Return the share of pictures that are joined with another one."""
    _, counts = np.unique(first_of(originals), return_counts=True)
    return float(counts[counts > 1].sum() / len(originals))


def paired(originals: Sequence[Fingerprint], copies: Sequence[Fingerprint]) -> float:
    """Return the share of the originals that are joined with their copies."""
    first = first_of([*originals, *copies])
    return float((first[: len(originals)] == first[len(originals) :]).mean())


if __name__ == "__main__":
    main()
