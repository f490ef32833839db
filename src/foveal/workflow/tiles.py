"""Units of large pictures with masks: random crops to train on, tiles to validate and prove on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, final, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveal.data.raster_cache import RasterCache
from foveal.data.source import Sample
from foveal.export.prove import ProofBatch
from foveal.predict.engine import Engine
from foveal.predict.tiles import Tiler
from foveal.render import contact_sheet, encode_png
from foveal.tasks.base import OutputBatch, Task
from foveal.tasks.training import TaskTraining
from foveal.train.augmentation import Augmenter
from foveal.train.crops import CropLoader, CropPlan, Window, as_batch, grid, tile_batches
from foveal.train.data import Loader, as_weights
from foveal.train.records import Measured, Validate, forward_all
from foveal.types import IGNORED, Calibration, Frame, Image, Picture, Raster
from foveal.workflow.prepare import TRAIN, VAL, Prepared
from foveal.workflow.sources import limits_of
from foveal.workflow.units import Setting, Units

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Pixels of the tiles that are run together without gradients.
_BATCH_PIXELS = 1 << 20
# Calibration looks at this much of a picture, the evaluation at all of it.
_WINDOW_SIDE = 4096
_SHEET_PICTURES = 12
_SHEET_SIDE = 288


@final
class TileUnits(Units):
    """Crops and tiles of the pictures of a source with masks.

    Args:
        prepared: The data.
        cache: Its pictures and masks.
    """

    def __init__(self, prepared: Prepared, cache: RasterCache) -> None:
        self._prepared = prepared
        self._cache = cache
        pipeline, labels = prepared.pipeline, prepared.task.labels
        self._size = (pipeline.height, pipeline.width)
        self._batch = max(1, _BATCH_PIXELS // (pipeline.height * pipeline.width))
        positions = [labels.index(name) for name in prepared.source.classes]
        self._labels = np.full(256, IGNORED, np.uint8)
        for i, position in enumerate(positions):
            if position is not None:
                self._labels[i] = position
        self._positions = positions

    def targets_of_training(self, training: TaskTraining) -> dict[str, Tensor]:
        """Return `pixels`, (n, C) float32: how much of each class each picture holds."""
        found = self._cache.pixels[self._prepared.indices(TRAIN)]
        pixels = np.zeros((len(found), len(self._prepared.task.labels)), np.float32)
        for column, position in zip(found.T, self._positions, strict=True):
            if position is not None:
                pixels[:, position] += column
        return {"pixels": torch.from_numpy(pixels)}

    def loader(self, setting: Setting, sample_weights: Tensor | None) -> Loader:
        """Return random crops of the training split."""
        prepared = self._prepared
        indices = prepared.indices(TRAIN)
        totals = self._cache.pixels[indices].sum(axis=0)
        known = [i for i, position in enumerate(self._positions) if position is not None]
        rare = tuple(i for i in known if totals[i] and i != int(totals.argmax()))
        plan = CropPlan(
            indices=indices,
            size=self._size,
            batch_size=setting.options.batch_size or 1,
            labels=self._labels,
            rare=rare,
            foreground=setting.options.foreground,
            seed=prepared.recipe.seed,
        )
        own = prepared.weights[indices]
        return CropLoader(
            self._cache,
            plan,
            Augmenter(setting.options.augment, prepared.pipeline.pad_color),
            weights=as_weights(sample_weights),
            device=setting.device,
            own_weights=None if np.all(own == 1.0) else own,
        )

    def validation(self, setting: Setting) -> Validate:
        """Return what measures a network on the tiles of the validation split."""
        return TileValidation(self._prepared.task, self._tiles, self._windows(), setting)

    def proofs(self) -> Iterator[ProofBatch]:
        """Yield the tiles of the validation split."""
        windows = iter(self._windows())
        frame = Frame(self._size, self._size, (1.0, 1.0), (0.0, 0.0))
        for pixels, _ in self._tiles():
            taken = [next(windows) for _ in pixels]
            names = [self._prepared.source.samples[w.index].id for w in taken]
            ids = [f"{name} at {w.left},{w.top}" for name, w in zip(names, taken, strict=True)]
            yield ProofBatch(ids, pixels, [frame] * len(pixels))

    def to_calibrate(
        self, engine: Engine, proven: Iterable[OutputBatch]
    ) -> tuple[Iterable[OutputBatch], Sequence[Any]]:
        """Return the joined maps of the validation pictures, computed each time they are read.

        The tiles of the proof do not overlap, and joined maps may be larger than the pictures.
        """
        logger.info("calibration answers the validation pictures once more: maps are not kept")
        prepared = self._prepared
        samples = [prepared.source.samples[i] for i in prepared.indices(VAL)]
        task, limits = prepared.task, limits_of(prepared.recipe)
        tiler = Tiler(engine, prepared.pipeline)

        def outputs(sample: Sample) -> OutputBatch:
            raster = _Middle.of(prepared.source.open(sample, limits).raster)
            joined: dict[str, NDArray[np.float32]] = {}
            for top, band in tiler.bands(raster, task.core_outputs):
                for name, maps in band.items():
                    if name not in joined:
                        size = (1, len(maps), raster.height, raster.width)
                        joined[name] = np.empty(size, np.float32)
                    joined[name][0, :, top : top + maps.shape[1]] = maps
            return joined, [prepared.pipeline.frame(raster.height, raster.width)]

        def target(sample: Sample) -> Any:
            mask = prepared.source.mask(sample)
            top, left, height, width = _middle(*mask.shape)
            part = mask[top : top + height, left : left + width]
            return task.parse_target(prepared.source.classes, part)

        return Computed(samples, outputs), Computed(samples, target)

    def write_sheet(self, path: Path) -> None:
        """Write some training pictures with their masks drawn on them."""
        prepared = self._prepared
        indices = prepared.indices(TRAIN)
        step = max(1, len(indices) // _SHEET_PICTURES)
        images, captions = [], []
        for index in indices[::step][:_SHEET_PICTURES].tolist():
            rows, columns = (int(side) for side in self._cache.sizes[index])
            top, left, height, width = _middle(rows, columns, 2 * _SHEET_SIDE)
            pixels, mask = self._cache.crop(index, top, left, height, width)
            truth = prepared.task.parse_target(prepared.source.classes, mask)
            images.append(prepared.task.draw_target(Picture.from_array(pixels), truth))
            captions.append(prepared.source.samples[index].id)
        sheet = contact_sheet(images, captions, columns=4, cell=_SHEET_SIDE)
        path.write_bytes(encode_png(sheet))

    def _windows(self) -> list[Window]:
        return grid(self._cache.sizes, self._prepared.indices(VAL).tolist(), self._size)

    def _tiles(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        return tile_batches(self._cache, self._windows(), self._size, self._labels, self._batch)


@final
class TileValidation:
    """A `Validate` of the trainer that adds the tiles' rows up to those of their pictures.

    Args:
        task: Decodes and measures; its rows are sums.
        tiles: Gives tiles and masks in order, each time it is called.
        windows: Where the tiles are, in the same order.
        setting: Gives loss, device and precision.
    """

    def __init__(
        self,
        task: Task,
        tiles: Callable[[], Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]],
        windows: Sequence[Window],
        setting: Setting,
    ) -> None:
        self._task = task
        self._tiles = tiles
        self._windows = windows
        self._setting = setting
        # The plain loss, so that epochs compare however hard training is made.
        self._options = replace(setting.options, label_smoothing=0.0)

    def __call__(self, model: nn.Module) -> Measured:
        """Return the task's metrics over the pictures, and the mean loss of a tile as `loss`."""
        setting = self._setting
        sums: dict[int, NDArray[np.float64]] = {}
        total, done = torch.zeros(()), 0
        model.eval()
        with torch.inference_mode():
            for pixels, masks in self._tiles():
                inputs, targets = as_batch(pixels, masks, setting.device)
                with setting.precision.autocast():
                    outputs = forward_all(model, inputs)
                outputs = {name: value.float() for name, value in outputs.items()}
                losses = setting.training.losses(outputs, targets, self._options, None)
                total += losses["loss"].cpu() * len(pixels)
                for row in self._rows(outputs, masks):
                    index = self._windows[done].index
                    sums[index] = sums[index] + row if index in sums else row
                    done += 1
        metrics = self._task.summarise(np.stack(list(sums.values())))
        return Measured({**metrics, "loss": float(total) / done})

    def _rows(
        self, outputs: dict[str, Tensor], masks: NDArray[np.uint8]
    ) -> Iterator[NDArray[np.float64]]:
        task, size = self._task, masks.shape[1:]
        frame = Frame((size[0], size[1]), (size[0], size[1]), (1.0, 1.0), (0.0, 0.0))
        arrays = {name: outputs[name].cpu().numpy() for name in task.core_outputs}
        predictions = task.decode(arrays, [frame] * len(masks), Calibration())
        for prediction, mask in zip(predictions, masks, strict=True):
            yield task.measure(prediction, mask)


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


def _middle(rows: int, columns: int, side: int = _WINDOW_SIDE) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the middle of a picture."""
    height, width = min(rows, side), min(columns, side)
    return (rows - height) // 2, (columns - width) // 2, height, width
