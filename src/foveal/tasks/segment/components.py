"""Connected components of a binary mask, from the runs of its rows, with numpy alone.

Two-pass labelling of runs: He, Chao and Suzuki, A Run-Based Two-Scan Labeling Algorithm, 2008,
https://doi.org/10.1109/TIP.2008.919369; here each pass is over all runs at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray


@final
@dataclass(frozen=True, slots=True)
class Components:
    """The components of a mask, numbered by their first pixels in reading order.

    Attributes:
        row: (R,) the row of each run of pixels, ascending.
        start: (R,) its first column, ascending in a row.
        end: (R,) its last column plus 1.
        owner: (R,) its component, in [0, P).
        areas: (P,) pixels of each component.
        top: (P,) its first row.
    """

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    owner: NDArray[np.int64]
    areas: NDArray[np.int64]
    top: NDArray[np.int64]

    def any_of(self, runs: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which components (P,) have one of these runs (R,)."""
        found = np.zeros(len(self.areas), np.bool_)
        found[self.owner[runs]] = True
        return found

    def only(self, wanted: NDArray[np.bool_]) -> Components:
        """Return some of the components, numbered anew.

        Args:
            wanted: (P,) which of them.
        """
        runs = wanted[self.owner]
        owner = (np.cumsum(wanted) - 1)[self.owner[runs]]
        row, start, end = self.row[runs], self.start[runs], self.end[runs]
        return Components(row, start, end, owner, self.areas[wanted], self.top[wanted])


def find_components(inside: NDArray[np.bool_], *, diagonal: bool) -> Components:
    """Return the connected components of what is True.

    Args:
        inside: (H, W).
        diagonal: Whether pixels that touch at a corner are connected (8-connectivity), or only
            those that share a side (4-connectivity).
    """
    height, width = inside.shape
    # A column of False ends every row, so that no run goes on into the next.
    stride = width + 1
    flat = np.zeros(height * stride + 1, np.bool_)
    flat[1:].reshape(height, stride)[:, :width] = inside
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    start, end = changes[::2], changes[1::2]
    # The runs of the row above that touch a run are neighbours in the list.
    above, below = start - stride, end - stride
    first = np.searchsorted(end, above, "left" if diagonal else "right")
    last = np.searchsorted(start, below, "right" if diagonal else "left")
    root = _join(first, last)
    is_root: NDArray[np.bool_] = root == np.arange(len(root))
    owner = (np.cumsum(is_root) - 1)[root]
    row, left = np.divmod(start, stride)
    lengths = end - start
    areas = np.bincount(owner, lengths, minlength=int(is_root.sum())).astype(np.int64)
    return Components(row, left, left + lengths, owner, areas, row[is_root])


def _join(first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the lowest run that each run is connected with, if it touches `first` to `last`.

    Args:
        first: (R,) the first run above that each run touches; never one after itself.
        last: (R,) the last of them plus 1.
    """
    runs = np.arange(len(first))
    counts = last - first
    root = _roots(np.where(counts > 0, first, runs))
    # What touches further runs may join components; a run's first one is its root already.
    further = np.maximum(counts - 1, 0)
    lower = np.repeat(runs, further)
    place = np.arange(len(lower)) - np.repeat(np.cumsum(further) - further, further)
    upper = np.repeat(first, further) + 1 + place
    while True:
        lower, upper = root[lower], root[upper]
        apart = lower != upper
        if not apart.any():
            return root
        lower, upper = lower[apart], upper[apart]
        np.minimum.at(root, np.maximum(lower, upper), np.minimum(lower, upper))
        root = _roots(root)


def _roots(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Follow parents, each before its child, to those that are their own."""
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return parent
        parent = above
