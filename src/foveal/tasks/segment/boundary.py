"""Boundary scores: boundary pixels of answer and truth that lie near each other.

G. Csurka et al., "What is a good evaluation measure for semantic segmentation?", 2013,
https://doi.org/10.5244/C.27.32. Deviations: the tolerance is a number of pixels, not a share of
the picture's diagonal, and distances are Chebyshev's (the larger of rows and columns).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.segment.counting import strips
from foveal.types import IGNORED, Mask

Bits = NDArray[np.bool_]


def boundary_counts(answer: Mask, truth: Mask, classes: int, tolerance: int) -> NDArray[np.int64]:
    """Count boundary pixels, and those of them near the other mask's boundary.

    A label's boundary are its pixels beside (4-connected) a pixel of another label; the picture's
    edge and `IGNORED` make none. What lies within tolerance + 1 pixels of an `IGNORED` pixel is
    left out: its whole neighbourhood is not known.

    Args:
        answer: (H, W) label positions.
        truth: (H, W) label positions, or `IGNORED`.
        classes: C.
        tolerance: Largest distance in pixels that is near; 0 asks for the very same pixels.

    Returns:
        (C, 4): boundary pixels of the answer near a true one, of the answer, of the truth near an
        answered one, of the truth.
    """
    height, width = truth.shape
    counts = np.zeros((classes, 4), np.int64)
    halo = tolerance + 1
    for start, end in strips(height, width):
        top, bottom = max(0, start - halo), min(height, end + halo)
        said, true = answer[top:bottom], truth[top:bottom]
        own = slice(start - top, end - top)
        counts += _counts_of_window(said, true, own, classes, tolerance)
    return counts


def _counts_of_window(
    said: Mask, true: Mask, own: slice, classes: int, tolerance: int
) -> NDArray[np.int64]:
    """Count the boundary pixels of the rows `own`; the others are only looked at."""
    counts = np.zeros((classes, 4), np.int64)
    said_edges, true_edges = edges(said), edges(true)
    known: Bits | None = None
    if np.any(true == IGNORED):
        known = ~dilate(true == IGNORED, tolerance + 1)[own]
    for label in range(classes):
        of_answer = said_edges & (said == label)
        of_truth = true_edges & (true == label)
        counted_answer, counted_truth = of_answer[own], of_truth[own]
        if known is not None:
            counted_answer, counted_truth = counted_answer & known, counted_truth & known
        counts[label, 1] = np.count_nonzero(counted_answer)
        counts[label, 3] = np.count_nonzero(counted_truth)
        if counts[label, 1]:
            near = dilate(of_truth, tolerance)[own]
            counts[label, 0] = np.count_nonzero(counted_answer & near)
        if counts[label, 3]:
            near = dilate(of_answer, tolerance)[own]
            counts[label, 2] = np.count_nonzero(counted_truth & near)
    return counts


def edges(mask: Mask) -> Bits:
    """Return which pixels have a 4-neighbour of another label; `IGNORED` is none."""
    found = np.zeros(mask.shape, np.bool_)
    down = mask[1:] != mask[:-1]
    across = mask[:, 1:] != mask[:, :-1]
    if np.any(mask == IGNORED):
        known = mask != IGNORED
        down &= known[1:] & known[:-1]
        across &= known[:, 1:] & known[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= across
    found[:, :-1] |= across
    return found


def dilate(bits: Bits, distance: int) -> Bits:
    """Return what lies within a Chebyshev distance, in pixels, of what is set."""
    wide = _spread(bits, distance, axis=1)
    return _spread(wide, distance, axis=0)


def _spread(bits: Bits, distance: int, *, axis: int) -> Bits:
    grown = bits.copy()
    reached = 0
    while reached < distance:
        # What is grown by n grows by up to n more in one step.
        step = min(max(1, reached), distance - reached)
        before = grown.copy()
        later, earlier = _shifted(axis, step)
        grown[later] |= before[earlier]
        grown[earlier] |= before[later]
        reached += step
    return grown


def _shifted(axis: int, step: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    whole = slice(None)
    later, earlier = slice(step, None), slice(None, -step)
    return ((later, whole), (earlier, whole)) if axis == 0 else ((whole, later), (whole, earlier))
