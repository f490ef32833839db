"""Cached activations of a frozen backbone: computed once, then read by rows from one file.

The file holds the feature maps of every picture, flattened, in a 2-byte float format; view 0 is the
picture as it is, further views are augmented. It is read with `pread`, so memory stays flat.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.atomic import atomic_path, write_atomic
from foveal.console import Progress
from foveal.train.augmentation import Augmenter, to_float
from foveal.train.data import (
    Batch,
    BatchOrder,
    PictureReader,
    as_weights,
    batches_ahead,
    move,
    pin,
)
from foveal.train.precision import Precision
from foveal.train.seeds import derive_seed, generator

ITEM_BYTES = 2
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
# Activations beyond the range of float16 are cut rather than made infinite.
FLOAT16_MAX = 65504.0


@dataclass(frozen=True)
class FeatureFile:
    """The cached feature maps of a set of pictures.

    Attributes:
        path: The file; its header lies beside it as `<name>.json`.
        count: Number of pictures.
        views: Number of views of each.
        shapes: (C, H, W) of each feature map.
        dtype: `bfloat16` or `float16`.
    """

    path: Path
    count: int
    views: int
    shapes: tuple[tuple[int, ...], ...]
    dtype: str

    @classmethod
    def open(cls, path: Path, key: str) -> FeatureFile | None:
        """Return the file when it is whole and was written under `key`, else None."""
        try:
            header = json.loads(_header_path(path).read_text(encoding="utf-8"))
            size = path.stat().st_size
        except (OSError, ValueError):
            return None
        if header.pop("key", None) != key:
            return None
        shapes = tuple(tuple(shape) for shape in header.pop("shapes"))
        file = cls(path=path, shapes=shapes, **header)
        return file if size == file.count * file.views * file.row_bytes else None

    @property
    def row_bytes(self) -> int:
        """Return the bytes of one view of one picture."""
        return ITEM_BYTES * sum(math.prod(shape) for shape in self.shapes)

    def read(self, rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        """Return the feature maps of some rows (row = view * count + picture).

        Returns:
            One (n, C, H, W) tensor for each feature map, in the file's 2-byte format.
        """
        size = self.row_bytes
        flat = np.empty((len(rows), size // ITEM_BYTES), np.int16)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            for place, row in enumerate(rows.tolist()):
                if os.preadv(descriptor, [flat[place].data], row * size) != size:
                    raise OSError(f"{self.path} ends within row {row}")
        finally:
            os.close(descriptor)
        values = torch.from_numpy(flat).view(DTYPES[self.dtype])
        parts = torch.split(values, [math.prod(shape) for shape in self.shapes], 1)
        return tuple(p.reshape(-1, *s) for p, s in zip(parts, self.shapes, strict=True))

    def delete(self) -> None:
        """Remove the file and its header."""
        _header_path(self.path).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def cache_features(
    extract: Callable[[Tensor], tuple[Tensor, ...]],
    reader: PictureReader,
    indices: NDArray[np.int64],
    path: Path,
    *,
    key: str,
    precision: Precision,
    device: torch.device,
    progress: Progress,
    augment: Augmenter | None = None,
    views: int = 1,
    seed: int = 0,
    batch_size: int = 32,
) -> FeatureFile:
    """Run the frozen part of a network over pictures and keep what it gives.

    Args:
        extract: (N, 3, H, W) float32 in [0, 255] → feature maps; `network.features`, in eval mode.
        reader: The picture cache.
        indices: (n,) which pictures; row j of the file belongs to `indices[j]`.
        path: The file to write. It is reused when it is whole and was written under the same key.
        key: Says everything that the features depend on (backbone, weights, data, augmentation).
        precision: The number format of the forward passes.
        device: Where to compute.
        progress: Hears of the pictures done.
        augment: Makes the views after the first.
        views: How many views; more than one needs `augment`.
        seed: Seed of the augmentation.
        batch_size: Pictures at a time.
    """
    if views > 1 and augment is None:
        raise ValueError("cache_features: views > 1 needs augment")
    known = FeatureFile.open(path, key)
    if known is not None:
        return known
    dtype = precision.storage_dtype
    shapes: tuple[tuple[int, ...], ...] = ()
    progress.start("features", len(indices) * views)
    done = 0
    with atomic_path(path) as temporary, temporary.open("wb") as file, torch.inference_mode():
        for number, pixels, view in _views(reader, indices, views, batch_size):
            moved = move(pixels, device)
            if augment is None or view == 0:
                images = to_float(moved)
            else:
                images = augment(moved, generator(seed, "view", view, number))
            with precision.autocast():
                maps = extract(images)
            shapes = tuple(tuple(m.shape[1:]) for m in maps)
            file.write(_encode(maps, dtype))
            done += len(pixels)
            progress.update(done)
    progress.finish()
    result = FeatureFile(path, len(indices), views, shapes, str(dtype).removeprefix("torch."))
    header = {"count": result.count, "views": views, "shapes": shapes, "dtype": result.dtype}
    write_atomic(_header_path(path), json.dumps({**header, "key": key}))
    return result


class FeatureLoader:
    """Batches of cached feature maps, one view of every picture an epoch.

    Args:
        features: The file.
        targets: Name → tensor whose row j belongs to picture j of the file.
        batch_size: The most pictures in a batch.
        seed: Seed of the order and of the choice of views.
        sample_weights: (n,) for balanced sampling, or None.
        device: Where the batches shall be.
    """

    def __init__(
        self,
        features: FeatureFile,
        targets: Mapping[str, Tensor],
        *,
        batch_size: int,
        seed: int = 0,
        sample_weights: Tensor | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._features = features
        self._targets = dict(targets)
        self._seed = seed
        self._device = device or torch.device("cpu")
        weights = as_weights(sample_weights)
        self._order = BatchOrder(features.count, batch_size, seed, weights)

    @property
    def samples(self) -> int:
        """Return how many pictures an epoch has."""
        return self._order.count

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return len(self._order)

    def epoch(self, epoch: int, first_batch: int = 0) -> Generator[Batch, None, None]:
        """Iterate over the batches of an epoch, from `first_batch` on."""
        rng = np.random.default_rng(derive_seed(self._seed, "views", epoch))
        views = rng.integers(0, self._features.views, self._order.count)
        yield from self._batches(self._order.batches(epoch)[first_batch:], views)

    def in_order(self) -> Generator[Batch, None, None]:
        """Iterate over the first view of all pictures once, in their order."""
        views = np.zeros(self._order.count, np.int64)
        yield from self._batches(self._order.in_order(), views)

    def _batches(
        self, batches: list[NDArray[np.int64]], views: NDArray[np.int64]
    ) -> Generator[Batch, None, None]:
        def read(positions: NDArray[np.int64]) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
            maps = self._features.read(views[positions] * self._features.count + positions)
            rows = torch.from_numpy(positions)
            targets = {name: pin(t[rows], self._device) for name, t in self._targets.items()}
            return tuple(pin(m, self._device) for m in maps), targets

        for maps, targets in batches_ahead(read, batches):
            yield (
                tuple(move(m, self._device).float() for m in maps),
                {name: move(t, self._device) for name, t in targets.items()},
            )


def _views(
    reader: PictureReader, indices: NDArray[np.int64], views: int, batch_size: int
) -> Iterator[tuple[int, Tensor, int]]:
    batches = BatchOrder(len(indices), batch_size, 0).in_order()
    for view in range(views):
        read = batches_ahead(lambda part: torch.from_numpy(reader.read(indices[part])), batches)
        for number, pixels in enumerate(read):
            yield number, pixels, view


def _encode(maps: tuple[Tensor, ...], dtype: torch.dtype) -> bytes:
    flat = torch.cat([m.float().flatten(1) for m in maps], 1)
    if dtype is torch.float16:
        flat = flat.clamp(-FLOAT16_MAX, FLOAT16_MAX)
    return flat.to(dtype).cpu().view(torch.int16).numpy().tobytes()


def _header_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
