"""Cached activations of a frozen backbone: computed once, then read by rows from one file.

The file holds the feature maps of every picture, flattened, in a 2-byte float format; view 0 is the
picture as it is, further views are augmented. It is read with `pread`, so memory stays flat.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.atomic import atomic_path, write_atomic
from foveal.console import Progress
from foveal.data.cache import Cache, Windows
from foveal.train.augmentation import Augmenter, to_float
from foveal.train.data import Batch, Reader, batches_ahead, move
from foveal.train.precision import Precision
from foveal.train.seeds import generator
from foveal.train.share import Share

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
    cache: Cache,
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
        cache: The pictures.
        indices: (n,) which of them; row j of the file belongs to `indices[j]`.
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
        for number, pixels, view in _views(cache, indices, views, batch_size):
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


@final
class FeatureReader(Reader):
    """Cached feature maps; a window's sample is a row of the file.

    Args:
        features: The file.
    """

    def __init__(self, features: FeatureFile) -> None:
        self._features = features

    def read(self, windows: Windows) -> tuple[Tensor, ...]:
        """Return the feature maps in the file's 2-byte format."""
        return self._features.read(windows.samples)

    def finish(
        self,
        values: tuple[Tensor, ...],
        targets: dict[str, Tensor],
        seeds: tuple[int, int],
        share: Share,
    ) -> Batch:
        """Return the maps as float32."""
        return Batch(tuple(value.float() for value in values), targets, share)


def _views(
    cache: Cache, indices: NDArray[np.int64], views: int, batch_size: int
) -> Iterator[tuple[int, Tensor, int]]:
    parts = np.array_split(indices, max(1, -(-len(indices) // batch_size)))
    for view in range(views):
        read = batches_ahead(lambda part: torch.from_numpy(cache.read(cache.whole(part))), parts)
        for number, pixels in enumerate(read):
            yield number, pixels, view


def _encode(maps: tuple[Tensor, ...], dtype: torch.dtype) -> bytes:
    flat = torch.cat([m.float().flatten(1) for m in maps], 1)
    if dtype is torch.float16:
        flat = flat.clamp(-FLOAT16_MAX, FLOAT16_MAX)
    return flat.to(dtype).cpu().view(torch.int16).numpy().tobytes()


def _header_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
