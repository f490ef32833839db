"""Find the pictures that look the same, among very many, and what belongs together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.data.hashing import normalised
from foveal.data.scan import Scan

# Mean absolute difference of two normalised thumbnails up to which pictures with near hashes are
# the same picture. Looked at by eye, pair by pair: ads that were re-encoded, resized or brightened
# reach 0.10; different ads with near hashes begin at 0.12. Of 501 printed letters it joins 92 into
# 38 groups of at most 5, each one letter in sister fonts; of 10,000 CIFAR pictures none (2026-11).
MAX_DIFFERENCE = 0.10
# Standard deviation of a thumbnail, in grey levels, under which a picture is blank and its hash is
# noise. The palest of 3004 scanned words has 4.7; two blank pages are not copies of each other.
MIN_SPREAD = 4.0
# Comparisons of hashes in one search, some seconds' work. Reached only by many thousand pictures
# that all but look the same, such as the frames of a film of nothing.
MAX_COMPARISONS = 400_000_000
_POPCOUNT = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)
_CHUNK = 65_536


@final
@dataclass(frozen=True)
class NearPairs:
    """Pictures that look the same.

    Attributes:
        pairs: (P, 2) int64 positions, each pair once, the smaller first.
        is_complete: False when the search was cut short.
    """

    pairs: NDArray[np.int64]
    is_complete: bool


def near_pairs(scan: Scan, positions: NDArray[np.int64], distance: int) -> NearPairs:
    """Return every pair of near-duplicates among some samples; byte-equal ones are not searched.

    Hashes that differ in at most `distance` bits agree in at least one of `distance + 1` bands.
    So within each band only pictures with an equal band are compared, and of these only those
    whose `balance` lets their thumbnails be near. That is exact, and far from quadratic.

    Args:
        scan: Of all samples.
        positions: Of the samples to look at.
        distance: In bits of the perceptual hash.
    """
    members = _distinct(scan, positions[scan.spread[positions] >= MIN_SPREAD])
    found: set[tuple[int, int]] = set()
    left = MAX_COMPARISONS
    for first, last in pairwise(np.linspace(0, 64, distance + 2).astype(int).tolist()):
        mask = np.uint64((1 << last) - (1 << first))
        for one, other, compared in _candidates(scan, members, mask, distance):
            found.update(_alike(scan, one, other))
            left -= compared
            if left < 0:
                return NearPairs(_array(found), is_complete=False)
    return NearPairs(_array(found), is_complete=True)


def _array(pairs: set[tuple[int, int]]) -> NDArray[np.int64]:
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _distinct(scan: Scan, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first position of each content."""
    digests = np.ascontiguousarray(scan.digest[positions]).view("V16").ravel()
    _, first = np.unique(digests, return_index=True)
    return positions[np.sort(first)]


def _candidates(
    scan: Scan, members: NDArray[np.int64], mask: np.uint64, distance: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Yield (one, other, comparisons made) of pictures whose hashes are near and share a band."""
    band = scan.phash[members] & mask
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
        hit = _bits(hashes[at] ^ hashes[after]) <= distance
        yield members[at[hit]], members[after[hit]], len(at)
        step += 1


def _bits(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    # numpy.bitwise_count needs NumPy 2.
    counts = _POPCOUNT[np.ascontiguousarray(values).view(np.uint8)].reshape(-1, 8)
    total: NDArray[np.int64] = counts.sum(axis=1, dtype=np.int64)
    return total


def _alike(
    scan: Scan, one: NDArray[np.int64], other: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Yield those pairs whose thumbnails are near too."""
    for start in range(0, len(one), _CHUNK):
        a, b = one[start : start + _CHUNK], other[start : start + _CHUNK]
        difference = np.abs(normalised(scan.thumb[a]) - normalised(scan.thumb[b]))
        same = difference.mean(axis=(1, 2)) <= MAX_DIFFERENCE
        low, high = np.minimum(a[same], b[same]), np.maximum(a[same], b[same])
        yield from zip(low.tolist(), high.tolist(), strict=True)


def join(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """Return (count,) the smallest position that each position is joined to, over any steps."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return np.array([root(i) for i in range(count)], np.int64)


def alike(scan: Scan, positions: NDArray[np.int64], distance: int) -> tuple[list[list[int]], bool]:
    """Return the sets of two or more samples that are equal or look the same.

    Args:
        scan: Of all samples.
        positions: Of the samples to look at.
        distance: In bits of the perceptual hash.

    Returns:
        The sets, and whether the search was complete.
    """
    near = near_pairs(scan, positions, distance)
    pairs = (*equal_pairs(scan, positions), *((int(a), int(b)) for a, b in near.pairs))
    first = join(len(scan.ok), pairs)
    members: dict[int, list[int]] = {}
    for i in positions.tolist():
        members.setdefault(int(first[i]), []).append(i)
    return [found for found in members.values() if len(found) > 1], near.is_complete


def equal_pairs(scan: Scan, positions: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield each sample whose content is that of an earlier one, with the earliest."""
    first_of: dict[bytes, int] = {}
    for i in positions.tolist():
        first = first_of.setdefault(scan.digest[i].tobytes(), i)
        if first != i:
            yield first, i
