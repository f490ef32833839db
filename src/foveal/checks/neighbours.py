"""Nearest neighbours in feature space, and outliers.

Distances are computed in blocks, and very large data sets are sampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

# Pictures that stand for all when there are more.
_STAND_FOR_ALL = 20_000
_ROWS = 1024
# The distance to the third nearest: two odd pictures may be alike.
_NEIGHBOUR = 3
# Fewer distances have no tail.
_FEWEST = 50
# Robust standard deviations beyond the median where a tail may begin.
_TAIL = 2.5
_MAD = 1.4826
# Of a variance, what is taken from the mean of all.
_SHARED = 0.02
_TINY = 1e-6


@final
@dataclass(frozen=True)
class Outlying:
    """Outlier scores of pictures.

    Attributes:
        score: (N,) float32, probability that the distance does not belong to the tail of the
            others.
        distance: (N,) float32, distance to the third nearest picture that is not a duplicate.
    """

    score: Floats
    distance: Floats


def nearest(asked: Floats, among: Floats, count: int) -> NDArray[np.int64]:
    """Return the rows of `among` most similar to each row of `asked` by cosine, (n, `count`)."""
    kept = min(count, len(among))
    found = np.empty((len(asked), kept), np.int64)
    others = _normal(among).T
    for start in range(0, len(asked), _ROWS):
        rows = slice(start, start + _ROWS)
        likeness = _normal(asked[rows]) @ others
        best = np.argpartition(-likeness, kept - 1, axis=1)[:, :kept] if kept else found[rows]
        order = np.argsort(-np.take_along_axis(likeness, best, axis=1), axis=1, kind="stable")
        found[rows] = np.take_along_axis(best, order, axis=1)
    return found


def outlyingness(features: Floats, digests: NDArray[np.uint8]) -> Outlying | None:
    """Return an outlier score for each picture; None for too few pictures.

    The score is one minus a local share of false discoveries (Large-Scale Simultaneous Hypothesis
    Testing: The Choice of a Null Hypothesis, 2004, https://doi.org/10.1198/016214504000000089):
        among the pictures at this distance, the share that a normal distribution of the log
        distances, fitted to their middle, does not explain. So the threshold adapts to the data
        set.

    Distances are Euclidean in whitened features, so that the few directions in which all pictures
    differ most do not hide an outlier.

    Args:
        features: (N, D) float32, principal components.
        digests: (N, 16) uint8 digests of the files, by which duplicates are excluded.
    """
    _, first = np.unique(digests.view("V16").ravel(), return_index=True)
    if len(first) < _FEWEST:
        return None
    some = np.sort(first)[:: -(-len(first) // _STAND_FOR_ALL)]
    white = _whitened(features)
    distance = _to_third(white, white[some], digests, digests[some])
    logs = np.log(distance + _TINY)
    # The middle without what is farther: outliers must not widen what they are held against.
    centre = float(np.median(logs))
    below = np.sort(centre - logs[logs <= centre])
    spread = _MAD * float(np.median(below)) + _TINY
    ranks = (logs - centre) / spread
    order = np.argsort(-ranks, kind="stable")
    expected = np.array([0.5 * math.erfc(z / math.sqrt(2)) for z in ranks[order].tolist()])
    share = len(logs) * expected / np.arange(1, len(logs) + 1)
    # Never less for a picture that is farther.
    share = np.maximum.accumulate(np.minimum(share, 1))
    score = np.zeros(len(logs), np.float32)
    score[order] = np.where(ranks[order] >= _TAIL, 1 - share, 0)
    return Outlying(score, distance)


def _whitened(features: Floats) -> Floats:
    """Return the components of features, each with a variance of nearly 1."""
    kept = features[:, : max(1, len(features) // 2)]
    variance = kept.var(axis=0)
    white: Floats = kept / np.sqrt((1 - _SHARED) * variance + _SHARED * variance.mean() + _TINY)
    return white


def _to_third(
    features: Floats, some: Floats, digests: NDArray[np.uint8], known: NDArray[np.uint8]
) -> Floats:
    """Return the distance to the third nearest row that is not a duplicate, (N,)."""
    squares = np.empty(len(features), np.float32)
    lengths = (some**2).sum(axis=1)
    codes, known_codes = (d.view("<u8")[:, 0] for d in (digests, known))
    for start in range(0, len(features), _ROWS):
        rows = slice(start, start + _ROWS)
        here = features[rows]
        away = (here**2).sum(axis=1)[:, None] + lengths - 2 * here @ some.T
        away[codes[rows, None] == known_codes[None]] = np.inf
        squares[rows] = np.partition(away, _NEIGHBOUR - 1, axis=1)[:, _NEIGHBOUR - 1]
    return np.sqrt(np.maximum(squares, 0))


def _normal(features: Floats) -> Floats:
    normal: Floats = features / (np.linalg.norm(features, axis=1, keepdims=True) + _TINY)
    return normal
