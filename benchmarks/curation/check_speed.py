"""How long `foveal check` takes for 10,000 pictures of 256 px, beside all checks of cleanvision.

The pictures are those of cats_dogs at 256 x 256, and cut-outs of them turned a little in another
brightness. Both are whole processes, in turns; both may use all cores.

    python benchmarks/curation/check_speed.py --cleanvision-python VENV/bin/python
    python benchmarks/curation/check_speed.py --features --turns 1
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image as PILImage
from PIL import ImageEnhance

from other_program import Other
from outcome import Outcome, add_out, note, report, shared

_SIDE = 256


def main() -> None:
    """Draw the set, run both in turns and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--cleanvision-python", type=Path)
    which.add_argument("--features", action="store_true", help="foveal check --features alone")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "set", arguments.count)
        if arguments.features:
            with_features(Path(folder), arguments)
        else:
            beside_cleanvision(Path(folder), arguments)


def beside_cleanvision(folder: Path, arguments: argparse.Namespace) -> None:
    """Time both in turns."""
    other = Other(arguments.cleanvision_python, ("cleanvision",))
    other.check()
    ours, theirs, peaks = [], [], []
    for _ in range(arguments.turns):
        seconds, peak = by_foveal(folder / "set", folder / "cache")
        ours.append(seconds)
        peaks.append(peak)
        _, seconds = other.run("cleanvision_all.py", folder / "set")
        theirs.append(seconds)
        note(f"foveal {ours[-1]:.1f} s, {peak:.0f} MB; cleanvision {theirs[-1]:.1f} s")
    report(
        Outcome(
            claim="check_speed",
            what=f"time of cleanvision over that of foveal check, {arguments.count:,} pictures",
            unit="ratio",
            values=tuple(b / a for a, b in zip(ours, theirs, strict=True)),
            target=3.0,
            judged_by="median",
            detail={
                "foveal_s": ours,
                "cleanvision_s": theirs,
                "foveal_peak_mb": peaks,
                "cleanvision": other.version("cleanvision"),
                "load": os.getloadavg(),
            },
        ),
        arguments.out,
    )


def with_features(folder: Path, arguments: argparse.Namespace) -> None:
    """Time a check that computes features, each time without those of the last."""
    turns = [
        by_foveal(folder / "set", folder / f"cache-{turn}", "--features")
        for turn in range(arguments.turns)
    ]
    report(
        Outcome(
            claim="check_features_speed",
            what=f"foveal check --features of {arguments.count:,} pictures",
            unit="s",
            values=tuple(seconds for seconds, _ in turns),
            target=150.0,
            judged_by="median",
            better="low",
            detail={"peak_mb": [peak for _, peak in turns], "load": os.getloadavg()},
        ),
        arguments.out,
    )


def write(folder: Path, count: int) -> None:
    """Write pictures of 256 x 256 px into class folders."""
    # Both classes from the beginning, however few pictures are wanted.
    paths = sorted(shared("cats_dogs").rglob("*.jpg"), key=lambda path: path.name.partition(".")[2])
    rng = random.Random(0)  # noqa: S311 - no secret
    for number in range(count):
        path = paths[number % len(paths)]
        with PILImage.open(path) as opened:
            picture = opened.convert("RGB").resize((_SIDE, _SIDE))
        if number >= len(paths):
            side = round(_SIDE * rng.uniform(0.7, 0.9))
            left, top = rng.randrange(_SIDE - side), rng.randrange(_SIDE - side)
            cut = picture.crop((left, top, left + side, top + side)).resize((_SIDE, _SIDE))
            color = tuple(rng.randrange(256) for _ in range(3))
            turned = cut.rotate(rng.uniform(-8, 8), fillcolor=color)
            picture = ImageEnhance.Brightness(turned).enhance(rng.uniform(0.7, 1.3))
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        picture.save(folder / path.parent.name / f"{number:06}.jpg", quality=90)


def by_foveal(folder: Path, cache: Path, *options: str) -> tuple[float, float]:
    """Return seconds and peak of the memory in MB of `foveal check`."""
    line = [sys.executable, "-m", "foveal", "check", str(folder), "--quiet", "--json", *options]
    start = time.perf_counter()
    process = subprocess.Popen(
        line, stdout=subprocess.DEVNULL, env={**os.environ, "XDG_CACHE_HOME": str(cache)}
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"foveal check ended with status {status}")
    return time.perf_counter() - start, used.ru_maxrss / 1e3


if __name__ == "__main__":
    main()
