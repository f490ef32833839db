"""Blurred, dark, bright and flat pictures: told from clean ones beside cleanvision.

Pictures of a set are changed by degrees and saved as JPEG again, the clean ones too. For each
change: the area under the ROC curve of foveal's ratios, and of the scores of cleanvision, with a
bootstrap interval of their difference over the pictures; the share found where one picture in
twenty is changed, and the share of the clean pictures that is found: the false alarms.

    python benchmarks/curation/looks.py --cleanvision-python VENV/bin/python
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageEnhance, ImageFilter

from foveal.checks import looks
from foveal.console import NoProgress
from foveal.data.cache import Cache
from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.layouts import open_source
from foveal.data.measures import SIDE
from foveal.data.scan import Scan
from foveal.pipeline import Pipeline
from other_program import Other
from outcome import Outcome, add_out, note, report, shared

Change = Callable[[PILImage.Image], PILImage.Image]

_SETS = ("cats_dogs", "letters")
_SUFFIXES = {".jpg", ".jpeg", ".png"}
_JUDGES = {
    "blurred": (looks.judge_blur, "blurry"),
    "dark": (looks.judge_dark, "dark"),
    "bright": (looks.judge_bright, "light"),
    "low_information": (looks.judge_information, "low_information"),
    "odd_size": (looks.judge_size, "odd_size"),
    "odd_aspect": (looks.judge_aspect, "odd_aspect_ratio"),
}
# One changed picture among so many clean ones, as in a set with a few bad ones.
_AMONG = 20
_RESAMPLES = 400


def _blur(radius: float) -> Change:
    return lambda p: p.filter(ImageFilter.GaussianBlur(radius))


def _brightness(factor: float) -> Change:
    return lambda p: ImageEnhance.Brightness(p).enhance(factor)


def _whitened(share: float) -> Change:
    return lambda p: PILImage.blend(p, PILImage.new("RGB", p.size, "white"), share)


def _flat(share: float) -> Change:
    return lambda p: ImageEnhance.Contrast(p).enhance(share)


CHANGES: dict[str, dict[str, tuple[Change, int]]] = {
    "blurred": {
        **{f"radius {r:g}": (_blur(r), 90) for r in (1, 1.5, 2, 3, 5)},
        **{f"radius {r:g}, JPEG 30": (_blur(r), 30) for r in (1, 2, 5)},
    },
    "dark": {f"times {f:g}": (_brightness(f), 90) for f in (0.6, 0.4, 0.3, 0.2, 0.1)},
    "bright": {
        **{f"times {f:g}": (_brightness(f), 90) for f in (1.5, 2, 3, 4)},
        **{f"{s:.0%} white": (_whitened(s), 90) for s in (0.4, 0.6, 0.8)},
    },
    "low_information": {f"contrast {s:g}": (_flat(s), 90) for s in (0.5, 0.3, 0.15, 0.07)},
}


def main() -> None:
    """Measure every set and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(parser)
    parser.add_argument("--cleanvision-python", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300, help="pictures of each set")
    parser.add_argument("--sets", nargs="+", default=list(_SETS))
    arguments = parser.parse_args()
    other = Other(arguments.cleanvision_python, ("cleanvision",))
    other.check()
    detail: dict[str, Any] = {"cleanvision": other.version("cleanvision")}
    values: list[float] = []
    for name in arguments.sets:
        with tempfile.TemporaryDirectory() as folder:
            written = write(Path(folder), shared(name), arguments.count)
            found = measure(Path(folder), other, written)
        detail[name] = found
        values += [row["foveal"] for rows in found["changes"].values() for row in rows.values()]
        for kind, rows in found["changes"].items():
            for change, row in rows.items():
                note(f"{name}, {kind}, {change}: {row}")
        note(f"{name}, {written} pictures, false alarms: {found['false_alarms']}")
    report(
        Outcome(
            claim="looks",
            what="area under the ROC curve of blurred, dark, bright and flat pictures",
            unit="share",
            values=tuple(values),
            target=None,
            detail=detail,
        ),
        arguments.out,
    )


