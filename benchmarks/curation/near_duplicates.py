"""Near-duplicates: recall and precision beside the hashes of imagededup, and the time.

To pictures of a set, copies of them are added: saved as JPEG of quality 30, at half the size, cut
by 5 and 10 % on each side, brighter and darker, mirrored, turned, and with a mark on 2 % of the
area. A pair found is right when both are of one original. Of each hash the largest limit is taken
whose precision over all copies together is at least that of foveal; where none is, the one of the
highest precision.

    python benchmarks/curation/near_duplicates.py --imagededup-python VENV/bin/python
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageEnhance, ImageOps

from foveal.console import NoProgress
from foveal.data.cache import Cache
from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.layouts import open_source
from foveal.data.measures import SIDE
from foveal.data.near import together
from foveal.data.resemblance import find_copies
from foveal.metrics import wilson
from foveal.pipeline import Pipeline
from foveal.recipe import Recipe
from near_copies import CHANGES as OTHERS
from near_copies import cropped, saved, scaled, some_pictures
from other_program import Other
from outcome import Outcome, add_out, note, report, shared

Pair = tuple[str, str]

_SETS = ("cats_dogs", "laptop_phone", "letters")
_METHODS = ("phash", "dhash", "ahash", "whash")


def marked(picture: PILImage.Image) -> PILImage.Image:
    """Return a picture with a mark on 2 % of its area, in a corner."""
    picture = picture.copy()
    width, height = picture.size
    side = round((0.02 * width * height) ** 0.5)
    box = (width - side - 2, height - side - 2, width - 2, height - 2)
    ImageDraw.Draw(picture).rectangle(box, fill=(220, 30, 30))
    return picture


CHANGES: dict[str, Callable[[PILImage.Image], PILImage.Image]] = {
    "JPEG 30": saved(30),
    "half the size": scaled(0.5),
    "5 % cut off": cropped(0.05),
    "10 % cut off": cropped(0.1),
    "brighter by 0.3": lambda p: ImageEnhance.Brightness(p).enhance(1.3),
    "darker by 0.3": lambda p: ImageEnhance.Brightness(p).enhance(0.7),
    "mirrored": ImageOps.mirror,
    "marked": marked,
    "turned by 1 degree": OTHERS["turned by 1 degree"],
}


def main() -> None:
    """Measure every set and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(parser)
    parser.add_argument("--imagededup-python", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300, help="originals of each set")
    parser.add_argument("--sets", nargs="+", default=list(_SETS))
    arguments = parser.parse_args()
    other = Other(arguments.imagededup_python, ("numpy", "pywt"))
    detail: dict[str, Any] = {"imagededup": other.version("imagededup")}
    recalls = []
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as folder:
            count = write(Path(folder) / "all", name, arguments.count)
            detail[name] = measure(Path(folder) / "all", other, count)
        recalls.append(detail[name]["foveal"]["recall"])
        for method, row in detail[name].items():
            note(f"{name}, {count} originals, {method}: {row}")
    report(
        Outcome(
            claim="near_duplicates",
            what="changed copies that are found with their originals",
            unit="share",
            values=tuple(recalls),
            target=None,
            detail=detail,
        ),
        arguments.out,
    )


def write(folder: Path, name: str, count: int) -> int:
    """Write originals and their copies into one folder: `00012-original.png`, `00012-3.png`."""
    folder.mkdir()
    pictures = some_pictures(shared(name), count)
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number:05}-original.png")
        for at, change in enumerate(CHANGES.values()):
            change(picture).save(folder / f"{number:05}-{at}.png")
    return len(pictures)


def measure(folder: Path, other: Other, count: int) -> dict[str, Any]:
    """Return the figures of one set: of foveal, and of each hash."""
    ours, ours_s = by_foveal(folder)
    found = {"foveal": {**judged(ours, count), **ours_s}}
    wanted = found["foveal"]["precision"]
    for method in _METHODS:
        answer, _ = other.run("imagededup_hashes.py", folder, method)
        rows = [
            {"limit": int(limit), **judged({(a, b) for a, b in pairs}, count)}
            for limit, pairs in answer[method]["pairs"].items()
        ]
        precise = [row for row in rows if row["precision"] >= wanted]
        best = (
            max(precise, key=lambda row: row["recall"])
            if precise
            else max(rows, key=lambda row: (row["precision"], row["recall"]))
        )
        times = {key: round(answer[method][key], 2) for key in ("encode_s", "search_s")}
        found[method] = {**best, **times}
    return found


def by_foveal(folder: Path) -> tuple[set[Pair], dict[str, float]]:
    """Return the pairs that foveal finds, and the seconds of measuring and of the search."""
    source = open_source(str(folder))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        cache = Cache.build(
            source,
            Pipeline(32, 32),
            Path(scratch) / "cache",
            DEFAULT_LIMITS,
            workers=2,
            progress=NoProgress(),
            side=SIDE,
        )
        cache.close()
        middle = time.perf_counter()
        positions = np.arange(len(source.samples))
        distance = Recipe().data.near_duplicate_distance
        copies = find_copies(source.samples, cache.scan, positions, "labels", distance)
        sets = together(cache.scan, positions, distance, copies.pairs.tolist()).sets(positions)
    end = time.perf_counter()
    ids = [sample.id for sample in source.samples]
    pairs = {
        (min(ids[a], ids[b]), max(ids[a], ids[b]))
        for members in sets
        for n, a in enumerate(members)
        for b in members[:n]
    }
    return pairs, {"encode_s": round(middle - start, 2), "search_s": round(end - middle, 2)}


def judged(pairs: Iterable[Pair], count: int) -> dict[str, Any]:
    """Return precision over all pairs, and the recall of originals with each of their copies."""
    found = {(Path(a).name, Path(b).name) for a, b in pairs}
    right = sum(a[:5] == b[:5] for a, b in found)
    recalls = {}
    for at, change in enumerate(CHANGES):
        hits = sum(
            tuple(sorted((f"{i:05}-original.png", f"{i:05}-{at}.png"))) in found
            for i in range(count)
        )
        low, high = wilson(hits, count)
        recalls[change] = [round(v, 3) for v in (hits / count, low, high)]
    return {
        "precision": round(right / max(1, len(found)), 4),
        "wrong pairs": len(found) - right,
        "recall": round(float(np.mean([recall[0] for recall in recalls.values()])), 4),
        "by change": recalls,
    }


if __name__ == "__main__":
    main()
