"""Batches for the training loop, prefetched in a thread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import NamedTuple, Protocol, TypeAlias, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.data.cache import Cache, Windows
from foveal.machine import read_ahead
from foveal.train.augmentation import Augmenter, to_float
from foveal.train.sampling import Drawing, Sampler
from foveal.train.seeds import generator
from foveal.train.share import Share

S = TypeVar("S")
T = TypeVar("T")

Inputs: TypeAlias = Tensor | tuple[Tensor, ...]
"""Pictures (N, 3, H, W) float32 in [0, 255], or cached feature maps."""


class Batch(NamedTuple):
    """The batch of a step, or this process's share of it.

    Attributes:
        inputs: Inputs of the network.
        targets: Name → tensor, first axis the sample.
        share: Which rows of the whole batch these are.
    """

    inputs: Inputs
    targets: dict[str, Tensor]
    share: Share


Dealt: TypeAlias = Callable[[int], Share]
"""Says which rows this process works on, of a batch of so many."""


# Two batches ahead hide the jitter of the disk; more only costs memory.
READ_AHEAD = 2


class Loader(Protocol):
    """Interface of loaders of batches."""

    @property
    def samples(self) -> int:
        """Return how many samples an epoch has."""

    def __len__(self) -> int:
        """Return how many batches an epoch has."""

    def epoch(self, epoch: int, first_batch: int = 0) -> Generator[Batch, None, None]:
        """Iterate over the batches of an epoch, from `first_batch` on."""


class Reader(ABC):
    """Reads windows in a thread, and completes the batch on the device."""

    @abstractmethod
    def read(self, windows: Windows) -> tuple[Tensor, ...]:
        """Return what lies on the disk, first axis the window."""

    @abstractmethod
    def finish(
        self,
        values: tuple[Tensor, ...],
        targets: dict[str, Tensor],
        seeds: tuple[int, int],
        share: Share,
    ) -> Batch:
        """Return the batch.

        Args:
            values: Result of `read`, on the device.
            targets: The windows' rows of the targets' tensors, on the device.
            seeds: Number of the epoch and of the batch in it: the seed of whatever is random.
            share: Which rows of the whole batch these are.
        """


@final
class PictureReader(Reader):
    """Augmented pictures, with their masks where there are any.

    Args:
        cache: The pictures.
        augment: Changes them.
        seed: Seed of the changes.
        classes: (256,) uint8, position in the source's classes → class of the task; None for
            targets that are no masks.
    """

    def __init__(
        self,
        cache: Cache,
        augment: Augmenter,
        *,
        seed: int,
        classes: NDArray[np.uint8] | None = None,
    ) -> None:
        self._cache = cache
        self._augment = augment
        self._seed = seed
        self._classes = classes

    def read(self, windows: Windows) -> tuple[Tensor, ...]:
        """Return (n, H, W, 3) uint8 RGB, and what belongs to it.

        For masks (n, H, W) uint8 classes; for pictures of different widths (n,) int64, the columns
        that each fills.
        """
        pixels = torch.from_numpy(self._cache.read(windows))
        if self._cache.pipeline.is_ragged:
            return pixels, torch.from_numpy(self._cache.columns(windows))
        if self._classes is None:
            return (pixels,)
        return pixels, torch.from_numpy(self._classes[self._cache.read_masks(windows)])

    def finish(
        self,
        values: tuple[Tensor, ...],
        targets: dict[str, Tensor],
        seeds: tuple[int, int],
        share: Share,
    ) -> Batch:
        """Augment pictures and masks alike."""
        draws = generator(self._seed, "augment", *seeds)
        if self._classes is None:
            pixels, *columns = values
            return Batch(self._augment(pixels, draws, share, *columns), targets, share)
        pipeline = self._cache.pipeline
        pixels, masks = values
        size = (pipeline.height, pipeline.width)
        images, masks = self._augment.with_masks(pixels, masks, size, draws, share)
        return Batch(images, {**targets, "mask": masks}, share)


@final
class WindowLoader:
    """A `Loader` of windows drawn by a sampler.

    Args:
        reader: Reads windows.
        sampler: Says which.
        targets: Name → tensor that the draws' positions are rows of.
        device: Where the batches shall be.
        dealt: Says which rows of each batch are read; by default all.
    """

    def __init__(
        self,
        reader: Reader,
        sampler: Sampler,
        targets: Mapping[str, Tensor],
        *,
        device: torch.device,
        dealt: Dealt = Share.whole,
    ) -> None:
        self._reader = reader
        self._sampler = sampler
        self._targets = dict(targets)
        self._device = device
        self._dealt = dealt

    @property
    def samples(self) -> int:
        """Return how many windows an epoch has."""
        return self._sampler.samples

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return len(self._sampler)

    def epoch(self, epoch: int, first_batch: int = 0) -> Generator[Batch, None, None]:
        """Iterate over the batches of an epoch, from `first_batch` on."""
        drawings = self._sampler.epoch(epoch)[first_batch:]
        read = enumerate(batches_ahead(self._read, drawings), first_batch)
        for number, (values, rows, share) in read:
            moved = tuple(move(value, self._device) for value in values)
            targets = {name: move(row, self._device) for name, row in rows.items()}
            yield self._reader.finish(moved, targets, (epoch, number), share)

    def _read(self, drawing: Drawing) -> tuple[tuple[Tensor, ...], dict[str, Tensor], Share]:
        draw = drawing()
        share = self._dealt(len(draw.positions))
        windows = draw.windows.at(np.arange(share.begin, share.end))
        values = tuple(pin(value, self._device) for value in self._reader.read(windows))
        rows = share.take(torch.from_numpy(draw.positions))
        return values, {n: pin(t[rows], self._device) for n, t in self._targets.items()}, share


def plain_inputs(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return (N, H, W, 3) uint8 model inputs as the network takes them, on the device."""
    return to_float(move(pin(torch.from_numpy(pixels), device), device))


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
