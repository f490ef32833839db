"""Answer pictures of any size tile by tile, with the memory of a band of rows.

Overlapping tiles are averaged with Gaussian weights, because the network sees the most context in
the middle of a tile: nnU-Net: a self-configuring method for deep learning-based biomedical image
segmentation, 2021, https://doi.org/10.1038/s41592-020-01008-z. Deviation: tiles lie on a grid, so
the weights are normalised to sum to one along each side in advance; no map of weights is needed,
and a picture of one tile keeps the exact values of the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, product
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.machine import read_ahead
from foveal.pipeline import Flips, Pipeline
from foveal.predict.engine import Engine
from foveal.types import Outputs, Raster
from foveal.windows import read_window, scaled, step_of

# Axes (0 rows, 1 columns) that each run of a tile is mirrored along.
_MIRRORS: Mapping[Flips, tuple[tuple[int, ...], ...]] = {
    "none": ((),),
    "horizontal": ((), (1,)),
    "all": ((), (1,), (0,), (0, 1)),
}
# Sigma of the weight as a share of the tile's side, nnU-Net's. The rim lies four sigma from the
# middle, where the weight is exp(-8) = 3e-4: no pixel is left without any.
_SIGMA_SHARE = 1 / 8
# Values of a map in one band handed on (32 MB): bounds what the receiver computes from it.
_BAND_VALUES = 1 << 23

_Place = tuple[int, int]
_Batch = tuple[list[_Place], NDArray[np.uint8]]


@final
class Tiler:
    """Runs a network over pictures of any size. Thread-safe.

    Args:
        engine: Runs the network on tiles of the pipeline's height and width.
        pipeline: One that `is_tiled`.
        batch_size: Tiles in one run of the network.
    """

    def __init__(self, engine: Engine, pipeline: Pipeline, *, batch_size: int = 4) -> None:
        self._engine = engine
        self._pipeline = pipeline
        self._batch_size = batch_size
        self._size = (pipeline.height, pipeline.width)

    def bands(
        self, raster: Raster, names: Sequence[str], *, each: TileValues | None = None
    ) -> Iterator[tuple[int, Outputs]]:
        """Yield the network's joined maps of a picture from top to bottom.

        Memory use per channel is the height of a tile times the width of the picture, whatever its
        height.

        Args:
            raster: The picture. One smaller than a tile is continued by its mirror image.
            names: Outputs of the network, each (N, C, h, w) over the tile.
            each: Receives an output with one value per tile.

        Yields:
            The first row of the band, and each output as (C, rows, W) float32, all in original
            pixels. Bands are contiguous and do not overlap; arrays are valid until the next one.

        Raises:
            ImageError: If a part of the picture is damaged.
        """
        small = scaled(raster, self._pipeline.scale)
        bands = self._bands(small, names, each)
        if small is raster:
            return bands
        return _enlarged_bands(bands, step_of(self._pipeline.scale), (raster.height, raster.width))

    def _bands(
        self, raster: Raster, names: Sequence[str], each: TileValues | None
    ) -> Iterator[tuple[int, Outputs]]:
        """Yield the joined maps of a picture at the scale of the model input."""
        rows = _Axis.of(raster.height, self._size[0], self._pipeline.overlap)
        columns = _Axis.of(raster.width, self._size[1], self._pipeline.overlap)
        # What is handed on is that much larger in original pixels.
        band = _Band(rows, columns, int(_BAND_VALUES / step_of(self._pipeline.scale) ** 2))
        row = 0
        # The next tiles are cut while the network runs, and it runs while these maps are joined and
        # decided on.
        cut = partial(self._cut, raster, rows, columns)
        run = partial(self._answer, names, each)
        with (
            closing(read_ahead(cut, self._places(rows, columns), workers=1, ahead=1)) as batches,
            closing(read_ahead(run, batches, workers=1, ahead=1)) as answers,
        ):
            for places, outputs in answers:
                for k, (i, j) in enumerate(places):
                    if i != row:
                        yield from band.finish_row(row)
                        row = i
                    for name in names:
                        band.add(name, i, j, _resized(outputs[name][k], self._size))
                # Not kept while the next are waited for.
                del outputs
        yield from band.finish_row(row)

    def _places(self, rows: _Axis, columns: _Axis) -> Iterator[list[_Place]]:
        """Yield batches of tiles in reading order; one may reach into the next row of tiles."""
        places = product(range(len(rows.starts)), range(len(columns.starts)))
        while batch := list(islice(places, self._batch_size)):
            yield batch

    def _cut(self, raster: Raster, rows: _Axis, columns: _Axis, batch: list[_Place]) -> _Batch:
        inputs = np.empty((len(batch), *self._size, 3), np.uint8)
        for tile, (i, j) in zip(inputs, batch, strict=True):
            tile[:] = read_window(raster, rows.starts[i], columns.starts[j], *self._size)
        return batch, inputs

    def _answer(
        self, names: Sequence[str], each: TileValues | None, batch: _Batch
    ) -> tuple[list[_Place], Outputs]:
        places, inputs = batch
        return places, self._run(inputs, names, each)

    def _run(
        self, inputs: NDArray[np.uint8], names: Sequence[str], each: TileValues | None
    ) -> Outputs:
        """Run the network on tiles, also flipped if the pipeline says so; return the means."""
        if each is None:
            first = self._engine.run(inputs, names)
        else:
            first = self._engine.run(inputs, [*names, each.name])
            each.values.extend(first[each.name].tolist())
        mirrors = _MIRRORS[self._pipeline.flips]
        if len(mirrors) == 1:
            return first
        means = {name: first[name].copy() for name in names}
        for axes in mirrors[1:]:
            # (N, H, W, 3) in, (N, C, h, w) out.
            mirrored = np.flip(inputs, tuple(axis + 1 for axis in axes))
            outputs = self._engine.run(np.ascontiguousarray(mirrored), names)
            for name, mean in means.items():
                mean += np.flip(outputs[name], tuple(axis + 2 for axis in axes))
        for mean in means.values():
            mean /= len(mirrors)
        return means


@final
@dataclass(frozen=True, slots=True)
class TileValues:
    """An output of the network with one value per tile, without flips.

    Attributes:
        name: Its output, (N,) float32.
        values: Values of the tiles, in reading order; complete after the last band.
    """

    name: str
    values: list[float] = field(default_factory=list)


@final
@dataclass(frozen=True, slots=True)
class _Axis:
    """The windows along one side of a picture.

    Attributes:
        length: Length of the scaled picture, in pixels.
        starts: First pixel of each window; the last window ends at the edge.
        weights: Weights of each window, float32 over its pixels inside the picture. At every pixel,
            the weights of all windows that cover it sum to 1.
    """

    length: int
    starts: tuple[int, ...]
    weights: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, length: int, window: int, overlap: float) -> _Axis:
        """Place windows evenly, neighbours sharing at least `overlap` of a window."""
        excess = max(0, length - window)
        step = max(1, int(window * (1 - overlap)))
        last = -(-excess // step)
        starts = tuple(i * excess // last for i in range(last + 1)) if last else (0,)
        distance = np.arange(window) - (window - 1) / 2
        bell = np.exp(-0.5 * (distance / (_SIGMA_SHARE * window)) ** 2)[:length]
        total = np.zeros(length)
        for start in starts:
            total[start : start + window] += bell
        # One window alone divides by itself: exactly 1.
        weights = tuple(
            (bell / total[start : start + window]).astype(np.float32) for start in starts
        )
        return cls(length, starts, weights)


@final
class _Band:
    """The rows of the picture that tiles are still added to, as sums of maps times weights."""

    def __init__(self, rows: _Axis, columns: _Axis, values: int) -> None:
        self._rows, self._columns, self._values = rows, columns, values
        self._sums: dict[str, NDArray[np.float32]] = {}
        size = (len(rows.weights[0]), len(columns.weights[0]))
        self._weight = np.empty(size, np.float32)
        self._product = np.empty(size, np.float32)

    def add(self, name: str, i: int, j: int, maps: NDArray[np.float32]) -> None:
        """Add the maps of the tile in row i and column j, (C, height, width) float32."""
        height, width = self._weight.shape
        if name not in self._sums:
            self._sums[name] = np.zeros((len(maps), height, self._columns.length), np.float32)
        np.multiply(
            self._rows.weights[i][:, None], self._columns.weights[j][None], out=self._weight
        )
        left = self._columns.starts[j]
        # Channel by channel the product stays in the processor's cache.
        for channel, total in zip(maps, self._sums[name][:, :, left : left + width], strict=True):
            np.multiply(channel[:height, :width], self._weight, out=self._product)
            total += self._product

    def finish_row(self, i: int) -> Iterator[tuple[int, Outputs]]:
        """Yield what no tile after row i of the grid touches, and move on to the next row."""
        starts = self._rows.starts
        top = starts[i]
        done = (starts[i + 1] if i + 1 < len(starts) else self._rows.length) - top
        most = max(sums.shape[0] * sums.shape[2] for sums in self._sums.values())
        step = max(1, self._values // most)
        for first in range(0, done, step):
            end = min(done, first + step)
            yield top + first, {name: sums[:, first:end] for name, sums in self._sums.items()}
        for sums in self._sums.values():
            height = sums.shape[1]
            # In pieces that do not overlap, or numpy would copy the whole band aside.
            for first in range(done, height, done):
                end = min(height, first + done)
                sums[:, first - done : end - done] = sums[:, first:end]
            sums[:, height - done :] = 0.0


def _enlarged_bands(
    bands: Iterator[tuple[int, Outputs]], step: float, size: tuple[int, int]
) -> Iterator[tuple[int, Outputs]]:
    """Yield bands of a scaled picture in original pixels, interpolated between its rows.

    Args:
        bands: First row and maps, (C, rows, W), from top to bottom.
        step: Original pixels per pixel of the scaled picture, see `foveal.windows`.
        size: Height and width of the original.
    """
    height, width = size
    rows = math.ceil(height / step)
    kept: dict[str, NDArray[np.float32]] = {}
    first, top = 0, 0
    for start, outputs in bands:
        joined = {
            name: np.concatenate([kept[name], maps], axis=1) if kept else maps
            for name, maps in outputs.items()
        }
        below = start + next(iter(outputs.values())).shape[1]
        # A row is interpolated with the one below it, which the next band may have.
        end = height if below == rows else int((below - 1) * step)
        if end > top:
            box = (0.0, top / step - first, width / step, end / step - first)
            yield top, {n: _resized(m, (end - top, width), box) for n, m in joined.items()}
            top = end
        unused = max(0, int(top / step) - 1 - first)
        kept = {name: maps[:, unused:].copy() for name, maps in joined.items()}
        first += unused


def _resized(
    maps: NDArray[np.float32],
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.float32]:
    """Return (C, h, w) maps, or a box of them, at (height, width) `size`."""
    if maps.shape[1:] == size and box is None:
        return maps
    large = np.empty((len(maps), *size), np.float32)
    for channel, target in zip(maps, large, strict=True):
        image = PILImage.fromarray(np.ascontiguousarray(channel, np.float32))
        target[:] = np.asarray(image.resize(size[::-1], PILImage.Resampling.BILINEAR, box=box))
    return large
