"""Find near-duplicates in large data sets, and unite what belongs together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.data.hashing import count_bits, normalised
from foveal.data.scan import Scan

# Mean absolute difference of two normalised thumbnails up to which pictures with near hashes are
# the same picture. Looked at by eye, pair by pair: ads that were re-encoded, resized or brightened
# reach 0.10; different ads with near hashes begin at 0.12. Of 501 printed letters it joins 92 into
# 38 groups of at most 5, each one letter in sister fonts; of 10,000 CIFAR pictures 2 (2026-11).
MAX_DIFFERENCE = 0.10
# Standard deviation of a thumbnail, in grey levels, under which a picture is blank and its hash is
# noise. The palest of 3004 scanned words has 4.7; two blank pages are not copies of each other.
MIN_SPREAD = 4.0
# Effort of one search, in comparisons of hashes; about 10 s. Reached only by many thousand pictures
# that look alike and yet differ: 100,000 printed letters in ten fonts take an eighth of it.
MAX_EFFORT = 500_000_000
# Comparing two thumbnails takes as long as comparing this many hashes.
_THUMB_EFFORT = 100
_CHUNK = 65_536


@final
@dataclass(frozen=True)
class Together:
    """Sets of samples that belong together.

    Attributes:
        first: (N,) int64: the smallest position of those that a sample belongs to; its own when
            it stands alone.
        is_complete: False when the search for near-duplicates was cut short.
    """

    first: NDArray[np.int64]
    is_complete: bool

    def sets(self, positions: NDArray[np.int64]) -> list[list[int]]:
        """Return the members of each set, also of those of one, among some samples."""
        members: dict[int, list[int]] = {}
        for i, first in zip(positions.tolist(), self.first[positions].tolist(), strict=True):
            members.setdefault(first, []).append(i)
        return list(members.values())


def together(
    scan: Scan,
    positions: NDArray[np.int64],
    distance: int,
    known: Iterable[tuple[int, int]] = (),
    kinds: NDArray[np.int64] | None = None,
) -> Together:
    """Unite samples that are byte-equal or look the same, and those known to belong together.

    Hashes that differ in at most `distance` bits agree in at least one of `distance + 1` bands.
    So within each band only pictures with an equal band are compared, and of these only those
    whose `balance` lets their thumbnails be near. That is exact, and far from quadratic.

    Args:
        scan: Scan of all samples.
        positions: Positions of the samples to look at.
        distance: Largest distance, in bits of the perceptual hash.
        known: Pairs of samples that belong together whatever they look like.
        kinds: (N,) Samples of different kinds never look the same, though they may be byte-equal;
            None when all are of one kind. Two texts in one typeface differ in little but the text.
    """
    union = _Union(len(scan.ok))
    for one, other in known:
        union.join(one, other)
    firsts = _first_of_equals(scan, positions)
    for one, other in zip(firsts.tolist(), positions.tolist(), strict=True):
        union.join(one, other)
    if kinds is None:
        kinds = np.zeros(len(scan.ok), np.int64)
    is_clear = scan.spread[positions] >= MIN_SPREAD
    members = _one_of_each(firsts[is_clear], positions[is_clear], kinds)
    left = MAX_EFFORT
    for low, high in pairwise(np.linspace(0, 64, distance + 2).astype(int).tolist()):
        mask = np.uint64((1 << high) - (1 << low))
        for effort in _unite_within_bands(scan, members, kinds, mask, distance, union):
            left -= effort
            if left < 0:
                return Together(union.roots(), is_complete=False)
    return Together(union.roots(), is_complete=True)


def _first_of_equals(scan: Scan, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each position, the first one of the same content."""
    digests = np.ascontiguousarray(scan.digest[positions]).view("V16").ravel()
    _, first, content = np.unique(digests, return_index=True, return_inverse=True)
    return positions[first[content.ravel()]]


def _one_of_each(
    firsts: NDArray[np.int64], positions: NDArray[np.int64], kinds: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return one position for each content and kind: copies need not be looked at again."""
    _, at = np.unique(np.stack([firsts, kinds[positions]]), axis=1, return_index=True)
    members: NDArray[np.int64] = positions[at]
    return members


def _unite_within_bands(
    scan: Scan,
    members: NDArray[np.int64],
    kinds: NDArray[np.int64],
    mask: np.uint64,
    distance: int,
    union: _Union,
) -> Iterator[int]:
    """Unite the near-duplicates that share a band and a kind; yield the effort, round by round."""
    _, band = np.unique(scan.phash[members] & mask, return_inverse=True)
    band = band.ravel() * (kinds.max(initial=0) + 1) + kinds[members]
    order = np.lexsort((scan.balance[members], band))
    members, band = members[order], band[order]
    hashes, balance = scan.phash[members], scan.balance[members]
    # Each picture is compared with its followers, one further away in each round, as long as they
    # have its band and a near balance.
    at = np.arange(len(members))
    step = 1
    while len(at):
        at = at[at + step < len(members)]
        after = at + step
        # The mean of a difference is no more than the mean absolute difference.
        near = (band[after] == band[at]) & (balance[after] - balance[at] <= MAX_DIFFERENCE + 1e-4)
        at, after = at[near], after[near]
        hit = count_bits(hashes[at] ^ hashes[after]) <= distance
        one, other = members[at[hit]], members[after[hit]]
        apart = union.roots()[one] != union.roots()[other]
        # Said before it is spent, so that no round is too long either.
        yield len(at) + _THUMB_EFFORT * int(apart.sum())
        _unite_alike(scan, one[apart], other[apart], union)
        if step & (step - 1) == 0:
            at = at[~_is_united(band, union.roots()[members])[at]]
        step += 1


def _is_united(band: NDArray[np.int64], roots: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each picture, in the order of the bands, whether its whole band is united."""
    if not len(band):
        return np.zeros(0, np.bool_)
    starts = np.flatnonzero(np.concatenate([[True], band[1:] != band[:-1]]))
    same = np.minimum.reduceat(roots, starts) == np.maximum.reduceat(roots, starts)
    return np.repeat(same, np.diff(np.append(starts, len(band))))


def _unite_alike(
    scan: Scan, one: NDArray[np.int64], other: NDArray[np.int64], union: _Union
) -> None:
    """Unite those pairs whose thumbnails are near too."""
    for start in range(0, len(one), _CHUNK):
        a, b = one[start : start + _CHUNK], other[start : start + _CHUNK]
        difference = np.abs(normalised(scan.thumb[a]) - normalised(scan.thumb[b]))
        same = difference.mean(axis=(1, 2)) <= MAX_DIFFERENCE
        for i, j in zip(a[same].tolist(), b[same].tolist(), strict=True):
            union.join(i, j)


@final
class _Union:
    """Disjoint sets of positions; the smallest position of a set stands for it."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._roots = np.arange(count, dtype=np.int64)
        self._is_stale = False

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        if low != high:
            self._parent[high] = low
            self._is_stale = True

    def roots(self) -> NDArray[np.int64]:
        """Return (N,) the smallest position of each one's set."""
        if self._is_stale:
            roots = np.array(self._parent, np.int64)
            while not np.array_equal(further := roots[roots], roots):
                roots = further
            self._roots, self._is_stale = roots, False
        return self._roots

    def _root(self, i: int) -> int:
        parent = self._parent
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i
