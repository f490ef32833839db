"""Fit of masks to their pictures, judged by a pixel model of the other folds.

The model is a ridge regression from the surroundings of a pixel (colours at two scales, contrast,
edges, and their products) to its class, fitted to the pictures of other folds. A correct mask fits
its scores better than the same mask shifted, flipped or rotated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageFilter

from foveal.types import IGNORED, Image, Mask

Floats: TypeAlias = NDArray[np.float32]

SIDE = 256
"""Longer side, in pixels, at which pictures and masks are compared."""
# Most pixels of each class that a picture gives to the fit.
_SAMPLED = 1500
_RIDGE = 1e-2
# Radii in pixels, of colours and of contrast.
_NEAR, _FAR = 1.5, 5.0
# Moves by fewer pixels are no error: outlines are drawn no better.
_NEGLECTED = 3
_TINY = 1e-6


@final
@dataclass(frozen=True)
class MaskFit:
    """Fit of the masks, one row per sample; NaN for samples that were not judged.

    Attributes:
        own: (N,) float32, mean score of the labelled class over the pixels, balanced over the
            classes, in standard deviations of the picture's scores.
        best: (N,) float32, the same for the best of the shifted, flipped and rotated masks.
        found: (N,) float32 in [0, 1], share of the pixels that the model assigns to another class
            than the background.
        marked: (N,) float32 in [0, 1], share of the pixels that the mask assigns to one.
        change: The best change of the mask, in words.
    """

    own: Floats
    best: Floats
    found: Floats
    marked: Floats
    change: tuple[str, ...]

    @classmethod
    def empty(cls, count: int) -> MaskFit:
        """Return rows of NaN."""
        own, best, found, marked = np.full((4, count), np.nan, np.float32)
        return cls(own, best, found, marked, ("",) * count)


@final
@dataclass(frozen=True, slots=True)
class PixelSums:
    """Sums over the pixels of a picture for a least-squares fit.

    Attributes:
        products: (K, D, D), sum of the outer products of `describe` for each class.
        counts: (K,) number of pixels of each class.
    """

    products: NDArray[np.float64]
    counts: NDArray[np.int64]

    def plus(self, other: PixelSums) -> PixelSums:
        """Return the sum of both."""
        return PixelSums(self.products + other.products, self.counts + other.counts)


def sum_pixels(pixels: Image, mask: Mask, classes: int) -> PixelSums:
    """Return the sums over some pixels of each class, spread over the picture.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        mask: (H, W) of the same size.
        classes: Number of classes.
    """
    values = describe(pixels)
    rows, flat = values.reshape(-1, values.shape[2]), mask.reshape(-1)
    products = np.zeros((classes, rows.shape[1], rows.shape[1]))
    counts = np.zeros(classes, np.int64)
    for label in range(classes):
        at = np.flatnonzero(flat == label)
        some = rows[at[:: len(at) // _SAMPLED + 1]].astype(np.float64)
        products[label], counts[label] = some.T @ some, len(some)
    return PixelSums(products, counts)


def solve(sums: Sequence[PixelSums]) -> Floats | None:
    """Return the class-balanced weights, (D, K); None if a class does not occur."""
    if not sums:
        return None
    counts = np.sum([each.counts for each in sums], axis=0)
    if counts.min() == 0:
        return None
    means = np.sum([each.products for each in sums], axis=0) / counts[:, None, None]
    scatter = means.mean(axis=0)
    scatter[np.diag_indices(len(scatter))] += _RIDGE
    # The last number of a pixel is 1: its products are the pixel itself.
    wanted = means[:, :, -1].T / len(counts)
    weights: Floats = np.linalg.solve(scatter, wanted).astype(np.float32)
    return weights


def describe(pixels: Image) -> Floats:
    """Return features of each pixel, (H, W, D), for (H, W, 3) uint8 RGB; the last is 1.

    Colours are standardised by the mean and spread of the picture, so that stain and lighting have
    no effect.
    """
    picture = PILImage.fromarray(pixels)
    near = np.asarray(picture.filter(ImageFilter.GaussianBlur(_NEAR)), np.float32)
    far = np.asarray(picture.filter(ImageFilter.GaussianBlur(_FAR)), np.float32)
    colors = near.reshape(-1, 3)
    mean, spread = colors.mean(axis=0), colors.std(axis=0) + 1
    grey = pixels.astype(np.float32).mean(axis=2)
    smooth = near.mean(axis=2)
    rows, columns = np.gradient(smooth)
    base = np.concatenate(
        [
            (near - mean) / spread,
            (far - mean) / spread,
            _blurred(np.abs(grey - smooth))[..., None] / 8,
            _blurred(np.hypot(rows, columns))[..., None] / 8,
        ],
        axis=2,
    )
    first, second = np.triu_indices(base.shape[2])
    products = base[..., first] * base[..., second]
    ones = np.ones((*base.shape[:2], 1), np.float32)
    described: Floats = np.concatenate([base, products, ones], axis=2)
    return described


def _blurred(values: Floats) -> Floats:
    picture = PILImage.fromarray(np.clip(values * 4, 0, 255).astype(np.uint8))
    blurred: Floats = np.asarray(picture.filter(ImageFilter.GaussianBlur(_NEAR)), np.float32)
    return blurred / np.float32(4)


@final
@dataclass(frozen=True, slots=True)
class Fit:
    """A row of `MaskFit`."""

    own: float
    best: float
    found: float
    marked: float
    change: str


def fit_mask(pixels: Image, mask: Mask, weights: Floats, ground: int) -> Fit:
    """Return how a mask fits its picture.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        mask: (H, W) of the same size.
        weights: (D, K) weights fitted to other pictures.
        ground: Position of the background class.
    """
    scores = describe(pixels) @ weights
    found = float((scores.argmax(axis=2) != ground).mean())
    known = mask != IGNORED
    marked = float((mask[known] != ground).mean()) if known.any() else 0.0
    scores -= scores.mean(axis=(0, 1))
    scores /= scores.std(axis=(0, 1)) + _TINY
    labels = [k for k in range(weights.shape[1]) if (mask == k).any()]
    if len(labels) < 2:
        return Fit(np.nan, np.nan, found, marked, "")
    spectra = [np.fft.rfft2(scores[..., k]) for k in labels]
    own, best, change = np.nan, -np.inf, ""
    for words, turned in _turned(mask):
        total = np.zeros(mask.shape)
        for k, spectrum in zip(labels, spectra, strict=True):
            part = (turned == k).astype(np.float32)
            moved = np.fft.irfft2(np.conj(np.fft.rfft2(part)) * spectrum, s=mask.shape)
            total += moved / (part.sum() * len(labels))
        if not words:
            own = float(total[0, 0])
            reach = np.arange(-_NEGLECTED, _NEGLECTED + 1)
            total[np.ix_(reach, reach)] = -np.inf
        at = np.unravel_index(int(total.argmax()), total.shape)
        if total[at] > best:
            best = float(total[at])
            change = ", ".join(filter(None, (words, _moved(at, mask.shape))))
    return Fit(own, best, found, marked, change)


def _turned(mask: Mask) -> Iterator[tuple[str, Mask]]:
    yield "", mask
    yield "mirrored", mask[:, ::-1]
    yield "upside down", mask[::-1]
    yield "turned by half", mask[::-1, ::-1]
    if mask.shape[0] == mask.shape[1]:
        yield "turned to the left", np.rot90(mask)
        yield "turned to the right", np.rot90(mask, -1)


def _moved(at: Sequence[np.intp], shape: tuple[int, ...]) -> str:
    """Return the shifts of a mask, as shares of the picture."""
    shares = [
        100 * (place - size if place > size / 2 else place) / size
        for place, size in zip(at, shape, strict=True)
    ]
    words = []
    for share, back, forth in zip(shares, ("up", "left"), ("down", "right"), strict=True):
        if abs(share) >= 0.5:
            words.append(f"{abs(share):.0f} % {forth if share > 0 else back}")
    return f"moved {' and '.join(words)}" if words else ""
