"""Processor time of scaling a picture, against one call of Pillow, in turns in one run.

foveal calls Pillow one side at a time, so that the order of the sides is its own. Also timed: the
own arithmetic, which takes over where Pillow differs.

    python benchmarks/resample.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
from PIL import Image as PILImage

from foveal import resample
from foveal.resample import resized
from foveal.types import Image
from outcome import Outcome, add_out, note, report

# (H, W) of the picture, and what it becomes.
SIZES = [
    ((480, 640), (168, 224)),
    ((1080, 1440), (168, 224)),
    ((3000, 4000), (168, 224)),
    ((600, 400), (224, 149)),
    ((100, 133), (168, 224)),
    ((40, 300), (32, 240)),
]
MIN_S = 0.02


def main() -> None:
    """Report the ratio of foveal's time to Pillow's, one value for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_out(parser)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    first = first_look_ms()
    measured = [ratios(size, to, options.rounds) for size, to in SIZES]
    report(
        Outcome(
            claim="resample",
            what="processor time of scaling a picture one side at a time, relative to one call of "
            "Pillow; the median for each size",
            unit="ratio",
            values=tuple(fast for fast, _ in measured),
            target=1.05,
            better="low",
            detail={
                "sizes": [[*size, *to] for size, to in SIZES],
                "own_arithmetic": [own for _, own in measured],
                "first_look_ms": first,
            },
        ),
        options.out,
    )


def first_look_ms() -> list[float]:
    """Return how long it takes to compare Pillow with the definition, once in a process."""
    times = []
    for _ in range(5):
        resample._looked_at.cache_clear()
        times.append(1000 * seconds(resample._looked_at))
    return times


def ratios(size: tuple[int, int], to: tuple[int, int], rounds: int) -> tuple[float, float]:
    """Return the medians of both ways of foveal, relative to Pillow in the same round."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    fast, own = [], []
    for _ in range(rounds):
        once = repeated(lambda: at_once(pixels, to))
        fast.append(repeated(lambda: resized(pixels, *to)) / once)
        with patch.object(resample, "_pillow_agrees", return_value=False):
            own.append(repeated(lambda: resized(pixels, *to)) / once)
    note(f"{size} to {to}: {statistics.median(fast):.2f} x, own {statistics.median(own):.1f} x")
    return statistics.median(fast), statistics.median(own)


def at_once(pixels: Image, to: tuple[int, int]) -> Image:
    """Scale a picture by one call of Pillow."""
    image = PILImage.fromarray(pixels)
    return np.asarray(image.resize(to[::-1], PILImage.Resampling.BILINEAR, reducing_gap=3.0))


def repeated(work: Callable[[], object]) -> float:
    """Return the processor time of one run, from as many as take 20 ms."""
    count, total = 0, 0.0
    while total < MIN_S:
        total += seconds(work)
        count += 1
    return total / count


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one run."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