def write(folder: Path, pictures: Path, count: int) -> int:
    """Write the clean pictures and all changed ones, each kind into a folder of its own."""
    paths = sorted(p for p in pictures.rglob("*") if p.suffix.lower() in _SUFFIXES)
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]
    for number, path in enumerate(chosen):
        with PILImage.open(path) as opened:
            picture = opened.convert("RGB")
        _save(picture, folder / "clean", number, 90)
        for kind, changes in CHANGES.items():
            for at, (change, quality) in enumerate(changes.values()):
                _save(change(picture), folder / f"{kind}-{at}", number, quality)
    return len(chosen)


def _save(picture: PILImage.Image, folder: Path, number: int, quality: int) -> None:
    folder.mkdir(exist_ok=True)
    picture.save(folder / f"{number:05}.jpg", quality=quality)


def measure(folder: Path, other: Other, count: int) -> dict[str, Any]:
    """Return the figures of one set."""
    scan, at = scanned(folder)
    answer, _ = other.run("cleanvision_scores.py", folder, 2)
    rows: dict[str, dict[str, tuple[float, bool]]] = answer["rows"]
    theirs = {str(Path(path).relative_to(folder)): row for path, row in rows.items()}
    clean = [f"clean/{i:05}.jpg" for i in range(count)]
    found: dict[str, Any] = {"pictures": count, "changes": {}, "false_alarms": {}}
    for kind, (judge, name) in _JUDGES.items():
        judged = judge(scan, positions(at, clean))
        found["false_alarms"][kind] = {
            "foveal": float((judged.ratios > 1).mean()),
            "cleanvision": float(np.mean([theirs[id][name][1] for id in clean])),
        }
    for kind, changes in CHANGES.items():
        judge, name = _JUDGES[kind]
        for number, change in enumerate(changes):
            changed = [f"{kind}-{number}/{i:05}.jpg" for i in range(count)]
            both = judge(scan, positions(at, [*clean, *changed])).ratios
            ours = np.nan_to_num(both, nan=0.0)
            scores = -np.array([theirs[id][name][0] for id in (*clean, *changed)])
            found["changes"].setdefault(kind, {})[change] = {
                **compared(ours, scores, count),
                "found": share_found(scan, at, judge, clean, changed),
                "cleanvision found": float(np.mean([theirs[id][name][1] for id in changed])),
            }
    return found


def scanned(folder: Path) -> tuple[Scan, dict[str, int]]:
    """Return the scan of a folder as `foveal check` makes it, and the position of each name."""
    source = open_source(str(folder))
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
        scan = cache.scan
    return scan, {sample.id: i for i, sample in enumerate(source.samples)}


def positions(at: dict[str, int], names: Sequence[str]) -> NDArray[np.int64]:
    """Return the positions of pictures in the scan."""
    return np.array([at[name] for name in names], np.int64)


def share_found(
    scan: Scan,
    at: dict[str, int],
    judge: Callable[[Scan, NDArray[np.int64]], looks.Judged],
    clean: Sequence[str],
    changed: Sequence[str],
) -> float:
    """Return the share of changed pictures that is found where few are changed."""
    few = max(1, len(clean) // _AMONG)
    hits = 0
    for start in range(0, len(changed), few):
        part = changed[start : start + few]
        ratios = judge(scan, positions(at, [*part, *clean])).ratios[: len(part)]
        hits += int((ratios > 1).sum())
    return hits / len(changed)


def compared(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], count: int
) -> dict[str, float]:
    """Return both areas, and the bootstrap interval of their difference over the pictures."""
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(0, count, count)
        both = np.concatenate([drawn, drawn + count])
        differences.append(area(ours[both], count) - area(theirs[both], count))
    low, high = np.quantile(differences, [0.025, 0.975])
    return {
        "foveal": round(area(ours, count), 4),
        "cleanvision": round(area(theirs, count), 4),
        "difference from": round(float(low), 4),
        "difference to": round(float(high), 4),
    }


def area(scores: NDArray[np.float64], count: int) -> float:
    """Return the area under the ROC curve: the first `count` are clean, the others changed."""
    clean, changed = np.sort(scores[:count]), scores[count:]
    below = np.searchsorted(clean, changed, "left")
    up_to = np.searchsorted(clean, changed, "right")
    return float((below + up_to).mean() / 2 / count)


if __name__ == "__main__":
    main()
