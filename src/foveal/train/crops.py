"""Batches of crops of large pictures and of their masks, at random for training, as a grid else.

What an epoch's crops are is a pure function of (seed, epoch, batch), as for `CacheLoader`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.train.augmentation import Augmenter, to_float
from foveal.train.data import Batch, batches_ahead, move, pin
from foveal.train.seeds import derive_seed, generator
from foveal.types import Image, Mask


class CropReader(Protocol):
    """Reads windows of pictures; `foveal.data.raster_cache.RasterCache` does."""

    sizes: NDArray[np.int64]

    def crop(self, index: int, top: int, left: int, height: int, width: int) -> tuple[Image, Mask]:
        """Return (height, width, 3) uint8 RGB and (height, width) uint8."""

    def place(self, index: int, label: int, draw: float) -> tuple[int, int] | None:
        """Return row and column of some pixel of a class, or None."""


@dataclass(frozen=True, slots=True)
class Window:
    """A tile of a picture.

    Attributes:
        index: Index of the sample.
        top: First row; may be negative.
        left: First column; may be negative.
    """

    index: int
    top: int
    left: int


@dataclass(frozen=True)
class CropPlan:
    """Where crops are taken.

    Attributes:
        indices: (n,) the samples.
        size: Height and width of a crop, in pixels of the cache.
        batch_size: Crops in a batch.
        labels: Position in the source's classes → class of the task, (256,) uint8.
        rare: Positions in the source's classes of all but the most frequent one.
        foreground: Share of the crops that are centred on a pixel of one of `rare`.
        seed: Seed of places and augmentation.
    """

    indices: NDArray[np.int64]
    size: tuple[int, int]
    batch_size: int
    labels: NDArray[np.uint8]
    rare: tuple[int, ...]
    foreground: float
    seed: int


class CropLoader:
    """A `Loader` of random crops: in an epoch about as many pixels as the pictures have.

    Args:
        reader: The cache.
        plan: Where crops are taken.
        augment: Turns and recolours them.
        weights: (n,) how often each picture is taken, on top of its area; None for once.
        device: Where the batches shall be.
        own_weights: (n,) float32, the samples' own weight in the loss; None for 1.
    """

    def __init__(
        self,
        reader: CropReader,
        plan: CropPlan,
        augment: Augmenter,
        *,
        weights: NDArray[np.float64] | None = None,
        device: torch.device | None = None,
        own_weights: NDArray[np.float32] | None = None,
    ) -> None:
        self._reader = reader
        self._plan = plan
        self._augment = augment
        self._device = device or torch.device("cpu")
        self._own_weights = own_weights
        areas = reader.sizes[plan.indices].prod(axis=1).astype(np.float64)
        tile = plan.size[0] * plan.size[1]
        self._batches = max(1, round(float(np.maximum(areas / tile, 1.0).sum()) / plan.batch_size))
        shares = areas if weights is None else areas * weights
        self._ends = np.cumsum(shares / shares.sum())

    @property
    def samples(self) -> int:
        """Return how many crops an epoch has."""
        return self._batches * self._plan.batch_size

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return self._batches

    def epoch(self, epoch: int, first_batch: int = 0) -> Generator[Batch, None, None]:
        """Iterate over the batches of an epoch, from `first_batch` on."""
        numbers = [np.array([epoch, n], np.int64) for n in range(first_batch, self._batches)]
        for (pixels, masks, weights), (_, number) in zip(
            batches_ahead(self._read, numbers), numbers, strict=True
        ):
            images, truth = self._augment.with_masks(
                move(pixels, self._device),
                move(masks, self._device),
                self._plan.size,
                generator(self._plan.seed, "augment", epoch, int(number)),
            )
            targets = {"mask": truth}
            if weights is not None:
                targets["weight"] = move(weights, self._device)
            yield images, targets

    def _read(self, place: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor | None]:
        plan = self._plan
        epoch, number = (int(v) for v in place)
        rng = np.random.default_rng(derive_seed(plan.seed, "crops", epoch, number))
        positions = np.searchsorted(self._ends, rng.random(plan.batch_size), side="right")
        positions = np.minimum(positions, len(self._ends) - 1)
        crops = [self._crop(int(plan.indices[i]), rng) for i in positions]
        pixels = torch.from_numpy(np.stack([image for image, _ in crops]))
        masks = torch.from_numpy(plan.labels[np.stack([mask for _, mask in crops])])
        weights = None
        if self._own_weights is not None:
            weights = pin(torch.from_numpy(self._own_weights[positions]), self._device)
        return pin(pixels, self._device), pin(masks, self._device), weights

    def _crop(self, index: int, rng: np.random.Generator) -> tuple[Image, Mask]:
        size = self._plan.size
        shape = self._reader.sizes[index]
        # Every draw is made, needed or not, so that the next crop does not depend on this one.
        draws = rng.random(5)
        centre = self._centre(index, draws)
        side = max(self._augment.margin(side) for side in size)
        starts = []
        for axis in (0, 1):
            # Off the middle at random, so that the class is not always there; the crop itself,
            # not the larger window that it is turned in, stays inside the picture.
            offset = centre[axis] - size[axis] * (0.25 + 0.5 * draws[3 + axis])
            most = max(0.0, float(shape[axis]) - size[axis])
            inside = min(max(0.0, offset), most)
            starts.append(round(inside) - (side - size[axis]) // 2)
        return self._reader.crop(index, starts[0], starts[1], side, side)

    def _centre(self, index: int, draws: NDArray[np.float64]) -> tuple[float, float]:
        plan = self._plan
        if draws[0] < plan.foreground:
            # Classes in turn from a random one on: a picture need not have them all.
            first = int(draws[1] * len(plan.rare))
            for step in range(len(plan.rare)):
                label = plan.rare[(first + step) % len(plan.rare)]
                found = self._reader.place(index, label, float(draws[2]))
                if found is not None:
                    return found
        rows, columns = self._reader.sizes[index]
        return float(draws[1] * rows), float(draws[2] * columns)


def grid(sizes: NDArray[np.int64], indices: Sequence[int], size: tuple[int, int]) -> list[Window]:
    """Return tiles that cover pictures without overlapping; the last may reach over the edge."""
    height, width = size
    return [
        Window(index, top, left)
        for index in indices
        for top in range(0, int(sizes[index][0]), height)
        for left in range(0, int(sizes[index][1]), width)
    ]


def tile_batches(
    reader: CropReader,
    windows: Sequence[Window],
    size: tuple[int, int],
    labels: NDArray[np.uint8],
    batch_size: int,
) -> Generator[tuple[NDArray[np.uint8], NDArray[np.uint8]], None, None]:
    """Yield (n, *size, 3) uint8 RGB and (n, *size) uint8 classes of tiles, in order, read ahead."""
    numbers = np.arange(len(windows), dtype=np.int64)
    parts = np.array_split(numbers, max(1, -(-len(numbers) // batch_size)))

    def read(part: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        crops = [reader.crop(w.index, w.top, w.left, *size) for w in (windows[i] for i in part)]
        return np.stack([image for image, _ in crops]), labels[np.stack([m for _, m in crops])]

    yield from batches_ahead(read, parts)


def as_batch(pixels: NDArray[np.uint8], masks: NDArray[np.uint8], device: torch.device) -> Batch:
    """Return tiles as the network and the losses take them."""
    images = to_float(move(pin(torch.from_numpy(pixels), device), device))
    return images, {"mask": move(pin(torch.from_numpy(masks), device), device)}
