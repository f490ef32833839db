"""Perceptual hashes: which pictures look the same although their bytes differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.types import Image

THUMB = 16
# Mean absolute difference of two 16x16 grey thumbnails, of 255, under which two pictures with
# near hashes are the same picture. Re-encoded JPEGs differ by 1 to 2; different printed letters
# with the same hash by 6 and more (looked at by eye on the pictures named in tests/).
_MAX_DIFFERENCE = 4.0
# A thumbnail whose spread is under this is blank: its hash is noise.
_MIN_SPREAD = 6.0


def thumbnail(pixels: Image) -> NDArray[np.uint8]:
    """Return (16, 16) uint8 grey of an (H, W, 3) picture, by area averaging."""
    grey = PILImage.fromarray(pixels).convert("L")
    return np.asarray(grey.resize((THUMB, THUMB), PILImage.Resampling.BOX, reducing_gap=2.0))


def perceptual_hash(thumb: NDArray[np.uint8]) -> int:
    """Return the 64-bit difference hash of a thumbnail: each bit says which neighbour is lighter.

    http://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html, 2013.
    """
    small = np.asarray(
        PILImage.fromarray(thumb).resize((9, 8), PILImage.Resampling.BOX), np.int16
    )
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_pairs(
    phash: NDArray[np.uint64], thumb: NDArray[np.uint8], distance: int
) -> NDArray[np.int64]:
    """Return (P, 2) positions of near-duplicates.

    Hashes that differ in at most `distance` bits agree in at least one of `distance + 1` bands,
    so only pictures that share a band are compared. Within a band of equal values only neighbours
    in the order of the whole hash are, which keeps the work linear for blank pictures.

    Args:
        phash: (N,) uint64.
        thumb: (N, 16, 16) uint8; the second look.
        distance: In bits.
    """
    spread = thumb.reshape(len(thumb), -1).std(axis=1)
    usable = np.flatnonzero(spread >= _MIN_SPREAD)
    bands = distance + 1
    edges = np.linspace(0, 64, bands + 1).astype(int)
    found: list[NDArray[np.int64]] = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        mask = np.uint64(((1 << int(high - low)) - 1) << int(low))
        band = phash[usable] & mask
        order = np.lexsort((phash[usable], band))
        found += _compare_neighbours(usable[order], band[order], phash, thumb, distance)
    if not found:
        return np.zeros((0, 2), np.int64)
    pairs: NDArray[np.int64] = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    return pairs


# How many followers within a band each picture is compared with.
_NEIGHBOURS = 24


def _compare_neighbours(
    members: NDArray[np.int64],
    band: NDArray[np.uint64],
    phash: NDArray[np.uint64],
    thumb: NDArray[np.uint8],
    distance: int,
) -> list[NDArray[np.int64]]:
    found = []
    for step in range(1, min(_NEIGHBOURS, len(members) - 1) + 1):
        same = np.flatnonzero(band[step:] == band[:-step])
        if not len(same):
            break
        first, second = members[same], members[same + step]
        bits = np.bitwise_count(phash[first] ^ phash[second])
        close = bits <= distance
        first, second = first[close], second[close]
        difference = np.abs(thumb[first].astype(np.int16) - thumb[second]).mean(axis=(1, 2))
        keep = difference <= _MAX_DIFFERENCE
        if keep.any():
            found.append(np.stack([first[keep], second[keep]], axis=1).astype(np.int64))
    return found
