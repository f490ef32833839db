"""Cached features of a frozen backbone, in one file.

The file holds the feature maps of every picture, flattened, in a 2-byte float format; view 0 is the
picture as it is, further views are augmented. It is read with `pread`, so memory stays flat.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foveal.atomic import TEMPORARY, atomic_path, write_atomic
from foveal.console import Progress
from foveal.data.cache import Cache, Windows
from foveal.train.augmentation import Augmenter, to_float
from foveal.train.data import Batch, Reader, batches_ahead, move
from foveal.train.distributed import Group
from foveal.train.folding import FoldedNormalisation
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
        chosen: (count,) which pictures of the file these are; None for all.
        stored: Number of pictures of the file, where some are chosen.
    """

    path: Path
    count: int
    views: int
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    chosen: NDArray[np.int64] | None = None
    stored: int = 0

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

    def some(self, chosen: NDArray[np.int64], *, views: int) -> FeatureFile:
        """Return some of the pictures of a whole file, and the first of their views.

        Args:
            chosen: (n,) which pictures, in the order that they shall have.
            views: Number of views.
        """
        return replace(self, count=len(chosen), views=views, chosen=chosen, stored=self.count)

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
        if self.chosen is not None:
            view, picture = np.divmod(rows, self.count)
            rows = view * self.stored + self.chosen[picture]
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
    group: Group | None = None,
) -> FeatureFile:
    """Run the frozen part of a network over pictures, and store its features.

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
        views: Number of views; more than one needs `augment`.
        seed: Seed of the augmentation.
        batch_size: Pictures at a time.
        group: The processes that train together: each computes some of the batches.
    """
    if views > 1 and augment is None:
        raise ValueError("cache_features: views > 1 needs augment")
    group = group or Group()
    known = FeatureFile.open(path, key)
    (is_known,) = group.decided(known is not None)
    if known is not None and is_known:
        return known
    dtype = precision.storage_dtype
    shapes: tuple[tuple[int, ...], ...] = ()
    progress.start("features", len(indices) * views)
    done = 0
    folded = FoldedNormalisation()
    with _written_together(path, group) as temporary, temporary.open("r+b") as file:
        for first, pixels, number, view in _views(cache, indices, views, batch_size, group):
            moved = move(pixels, device)
            if augment is None or view == 0:
                images = to_float(moved)
            else:
                images = augment(moved, generator(seed, "view", view, number))
            with torch.inference_mode(), precision.autocast(), folded.running(extract, images):
                maps = extract(images)
            shapes = tuple(tuple(m.shape[1:]) for m in maps)
            encoded = _encode(maps, dtype)
            file.seek(first * (len(encoded) // len(pixels)))
            file.write(encoded)
            done += len(pixels) * group.world
            progress.update(min(done, len(indices) * views))
    progress.finish()
    if group.writes:
        header = {
            "count": len(indices),
            "views": views,
            "shapes": shapes,
            "dtype": str(dtype).removeprefix("torch."),
        }
        write_atomic(_header_path(path), json.dumps({**header, "key": key}))
    group.wait()
    written = FeatureFile.open(path, key)
    if written is None:
        raise OSError(f"{path} is not what was just written to it")
    return written


@contextmanager
def _written_together(path: Path, group: Group) -> Iterator[Path]:
    """Yield the temporary file that becomes `path` when all processes are done."""
    if not group.writes:
        group.wait()
        yield path.with_name(f"{TEMPORARY}{path.name}")
        group.wait()
        return
    with atomic_path(path) as temporary:
        temporary.touch()
        group.wait()
        yield temporary
        group.wait()


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
    cache: Cache, indices: NDArray[np.int64], views: int, batch_size: int, group: Group
) -> Iterator[tuple[int, Tensor, int, int]]:
    """Yield this process's batches: first row of the file, pictures, number of the batch, view."""
    parts = np.array_split(indices, max(1, -(-len(indices) // batch_size)))
    firsts = np.cumsum([0, *(len(part) for part in parts)])
    all_of_them = [(view, number) for view in range(views) for number in range(len(parts))]
    own = all_of_them[group.rank :: group.world]
    read = batches_ahead(
        lambda each: torch.from_numpy(cache.read(cache.whole(parts[each[1]]))), own
    )
    for (view, number), pixels in zip(own, read, strict=True):
        yield view * len(indices) + int(firsts[number]), pixels, number, view


def _encode(maps: tuple[Tensor, ...], dtype: torch.dtype) -> bytes:
    flat = torch.cat([m.float().flatten(1) for m in maps], 1)
    if dtype is torch.float16:
        flat = flat.clamp(-FLOAT16_MAX, FLOAT16_MAX)
    return flat.to(dtype).cpu().view(torch.int16).numpy().tobytes()


def _header_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
