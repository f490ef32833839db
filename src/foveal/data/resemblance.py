"""Find copies of pictures that were cropped, mirrored, brightened or marked.

Perceptual hashes miss such copies. Here each picture is compared with every other one by the
correlation of their lowest 63 frequencies, where a mirrored picture has those odd across with the
other sign, so that one product of matrices serves both, and a crop is a linear function of the
whole. The few pairs that correlate are then laid over each other. That is quadratic, though of
matrix products only; of more than `MOST` pictures nothing is compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.data.hashing import SMALL, THUMB
from foveal.data.near import MIN_SPREAD
from foveal.data.overlay import apart
from foveal.data.scan import Scan
from foveal.data.source import Sample, TargetKind
from foveal.data.texts import kinds_of
from foveal.types import Suspect

MOST = 50_000
"""Compared in about 20 s on two cores; ten times as many would take half an hour."""

MOST_FEATURES = 20_000
"""Features are longer than what is compared of the pictures themselves."""

# Of 900 pictures of three sets, no two of different classes have more than 0.83.
ALIKE_FEATURES = 0.85
# Correlation from which a pair is laid over each other. Of 500 pictures of cats and dogs no two
# different ones reach it; copies with a mark on 2 % of the area do in 98 of 100 cases.
_CORRELATED = 0.9
# Mean absolute difference of two thumbnails of mean 0 and deviation 1, up to which they are the
# same. No pair of 3,700 photographs of four sets is so near without being a copy.
DIFFERENCE = 0.12
# The same for pictures in two tones, such as print: letters in sister fonts differ in little.
DIFFERENCE_OF_PRINT = 0.06
# Share of the variance of the grey levels that two tones explain, from which a picture is print:
# 19 in 20 printed letters have more, 19 in 20 photographs of cats and dogs less than 0.87.
_TWO_TONES = 0.885
# Scales of the centre crops that are compared: the whole, and 5 and 10 % cut off each side.
_CROPS = (1.0, 0.9, 0.8)
# A crop that was found may be a little larger or smaller.
_NEAR_CROPS = (0.05, -0.05)
_FREQUENCIES = 8
_ROWS, _COLUMNS = 1024, 8192
# How much a picture that looks like another one is doubted; one of equal bytes is a copy for sure.
_ALIKE = 0.75
# Ids of other copies that are named beside one.
_BESIDE = 20
_CHUNK = 2048


@final
@dataclass(frozen=True)
class Copies:
    """Pairs of copies.

    Attributes:
        pairs: (P, 2) int64 positions of samples.
        is_complete: False where there were too many pictures to compare.
    """

    pairs: NDArray[np.int64]
    is_complete: bool


def find_copies(
    samples: Sequence[Sample],
    scan: Scan,
    positions: NDArray[np.int64],
    target: TargetKind,
    distance: int,
) -> Copies:
    """Compare some samples of a scan.

    Texts are copies only of the same text, and never mirrored. Mirrored pictures are copies only
    under the same label: a mirrored b is a d.

    Args:
        samples: Samples of the source.
        scan: Scan of the same samples.
        positions: (n,) positions of the samples to compare.
        target: Kind of label.
        distance: Bits in which hashes of near-duplicates differ at most; 0 asks for those that look
            equal, and no others.
    """
    if not distance:
        return Copies(np.zeros((0, 2), np.int64), is_complete=True)
    members = positions[scan.spread[positions] >= MIN_SPREAD]
    if len(members) > MOST:
        return Copies(np.zeros((0, 2), np.int64), is_complete=False)
    kinds = kinds_of(samples)[members]
    looks = scan.small[members]
    printed = is_print(looks)
    found = [np.zeros((0, 2), np.int64)]
    for crop, one, other, is_mirrored in _correlated(looks):
        alike = kinds[one] == kinds[other]
        allowed = alike & ~is_mirrored if target == "text" else alike | ~is_mirrored
        one, other, is_mirrored = one[allowed], other[allowed], is_mirrored[allowed]
        # A photograph that was made much brighter may look like print.
        both, either = printed[one] & printed[other], printed[one] | printed[other]
        differences = _differences(looks, one, other, is_mirrored, crop, both)
        same = differences <= np.where(either, DIFFERENCE_OF_PRINT, DIFFERENCE)
        found.append(np.stack([members[one[same]], members[other[same]]], axis=1))
    return Copies(np.concatenate(found), is_complete=True)


def alike(features: NDArray[np.float32], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return pairs of samples with nearly the same features: copies that were turned or cut, say.

    The cosine is taken between differences from the mean of the set, in blocks, so that memory does
    not grow with the square of the pictures.

    Args:
        features: (N, D) of all samples.
        positions: (n,) positions of the samples to compare.

    Returns:
        (P, 2) positions; none of more than `MOST_FEATURES` samples.
    """
    nothing = np.zeros((0, 2), np.int64)
    if not 1 < len(positions) <= MOST_FEATURES:
        return nothing
    values = features[positions].astype(np.float32)
    values -= values.mean(axis=0)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    values /= np.maximum(lengths, 1e-6)
    found = [nothing]
    for top in range(0, len(values), _ROWS):
        for left in range(top, len(values), _COLUMNS):
            cosines = values[top : top + _ROWS] @ values[left : left + _COLUMNS].T
            one, other = np.nonzero(cosines >= ALIKE_FEATURES)
            one, other = one + top, other + left
            wanted = one < other
            found.append(positions[np.stack([one[wanted], other[wanted]], axis=1)])
    return np.concatenate(found)


