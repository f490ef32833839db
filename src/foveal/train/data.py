"""Batches for the loop, from the picture cache or from any indexed reader, read ahead in a thread.

The order of an epoch is a pure function of (seed, epoch), every augmentation of (seed, epoch,
batch): a resumed run sees exactly what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.machine import read_ahead
from foveal.train.augmentation import Augmenter, to_float
from foveal.train.seeds import derive_seed, generator

S = TypeVar("S")
T = TypeVar("T")

Inputs: TypeAlias = Tensor | tuple[Tensor, ...]
"""Pictures (N, 3, H, W) float32 in [0, 255], or cached feature maps."""

Batch: TypeAlias = tuple[Inputs, dict[str, Tensor]]

# Two batches ahead hide the jitter of the disk; more only costs memory.
READ_AHEAD = 2


class Loader(Protocol):
    """What the loop takes its batches from."""

    @property
    def samples(self) -> int:
        """Return how many samples an epoch has."""

    def __len__(self) -> int:
        """Return how many batches an epoch has."""

    def epoch(self, epoch: int, first_batch: int = 0) -> Generator[Batch, None, None]:
        """Iterate over the batches of an epoch, from `first_batch` on."""


class PictureReader(Protocol):
    """Reads model inputs by index; `foveal.data.cache.Cache` does."""

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (n, H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class BatchOrder:
    """Which samples form the batches of an epoch.

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

    def in_order(self) -> list[NDArray[np.int64]]:
        """Return the positions as batches in their own order, each once, of one width each."""
        order = np.arange(self.count, dtype=np.int64)
        if self.widths is None:
            return self._split(order)
        ends = np.flatnonzero(np.diff(self.widths)) + 1
        return [batch for run in np.split(order, ends) for batch in self._split(run)]

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


class CacheLoader:
    """Batches of augmented pictures.

    Args:
        reader: The picture cache.
        indices: (n,) which of its pictures.
        targets: Name → tensor whose row j belongs to `indices[j]` (from `TaskTraining.collate`).
        batch_size: The most pictures in a batch.
        seed: Seed of order and augmentation.
        augment: Changes the pictures; None leaves them.
        sample_weights: (n,) for balanced sampling, or None.
        device: Where the batches shall be; augmentation runs there.
        widths: (n,) of the model inputs in pixels where they differ, else None.
    """

    def __init__(
        self,
        reader: PictureReader,
        indices: NDArray[np.int64],
        targets: Mapping[str, Tensor],
        *,
        batch_size: int,
        seed: int = 0,
        augment: Augmenter | None = None,
        sample_weights: Tensor | None = None,
        device: torch.device | None = None,
        widths: NDArray[np.int64] | None = None,
    ) -> None:
        self._reader = reader
        self._indices = np.asarray(indices, np.int64)
        self._targets = dict(targets)
        self._seed = seed
        self._augment = augment
        self._device = device or torch.device("cpu")
        weights = as_weights(sample_weights)
        self._order = BatchOrder(len(indices), batch_size, seed, weights, widths)

    @property
    def samples(self) -> int:
        """Return how many pictures an epoch has."""
        return self._order.count

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return len(self._order)

    def epoch(self, epoch: int, first_batch: int = 0) -> Generator[Batch, None, None]:
        """Iterate over the batches of an epoch, from `first_batch` on."""
        batches = self._order.batches(epoch)[first_batch:]
        for number, (pixels, targets) in enumerate(batches_ahead(self._read, batches), first_batch):
            pixels = move(pixels, self._device)
            if self._augment is None:
                images = to_float(pixels)
            else:
                images = self._augment(pixels, generator(self._seed, "augment", epoch, number))
            yield images, {name: move(t, self._device) for name, t in targets.items()}

    def in_order(self) -> Generator[Batch, None, None]:
        """Iterate over all pictures once, in the order of `indices`, not augmented."""
        for pixels, targets in batches_ahead(self._read, self._order.in_order()):
            yield (
                to_float(move(pixels, self._device)),
                {name: move(t, self._device) for name, t in targets.items()},
            )

    def _read(self, positions: NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
        pixels = torch.from_numpy(self._reader.read(self._indices[positions]))
        rows = torch.from_numpy(positions)
        targets = {name: values[rows] for name, values in self._targets.items()}
        return pin(pixels, self._device), {n: pin(t, self._device) for n, t in targets.items()}


def samples_of(inputs: Inputs) -> int:
    """Return how many samples a batch has."""
    return len(inputs[0]) if isinstance(inputs, tuple) else len(inputs)


def batches_ahead(read: Callable[[S], T], batches: Iterable[S]) -> Generator[T, None, None]:
    """Yield `read(batch)` for every batch, in order, a thread being some batches ahead."""
    return read_ahead(read, batches, workers=1, ahead=READ_AHEAD)


def pin(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor in page-locked memory when a CUDA copy shall overlap with work."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on the device, without waiting for the copy."""
    return tensor.to(device, non_blocking=True)


def as_weights(weights: Tensor | None) -> NDArray[np.float64] | None:
    """Return sampling weights as `BatchOrder` takes them."""
    return None if weights is None else weights.numpy().astype(np.float64)
