"""Judge the fit of the masks of a source by models of the other folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from foveal.checks.base import CheckInput
from foveal.checks.mask_fit import SIDE, Fit, MaskFit, PixelSums, fit_mask, solve, sum_pixels
from foveal.console import Progress
from foveal.data.decode import DecodeLimits
from foveal.data.source import Sample, Source
from foveal.errors import FovealError
from foveal.machine import available_cores, read_ahead
from foveal.types import BACKGROUND, Image, Mask
from foveal.windows import scaled, scaled_mask

T = TypeVar("T")

_FOLDS = 5


@dataclass(frozen=True, slots=True)
class _Item:
    sample: Sample
    fold: int


def judge_masks(
    given: CheckInput,
    source: Source,
    limits: DecodeLimits,
    units: NDArray[np.int64],
    progress: Progress,
) -> MaskFit:
    """Return how the masks fit. Each picture and mask is read twice, a few at a time.

    Args:
        given: The samples.
        source: Where the same samples are read from.
        limits: Limits of files and pictures.
        units: (N,) pictures of one number are never on both sides of a fit.
        progress: Hears of the pictures read.
    """
    usable = given.usable().tolist()
    rank = np.unique(units, return_inverse=True)[1].ravel()
    items = [_Item(source.samples[i], int(rank[i]) % _FOLDS) for i in usable]
    progress.start("masks", 2 * len(items))
    folds: dict[int, PixelSums] = {}
    sums = _over(items, partial(_sums, source, limits, len(source.classes)))
    for done, (item, each) in enumerate(zip(items, sums, strict=True), 1):
        if each is not None:
            known = folds.get(item.fold)
            folds[item.fold] = each if known is None else known.plus(each)
        progress.update(done)
    weights = [solve([part for j, part in folds.items() if j != fold]) for fold in range(_FOLDS)]
    judge = partial(_fit, source, limits, weights, _ground(given, source))
    found = MaskFit.empty(len(source.samples))
    changes = list(found.change)
    for done, (i, fit) in enumerate(zip(usable, _over(items, judge), strict=True), 1):
        if fit is not None:
            found.own[i], found.best[i] = fit.own, fit.best
            found.found[i], found.marked[i] = fit.found, fit.marked
            changes[i] = fit.change
        progress.update(len(items) + done)
    progress.finish()
    return MaskFit(found.own, found.best, found.found, found.marked, tuple(changes))


def _over(
    items: Sequence[_Item], work: Callable[[_Item], T | None]
) -> Generator[T | None, None, None]:
    cores = available_cores()
    yield from read_ahead(work, items, workers=cores, ahead=2 * cores)


def _sums(source: Source, limits: DecodeLimits, classes: int, item: _Item) -> PixelSums | None:
    read = _read(source, limits, item.sample)
    return None if read is None else sum_pixels(*read, classes)


def _fit(
    source: Source,
    limits: DecodeLimits,
    weights: Sequence[NDArray[np.float32] | None],
    ground: int,
    item: _Item,
) -> Fit | None:
    known = weights[item.fold]
    read = None if known is None else _read(source, limits, item.sample)
    return None if read is None or known is None else fit_mask(*read, known, ground)


def _read(source: Source, limits: DecodeLimits, sample: Sample) -> tuple[Image, Mask] | None:
    """Return picture and mask at the scale at which they are compared."""
    try:
        raster = source.open(sample, limits).raster
        scale = min(1.0, SIDE / max(raster.height, raster.width))
        small = scaled(raster, scale)
        pixels = np.ascontiguousarray(small.read(0, 0, small.height, small.width))
        mask = scaled_mask(source.mask(sample), scale)
    except FovealError:
        # It was readable a moment ago; the next check says what became of it.
        return None
    return (pixels, mask) if mask.shape == pixels.shape[:2] else None


def _ground(given: CheckInput, source: Source) -> int:
    """Return the class that stands for the ground: the one named so, or that most pictures have."""
    if BACKGROUND in source.classes:
        return source.classes.index(BACKGROUND)
    raws = [name for i in given.usable().tolist() for name in given.samples[i].raw or ()]
    return source.classes.index(Counter(raws).most_common(1)[0][0])
