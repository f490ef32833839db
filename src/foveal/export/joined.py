"""Stitched maps of the validation pictures, computed lazily."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, final, overload

import numpy as np
from numpy.typing import NDArray

from foveal.data.source import Sample
from foveal.export.job import Pictures
from foveal.pipeline import Pipeline
from foveal.predict.engine import Engine
from foveal.predict.tiles import Tiler
from foveal.tasks.base import OutputBatch, Task
from foveal.types import Image, Raster

T = TypeVar("T")

# Calibration looks at this much of a picture, the evaluation at all of it.
_WINDOW_SIDE = 4096


def joined_maps(
    pictures: Pictures, task: Task, pipeline: Pipeline, engine: Engine
) -> tuple[Sequence[OutputBatch], Sequence[Any]]:
    """Return the joined maps of the middles of tiled validation pictures, and their targets.

    Both are computed each time they are read, so that none is kept.

    Args:
        pictures: The validation pictures and their masks.
        task: Names the maps, and makes targets of masks.
        pipeline: One that `is_tiled`.
        engine: Runs the network.
    """
    source = pictures.source
    tiler = Tiler(engine, pipeline)

    def outputs(sample: Sample) -> OutputBatch:
        raster = _Middle.of(source.open(sample, pictures.limits).raster)
        joined: dict[str, NDArray[np.float32]] = {}
        for top, band in tiler.bands(raster, task.core_outputs):
            for name, maps in band.items():
                if name not in joined:
                    size = (1, len(maps), raster.height, raster.width)
                    joined[name] = np.empty(size, np.float32)
                joined[name][0, :, top : top + maps.shape[1]] = maps
        return joined, [pipeline.frame(raster.height, raster.width)]

    def target(sample: Sample) -> Any:
        mask = source.mask(sample)
        top, left, height, width = _middle(*mask.shape)
        part = mask[top : top + height, left : left + width]
        return task.parse_target(source.classes, part)

    return Computed(pictures.val, outputs), Computed(pictures.val, target)


@final
class Computed(Sequence[T], Generic[T]):
    """A sequence whose items are computed each time they are read, so that none is kept.

    Args:
        samples: One for each item.
        compute: Makes an item of a sample.
    """

    def __init__(self, samples: Sequence[Sample], compute: Callable[[Sample], T]) -> None:
        self._samples = samples
        self._compute = compute

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        """Compute an item."""
        if isinstance(index, slice):
            return Computed(self._samples[index], self._compute)
        return self._compute(self._samples[index])


@final
@dataclass(frozen=True, slots=True)
class _Middle:
    """The middle of a raster: at most `_WINDOW_SIDE` pixels a side."""

    whole: Raster
    top: int
    left: int
    height: int
    width: int

    @classmethod
    def of(cls, raster: Raster) -> _Middle:
        return cls(raster, *_middle(raster.height, raster.width))

    def read(self, top: int, left: int, height: int, width: int) -> Image:
        return self.whole.read(self.top + top, self.left + left, height, width)


def _middle(rows: int, columns: int) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the middle of a picture."""
    height, width = min(rows, _WINDOW_SIDE), min(columns, _WINDOW_SIDE)
    return (rows - height) // 2, (columns - width) // 2, height, width