def is_print(looks: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (n,) whether pictures are in two tones, as print is.

    Args:
        looks: (n, side, side) grey thumbnails, the scan's `small`.
    """
    shares: NDArray[np.bool_] = _two_tones(looks) >= _TWO_TONES
    return shares


def copies_suspected(
    samples: Sequence[Sample], scan: Scan, sets: Sequence[Sequence[int]]
) -> list[Suspect]:
    """Return every member of sets of copies, with the others beside it; equal files come first.

    Where most of a set have one label, it is what looks right for the rest.
    """
    suspects = []
    for members in sets:
        digests = [scan.digest[i].tobytes() for i in members]
        labels = Counter(samples[i].raw for i in members)
        commonest, count = labels.most_common(1)[0]
        usual = "|".join(commonest or ()) if 2 * count > len(members) else None
        for i, digest in zip(members, digests, strict=True):
            others = tuple(samples[j].id for j in members if j != i)[:_BESIDE]
            is_equal = digests.count(digest) > 1
            label = usual if samples[i].raw != commonest else None
            suspects.append(Suspect(samples[i].id, 1.0 if is_equal else _ALIKE, label, others))
    return sorted(suspects, key=lambda suspect: -suspect.score)


def _correlated(
    looks: NDArray[np.uint8],
) -> Iterator[tuple[float, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield (crop, positions, positions of their counterparts, whether these are mirrored)."""
    even, odd = _frequencies(looks, 1.0)
    for crop in _CROPS:
        cut_even, cut_odd = (even, odd) if crop == 1 else _frequencies(looks, crop)
        for top in range(0, len(looks), _ROWS):
            for left in range(0, len(looks), _COLUMNS):
                if crop == 1 and left + _COLUMNS <= top:
                    continue
                rows, columns = slice(top, top + _ROWS), slice(left, left + _COLUMNS)
                across = cut_odd[rows] @ odd[columns].T
                total = cut_even[rows] @ even[columns].T
                total += np.abs(across)
                one, other = np.nonzero(total >= _CORRELATED)
                is_mirrored = across[one, other] < 0
                one, other = one + top, other + left
                # Each pair of wholes once, and no picture with itself.
                wanted = one < other if crop == 1 else one != other
                yield crop, one[wanted], other[wanted], is_mirrored[wanted]


def _frequencies(
    looks: NDArray[np.uint8], crop: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the low frequencies of the centre crops, even and odd across, of length 1 together."""
    angles = np.pi / (2 * SMALL) * np.arange(_FREQUENCIES)[:, None]
    cosines = np.cos(angles * (2 * np.arange(SMALL)[None] + 1))
    cosines[0] /= np.sqrt(2)
    basis = (cosines @ _resampling(crop, SMALL)).astype(np.float32)
    values = np.empty((len(looks), _FREQUENCIES, _FREQUENCIES), np.float32)
    for start in range(0, len(looks), _CHUNK):
        part = looks[start : start + _CHUNK].astype(np.float32)
        values[start : start + _CHUNK] = basis @ part @ basis.T
    values[:, 0, 0] = 0
    lengths = np.sqrt((values**2).sum(axis=(1, 2), keepdims=True))
    values /= np.maximum(lengths, 1e-6)
    shape = len(looks), _FREQUENCIES * _FREQUENCIES // 2
    return values[:, :, 0::2].reshape(shape), values[:, :, 1::2].reshape(shape)


def _two_tones(looks: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return (n,) the share of the variance of grey levels that the best two tones explain.

    What Otsu's threshold makes as large as possible: "A threshold selection method from gray-level
    histograms" (1979).
    """
    shares = np.zeros(len(looks))
    for start in range(0, len(looks), _CHUNK):
        levels = looks[start : start + _CHUNK]
        values = np.sort(levels.reshape(len(levels), -1).astype(np.float64), axis=1)
        count = values.shape[1]
        below = np.arange(1, count)
        sums = np.cumsum(values, axis=1)
        dark = sums[:, :-1] / below
        light = (sums[:, -1:] - sums[:, :-1]) / (count - below)
        between = (below * (count - below) * (light - dark) ** 2).max(axis=1) / count**2
        shares[start : start + _CHUNK] = between / np.maximum(values.var(axis=1), 1e-6)
    return shares


def _differences(
    looks: NDArray[np.uint8],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    is_mirrored: NDArray[np.bool_],
    crop: float,
    of_print: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return how much pairs differ when the first, cropped and perhaps mirrored, lies over it."""
    crops = [crop] if crop == 1 else [crop, *(crop + further for further in _NEAR_CROPS)]
    least = np.full(len(one), np.inf, np.float32)
    for start in range(0, len(one), _CHUNK):
        part = slice(start, start + _CHUNK)
        whole = _thumbs(looks[other[part]], 1.0)
        for scale in crops:
            cut = _thumbs(looks[one[part]], scale)
            mirrored = is_mirrored[part]
            cut[mirrored] = cut[mirrored][:, :, ::-1]
            least[part] = np.minimum(least[part], apart(cut, whole, of_print[part]))
    return least


def _thumbs(looks: NDArray[np.uint8], crop: float) -> NDArray[np.float32]:
    """Return the centre crops at (n, THUMB, THUMB), in grey levels."""
    matrix = _resampling(crop, THUMB).astype(np.float32)
    values: NDArray[np.float32] = matrix @ looks.astype(np.float32) @ matrix.T
    return values


def _resampling(crop: float, size: int) -> NDArray[np.float64]:
    """Return (size, SMALL): means over equal parts of the middle of a line."""
    step = SMALL * crop / size
    edges = SMALL * (1 - crop) / 2 + step * np.arange(size + 1)
    pixels = np.arange(SMALL)
    low = np.maximum(edges[:-1, None], pixels[None])
    high = np.minimum(edges[1:, None], pixels[None] + 1)
    matrix: NDArray[np.float64] = np.maximum(0.0, high - low) / step
    return matrix
