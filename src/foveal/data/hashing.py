"""Perceptual fingerprints, by which near-duplicates are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.types import Image

THUMB = 16
SMALL = 32
"""Side of the small picture that a fingerprint is made of."""

# Side of a tiled picture as its fingerprint sees it.
_LOOK_SIDE = 512
# Eight lowest frequencies down, the eight after the mean across: 64 bits.
_DOWN, _ACROSS = 8, 9
_COSINES = np.cos(
    np.pi / (2 * SMALL) * np.arange(_ACROSS)[:, None] * (2 * np.arange(SMALL)[None] + 1)
).astype(np.float32)
_POPCOUNT = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


@final
@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Perceptual hash (64 bits) and thumbnail of a picture.

    Attributes:
        phash: Perceptual hash; few bits differ between copies of a picture.
        small: (32, 32) uint8 grey.
        thumb: (16, 16) uint8 grey.
        spread: Standard deviation of the thumbnail; a blank picture has nearly none.
        balance: Mean of the normalised thumbnail's left half minus that of its right half, halved.
    """

    phash: int
    small: NDArray[np.uint8]
    thumb: NDArray[np.uint8]
    spread: float
    balance: float


def shrunk(pixels: Image) -> PILImage.Image:
    """Return (H, W, 3) uint8 pixels of any size as 32 x 32 in RGB.

    The picture is made small by a filter without edges: with a plain mean over cells, the hash of a
    small picture hangs on where its cells fall, and its copies of other sizes are not found.
    """
    return PILImage.fromarray(pixels).resize(
        (SMALL, SMALL), PILImage.Resampling.BILINEAR, reducing_gap=2.0
    )


def fingerprint(pixels: Image) -> Fingerprint:
    """Return the fingerprint of (H, W, 3) uint8 pixels of any size."""
    return fingerprint_of(shrunk(pixels))


def fingerprint_of(small: PILImage.Image) -> Fingerprint:
    """Return the fingerprint of a picture reduced by `shrunk`.

    The hash compares each low frequency of the cosine transform with their median, as described in
    "Looks Like It" (Krawetz, 2011, https://www.hackerfactor.com/blog/index.php?/archives/432);
    the row mean is left out, so that brightness does not count.
    """
    grey = np.asarray(small.convert("L"))
    frequencies = (_COSINES[:_DOWN] @ grey.astype(np.float32) @ _COSINES.T)[:, 1:]
    # The median, in a fifth of the time that numpy.median takes for so few.
    middle = np.sort(frequencies, axis=None)[frequencies.size // 2 - 1 :][:2].mean()
    bits = (frequencies > middle).ravel()
    rows = grey[0::2].astype(np.uint16) + grey[1::2]
    thumb = ((rows[:, 0::2] + rows[:, 1::2] + 2) // 4).astype(np.uint8)
    spread, balance = texture(thumb[None])
    phash = int.from_bytes(np.packbits(bits).tobytes(), "big")
    return Fingerprint(phash, grey, thumb, float(spread[0]), float(balance[0]))


def step_of_look(height: int, width: int) -> int:
    """Return the step at which rows and columns of a large picture are sampled."""
    return max(1, max(height, width) // _LOOK_SIDE)


def thinned(pixels: Image) -> Image:
    """Return the rows and columns of a large picture that its fingerprint is made of."""
    step = step_of_look(pixels.shape[0], pixels.shape[1])
    return np.ascontiguousarray(pixels[::step, ::step])


def texture(thumbs: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (N,) spread and (N,) balance of (N, 16, 16) thumbnails; see `Fingerprint`."""
    values = thumbs.astype(np.float32)
    spread = values.std(axis=(1, 2))
    columns = values.mean(axis=1)
    half = THUMB // 2
    difference = columns[:, :half].mean(axis=1) - columns[:, half:].mean(axis=1)
    return spread, difference / 2 / np.maximum(spread, 1.0)


def normalised(thumbs: NDArray[np.uint8] | NDArray[np.floating]) -> NDArray[np.float32]:
    """Return thumbnails with mean 0 and standard deviation 1 (a flat one stays 0)."""
    values = thumbs.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    spread = values.std(axis=(1, 2), keepdims=True)
    values /= np.maximum(spread, 1.0)
    return values


def count_bits(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how many bits of each value are set, (N,)."""
    # numpy.bitwise_count needs NumPy 2.
    counts = _POPCOUNT[np.ascontiguousarray(values).view(np.uint8)].reshape(-1, 8)
    total: NDArray[np.int64] = counts.sum(axis=1, dtype=np.int64)
    return total
