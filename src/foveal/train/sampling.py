"""Samplers: choose the windows of the batches of an epoch.

The order of an epoch is a pure function of (seed, epoch): a resumed run sees exactly what an
uninterrupted one would have seen. `foveal.train.crops` takes random crops.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.cache import Cache, Windows
from foveal.train.seeds import derive_seed


@final
@dataclass(frozen=True, slots=True)
class Draw:
    """One batch.

    Attributes:
        positions: (n,) int64, rows of the targets' tensors.
        windows: Windows to read.
    """

    positions: NDArray[np.int64]
    windows: Windows


Drawing: TypeAlias = Callable[[], Draw]
"""Makes a batch when the reading thread comes to it."""


class Sampler(ABC):
    """Interface of samplers."""

    @property
    @abstractmethod
    def samples(self) -> int:
        """Return how many windows an epoch has."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many batches an epoch has; with pictures of many widths about as many."""

    @abstractmethod
    def epoch(self, epoch: int) -> Sequence[Drawing]:
        """Return the batches of an epoch, in order."""


@dataclass(frozen=True)
class BatchOrder:
    """Chooses the samples of the batches of an epoch.

    Attributes:
        count: Number of samples.
        batch_size: The most samples in a batch. Batches of an epoch differ by at most one sample,
            so there is no tiny last batch to upset batch normalisation.
        seed: Seed of the order.
        sample_weights: (count,) how often each sample is drawn relative to the others, or None
            for each exactly once.
        widths: (count,) of the model inputs, in pixels, or None when all are alike. Batches are
            made of samples of about one width, so that little of them is filling.
    """

    count: int
    batch_size: int
    seed: int
    sample_weights: NDArray[np.float64] | None = None
    widths: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        if self.widths is not None and self.sample_weights is None:
            return len(self.batches(0))
        return max(1, -(-self.count // self.batch_size))

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the positions in [0, count) of every batch of an epoch."""
        rng = np.random.default_rng(derive_seed(self.seed, "order", epoch))
        if self.sample_weights is None:
            order = rng.permutation(self.count)
        else:
            share = self.sample_weights / self.sample_weights.sum()
            order = rng.choice(self.count, self.count, p=share)
        order = order.astype(np.int64)
        if self.widths is None:
            return self._split(order)
        buckets = self._buckets[order]
        batches = [b for k in np.unique(buckets) for b in self._split(order[buckets == k])]
        return [batches[i] for i in rng.permutation(len(batches))]

    def _split(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return np.array_split(order, max(1, -(-len(order) // self.batch_size)))

    @cached_property
    def _buckets(self) -> NDArray[np.int64]:
        """Return (count,) the bucket of each sample: a width, or neighbours with few samples."""
        widths = np.zeros(0, np.int64) if self.widths is None else self.widths
        distinct, which, counts = np.unique(widths, return_inverse=True, return_counts=True)
        bucket_of = np.zeros(len(distinct), np.int64)
        held, bucket = 0, 0
        for i, count in enumerate(counts):
            bucket_of[i] = bucket
            held += int(count)
            if held >= self.batch_size and int(counts[i + 1 :].sum()) >= self.batch_size:
                held, bucket = 0, bucket + 1
        return bucket_of[which]


@final
class WholePictures(Sampler):
    """Samples every picture once per epoch, or according to its weight.

    Args:
        cache: The pictures.
        indices: (n,) which of them; row j of the targets belongs to `indices[j]`.
        batch_size: The most pictures in a batch.
        seed: Seed of the order.
        sample_weights: See `BatchOrder`.
    """

    def __init__(
        self,
        cache: Cache,
        indices: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        sample_weights: NDArray[np.float64] | None = None,
    ) -> None:
        self._cache = cache
        self._indices = np.asarray(indices, np.int64)
        widths = cache.sizes[self._indices, 1] if cache.pipeline.is_ragged else None
        self._order = BatchOrder(len(indices), batch_size, seed, sample_weights, widths)

    @property
    def samples(self) -> int:
        """Return how many pictures an epoch has."""
        return self._order.count

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return len(self._order)

    def epoch(self, epoch: int) -> Sequence[Drawing]:
        """Return the batches of an epoch, in order."""
        return [partial(self._draw, positions) for positions in self._order.batches(epoch)]

    def _draw(self, positions: NDArray[np.int64]) -> Draw:
        return Draw(positions, self._cache.whole(self._indices[positions]))


@final
class CachedViews(Sampler):
    """Samples one random view of the cached features of every picture per epoch.

    Args:
        order: The order of the pictures.
        views: Number of views of each picture; row = view * count + picture.
    """

    def __init__(self, order: BatchOrder, views: int) -> None:
        self._order = order
        self._views = views

    @property
    def samples(self) -> int:
        """Return how many pictures an epoch has."""
        return self._order.count

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return len(self._order)

    def epoch(self, epoch: int) -> Sequence[Drawing]:
        """Return the batches of an epoch, in order."""
        rng = np.random.default_rng(derive_seed(self._order.seed, "views", epoch))
        views = rng.integers(0, self._views, self._order.count)
        return [partial(self._draw, views, batch) for batch in self._order.batches(epoch)]

    def _draw(self, views: NDArray[np.int64], positions: NDArray[np.int64]) -> Draw:
        rows = views[positions] * self._order.count + positions
        return Draw(positions, Windows.whole(rows, (1, 1)))


def windows_in_order(
    cache: Cache, indices: NDArray[np.int64], *, pixels: int, most: int
) -> list[Windows]:
    """Return windows that cover pictures once, in batches of one size each.

    Ordinary pictures are one window each, the narrowest first. Tiled ones are covered by tiles side
    by side, of which the last may reach over the edge.

    Args:
        cache: The pictures.
        indices: (n,) which of them.
        pixels: Pixels of a batch.
        most: Windows of a batch.
    """
    height, width = cache.pipeline.height, cache.pipeline.width
    if not cache.pipeline.is_tiled:
        order = indices[np.argsort(cache.sizes[indices, 1], kind="stable")]
        ends = np.flatnonzero(np.diff(cache.sizes[order, 1])) + 1
        parts = [cache.whole(run) for run in np.split(order, ends)]
    else:
        places = [
            (index, top, left)
            for index in indices.tolist()
            for top in range(0, int(cache.sizes[index, 0]), height)
            for left in range(0, int(cache.sizes[index, 1]), width)
        ]
        samples, tops, lefts = np.array(places, np.int64).reshape(-1, 3).T
        parts = [Windows(samples, tops, lefts, (height, width))]
    return [batch for part in parts for batch in _split(part, pixels, most)]


def _split(windows: Windows, pixels: int, most: int) -> list[Windows]:
    size = max(1, min(most, pixels // (windows.size[0] * windows.size[1])))
    count = max(1, -(-len(windows) // size))
    return [windows.at(part) for part in np.array_split(np.arange(len(windows)), count)]
