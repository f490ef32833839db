"""Checks of single pictures: blurred, dark, bright, empty, of an unusual size.

Each is judged by the ratio of a measure to its limit; a picture is found from 1 on. Some limits
depend on the data set, because a fixed one fails: a page of ink is as bright as an overexposed
photograph, letters in two tones hold fewer bits than any photograph, and an unusual size depends on
the other pictures. If a whole data set is soft or dark, only the worst pictures are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.checks.base import CheckInput, check
from foveal.data.findings import about
from foveal.data.scan import Scan
from foveal.types import Finding, Suspect

Ratios: TypeAlias = NDArray[np.float64]

# An edge whose steepest pixel takes a third of its rise: blurred by a Gaussian of 1.3 pixels. Of
# 1000 pictures of cats and dogs 1 is below, of 501 letters none (benchmarks/curation/looks.py).
_SHARP = 0.34
# Printed pages are sharp alike: a set of which three quarters are above this is one of them. A page
# that is blurred by one and a half widths of its strokes has half the median there, and still more
# than _SHARP (benchmarks/curation/text_sharpness.py).
_PRINT = 0.9
_DARK = 0.4
_BRIGHT, _BRIGHT_SHADOW = 0.85, 0.8
# Pages of one layout are bright alike, and have no spread: what is odd is that far over the median.
_BRIGHT_FACTOR = 1.15
# A part of the set's median under which a measure is odd even where the whole set is low.
_PART = 0.6
_INFORMATION_PART = 0.3
# In so little contrast there are no edges to judge.
_MIN_CONTRAST = 0.15
# Quartile ranges beyond the quartiles, as for the whiskers of a box plot and for far outliers.
_WHISKER, _FAR = 1.5, 3.0
# Cut-outs of one size have no spread at all; a difference under these factors is nothing odd.
_SIZE_FACTOR, _ASPECT_FACTOR = 3.0, 2.5
# Fewer pictures have no quartiles worth the name.
_ENOUGH = 20
# From this share on, it is more than a few bad pictures.
_MANY = 0.1


@final
@dataclass(frozen=True, slots=True)
class Judged:
    """Ratios of pictures to a limit.

    Attributes:
        ratios: (n,) ratios; a picture is found from 1 on. NaN if it cannot be judged.
        method: Description of the method, with the limit.
    """

    ratios: Ratios
    method: str


_Judge: TypeAlias = Callable[[Scan, NDArray[np.int64]], Judged]


def judge_blur(scan: Scan, positions: NDArray[np.int64]) -> Judged:
    """Judge the sharpness of some pictures of a scan."""
    values = scan.measure("sharpness")[positions].astype(np.float64)
    contrast = (scan.measure("highlight") - scan.measure("shadow"))[positions]
    is_print = _quartiles(values)[0] >= _PRINT
    limit = _PART * _median(values) if is_print else _limit(values, _SHARP, _PART)
    ratios = _below(np.where(contrast < _MIN_CONTRAST, np.nan, values), limit)
    return Judged(
        ratios,
        "The steepest pixel of an edge takes less than "
        f"{limit:.2f} of its rise (the upper quartile over blocks of 8 x 8 pixels with an edge). "
        f"The limit is {_SHARP}, or {_PART} of the median of the set: where that is less, and "
        f"where three quarters of the set are above {_PRINT}, as of print.",
    )


def judge_dark(scan: Scan, positions: NDArray[np.int64]) -> Judged:
    """Judge the highlights of some pictures of a scan."""
    values = scan.measure("highlight")[positions].astype(np.float64)
    limit = _limit(values, _DARK, _PART)
    return Judged(
        _below(values, limit),
        f"Even the highlights, the brightest pixels of 99 % of the blocks, are under {limit:.2f} "
        f"of white. The limit is {_DARK}, or {_PART} of the median of the set where that is less.",
    )


def judge_bright(scan: Scan, positions: NDArray[np.int64]) -> Judged:
    """Judge the shadows and the mean brightness of some pictures of a scan."""
    shadow = scan.measure("shadow")[positions].astype(np.float64)
    mean = scan.measure("brightness")[positions].astype(np.float64)
    low, high = _quartiles(mean)
    # A page with ink is as bright as an overexposed photograph: only beside others is it odd.
    limit = max(_BRIGHT, high + _WHISKER * (high - low))
    values = np.hypot(shadow / _BRIGHT_SHADOW, mean / limit)
    most = max(1.0, _BRIGHT_FACTOR * _median(values))
    return Judged(
        values / most,
        "The shadows (the darkest pixels of 99 % of the blocks) as a share of "
        f"{_BRIGHT_SHADOW} of white, and the mean as a share of {limit:.2f}, have squares with a "
        f"sum over {most**2:.2f}. The limit of the mean is {_BRIGHT}, or {_WHISKER} quartile "
        "ranges over the upper quartile of the set where that is more; that of the sum is 1, or "
        f"{_BRIGHT_FACTOR**2:.2f} times the median of the set where that is more.",
    )


def judge_information(scan: Scan, positions: NDArray[np.int64]) -> Judged:
    """Judge the information content of some pictures of a scan."""
    values = scan.measure("information")[positions].astype(np.float64)
    limit = _INFORMATION_PART * _median(values)
    return Judged(
        _below(values, limit),
        f"The entropy of the grey levels times the contrast is under {limit:.2f} bits, "
        f"{_INFORMATION_PART} of the median of the set.",
    )


def judge_size(scan: Scan, positions: NDArray[np.int64]) -> Judged:
    """Judge the size of some pictures of a scan, as the square root of their area."""
    sides = np.sqrt(np.maximum(1.0, scan.sizes[positions].astype(np.float64).prod(axis=1)))
    return _odd(np.log(sides), _SIZE_FACTOR, "The side (the square root of the area)", " px")


def judge_aspect(scan: Scan, positions: NDArray[np.int64]) -> Judged:
    """Judge the aspect ratio of some pictures of a scan."""
    height, width = np.maximum(1.0, scan.sizes[positions].astype(np.float64)).T
    return _odd(np.log(width / height), _ASPECT_FACTOR, "The ratio of width to height", "")


@check("images.blurred")
def blurred(given: CheckInput) -> Iterator[Finding]:
    """Pictures without a sharp edge anywhere."""
    yield from _found(given, "images.blurred", judge_blur, "without a sharp edge: blurred.")


@check("images.dark")
def dark(given: CheckInput) -> Iterator[Finding]:
    """Pictures without a bright spot."""
    yield from _found(given, "images.dark", judge_dark, "without a bright spot: too dark.")


@check("images.bright")
def bright(given: CheckInput) -> Iterator[Finding]:
    """Overexposed and washed-out pictures."""
    yield from _found(given, "images.bright", judge_bright, "overexposed or washed out.")


@check("images.low_information")
def low_information(given: CheckInput) -> Iterator[Finding]:
    """Pictures with far less detail than the others: flat, or nearly empty."""
    words = "with far less detail than the others."
    yield from _found(given, "images.low_information", judge_information, words)


@check("images.odd_size")
def odd_size(given: CheckInput) -> Iterator[Finding]:
    """Pictures far larger or smaller than the others: thumbnails, or another source."""
    if len(given.usable()) >= _ENOUGH:
        yield from _found(given, "images.odd_size", judge_size, "of an odd size.")


@check("images.odd_aspect")
def odd_aspect(given: CheckInput) -> Iterator[Finding]:
    """Pictures far wider or higher than the others: banners, strips."""
    if len(given.usable()) >= _ENOUGH:
        yield from _found(given, "images.odd_aspect", judge_aspect, "of an odd aspect ratio.")


def _found(given: CheckInput, id: str, judge: _Judge, words: str) -> Iterator[Finding]:
    usable = given.usable()
    if not len(usable):
        return
    judged = judge(given.scan, usable)
    hits = np.flatnonzero(judged.ratios > 1)
    worst_first = hits[np.argsort(-judged.ratios[hits], kind="stable")]
    suspects = [
        Suspect(given.samples[usable[i]].id, 1 - 0.5 / float(judged.ratios[i]))
        for i in worst_first.tolist()
    ]
    yield from about(
        [suspect.sample for suspect in suspects],
        id,
        "warning" if len(hits) > _MANY * len(usable) else "info",
        "picture",
        words,
        hint="foveal review DATA shows them, the worst first",
        method=judged.method,
        suspects=suspects,
    )


def _odd(logs: Ratios, factor: float, what: str, unit: str) -> Judged:
    low, high = _quartiles(logs)
    middle, spread = _median(logs), high - low
    below = max(np.log(factor), middle - low + _FAR * spread)
    above = max(np.log(factor), high - middle + _FAR * spread)
    ratios = np.maximum((middle - logs) / below, (logs - middle) / above)
    least, most = np.exp(middle - below), np.exp(middle + above)
    return Judged(
        ratios,
        f"{what} is under {least:.3g}{unit} or over {most:.3g}{unit}: {factor:g} times less or "
        f"more than the median, {np.exp(middle):.3g}{unit}, and {_FAR:g} quartile ranges beyond "
        "the quartiles of the set.",
    )


def _limit(values: Ratios, fixed: float, part: float) -> float:
    """Return a fixed limit, or a share of the median if the whole data set is low."""
    return min(fixed, part * _median(values))


def _below(values: Ratios, limit: float) -> Ratios:
    """Return limit / value; NaN is kept."""
    return limit / np.maximum(values, 1e-3 * limit + 1e-9)


def _median(values: Ratios) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 1.0


def _quartiles(values: Ratios) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.quantile(known, [0.25, 0.75])
    return float(low), float(high)
