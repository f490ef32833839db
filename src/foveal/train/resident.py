"""Decoded pictures in GPU memory, where batches are gathered and augmented."""

from __future__ import annotations

import logging
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.data.cache import Cache, Windows
from foveal.train.data import Batch, PictureReader, Reader, move, pin
from foveal.train.share import Share

logger = logging.getLogger(__name__)

# The rest of the free memory is for the network, its activations and the augmentation.
_LARGEST_SHARE = 0.25
# Pictures copied at a time: main memory never holds them all.
_CHUNK_BYTES = 64 << 20


@final
class ResidentReader(Reader):
    """A reader of batches from pictures in GPU memory.

    Args:
        reader: Augments what is gathered.
        pixels: (n, H, W, 3) uint8 RGB on the device.
        samples: (n,) int64, the sample that each row of `pixels` belongs to.
    """

    def __init__(self, reader: PictureReader, pixels: Tensor, samples: NDArray[np.int64]) -> None:
        self._reader = reader
        self._pixels = pixels
        self._row_of = np.full(int(samples.max(initial=-1)) + 1, -1, np.int64)
        self._row_of[samples] = np.arange(len(samples))

    def read(self, windows: Windows) -> tuple[Tensor, ...]:
        """Return (n,) int64, the rows of the pictures on the device."""
        return (torch.from_numpy(self._row_of[windows.samples]),)

    def finish(
        self,
        values: tuple[Tensor, ...],
        targets: dict[str, Tensor],
        seeds: tuple[int, int],
        share: Share,
    ) -> Batch:
        """Gather the pictures and augment them."""
        return self._reader.finish((self._pixels[values[0]],), targets, seeds, share)


def keep_on_device(
    reader: PictureReader, cache: Cache, indices: NDArray[np.int64], device: torch.device
) -> Reader:
    """Return a reader with its pictures in GPU memory, or the reader itself.

    They are kept there when all have one size and take at most a quarter of the memory that is
    free. Masks and the crops of tiled pictures are read from the disk, batch by batch.

    Args:
        reader: Reads whole pictures of `cache`.
        cache: The pictures.
        indices: (n,) int64, those that are trained on.
        device: Device to train on.
    """
    pipeline = cache.pipeline
    if device.type != "cuda" or pipeline.is_tiled or pipeline.is_ragged:
        return reader
    needed = len(indices) * pipeline.height * pipeline.width * 3
    free, _ = torch.cuda.mem_get_info(device)
    if needed > _LARGEST_SHARE * free:
        logger.info(
            "%d MB of pictures stay on disk, because %s has %d MB free",
            needed >> 20,
            device,
            free >> 20,
        )
        return reader
    return ResidentReader(reader, load_pixels(cache, indices, device), indices)


def load_pixels(cache: Cache, indices: NDArray[np.int64], device: torch.device) -> Tensor:
    """Return (n, H, W, 3) uint8 RGB on the device: the model inputs of some samples."""
    windows = cache.whole(indices)
    height, width = windows.size
    pixels = torch.empty((len(indices), height, width, 3), dtype=torch.uint8, device=device)
    chunk = max(1, _CHUNK_BYTES // (height * width * 3))
    for start in range(0, len(indices), chunk):
        rows = np.arange(start, min(start + chunk, len(indices)))
        read = torch.from_numpy(cache.read(windows.at(rows)))
        pixels[start : start + len(rows)] = move(pin(read, device), device)
    return pixels
