"""Write decoded pictures and masks in bands of rows, and note what they hold."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

import numpy as np

from foveal.console import Progress
from foveal.data.decode import DecodeLimits
from foveal.data.hashing import fingerprint
from foveal.data.scan import Scan
from foveal.data.source import Opened, Sample, Source
from foveal.errors import DataError, FovealError, ImageError
from foveal.machine import read_ahead
from foveal.types import IGNORED, Image, Mask, Raster
from foveal.windows import scaled, scaled_mask, step_of

PIXELS, MASKS, ROWS = "pixels.u8", "masks.u8", "rasters.npz"
# Rows that are in memory at once while a picture is written.
_BAND = 512
# Of a picture, as its fingerprint sees it.
_LOOK_SIDE = 512
# Places of each class that are remembered of each picture, for crops that shall hold the class:
# fewer of each where there are many pictures.
_PLACES, _FEWEST_PLACES, _ALL_PLACES = 1000, 50, 100_000


@final
@dataclass(frozen=True, slots=True)
class _Ready:
    opened: Opened
    mask: Mask


def write_all(
    source: Source,
    scale: float,
    directory: Path,
    limits: DecodeLimits,
    *,
    workers: int,
    progress: Progress,
) -> None:
    """Write the pictures and masks of all labelled samples, and what was learnt of them.

    Args:
        source: The pictures and masks.
        scale: Pixels written per original pixel, in (0, 1].
        directory: Gets the files.
        limits: Limits for files and pictures that are decoded whole.
        workers: Threads that decode.
        progress: Told how many are done.

    Raises:
        DataError: When the disk has not enough room.
    """
    writer = _Writer(source, scale, directory)
    progress.start("decode", len(source.samples))
    ready = partial(_ready, source, limits)
    # One ahead for each thread: each is a whole picture.
    with closing(read_ahead(ready, source.samples, workers=workers, ahead=workers)) as all_ready:
        for index, one in enumerate(all_ready):
            writer.put(index, one)
            progress.update(index + 1)
    progress.finish()
    writer.finish()


@final
class _Writer:
    """Writes the files of a cache, picture after picture."""

    def __init__(self, source: Source, scale: float, directory: Path) -> None:
        count, classes = len(source.samples), len(source.classes)
        self._scale = scale
        self._directory = directory
        self._scan = Scan.empty(count, directory)
        self._sizes = np.zeros((count, 2), np.int64)
        self._pixels = np.zeros((count, classes), np.int64)
        most = max(_FEWEST_PLACES, min(_PLACES, _ALL_PLACES // max(1, count)))
        self._places = np.zeros((count, classes, most, 2), np.int32)
        self._files = [(directory / name).open("wb") for name in (PIXELS, MASKS)]

    def put(self, index: int, ready: _Ready | FovealError) -> None:
        """Write the next picture; one that turns out to be damaged takes no room."""
        ends = [file.tell() for file in self._files]
        if not isinstance(ready, FovealError):
            try:
                self._write(index, ready)
                return
            except FovealError as error:
                ready = error
            for file, end in zip(self._files, ends, strict=True):
                file.seek(end)
                file.truncate()
        self._scan.errors[index] = (ready.error_code, ready.message)

    def finish(self) -> None:
        """Write what was learnt."""
        for file in self._files:
            file.close()
        self._scan.save(self._directory)
        arrays = {"sizes": self._sizes, "pixels": self._pixels, "places": self._places}
        np.savez_compressed(self._directory / ROWS, **arrays)  # type: ignore[arg-type]

    def _write(self, index: int, ready: _Ready) -> None:
        raster = ready.opened.raster
        original = (raster.height, raster.width)
        mask = scaled_mask(ready.mask, self._scale)
        height, width = mask.shape
        _check_room(4 * height * width, self._directory)
        step = max(1, max(height, width) // _LOOK_SIDE)
        look = []
        for top, band in _bands(raster, self._scale):
            self._files[0].write(band.data)
            # A copy: a view would keep every band of the picture in memory.
            look.append(band[-top % step :: step, ::step].copy())
        self._files[1].write(mask.data)
        self._sizes[index] = (height, width)
        self._count(index, mask)
        pixels = np.ascontiguousarray(np.concatenate(look))
        self._scan.put(index, ready.opened.digest, original, fingerprint(pixels))

    def _count(self, index: int, mask: Mask) -> None:
        """Note how often each class occurs, and where some of its pixels are."""
        counts = np.array(
            [np.bincount(b.reshape(-1), minlength=IGNORED + 1) for _, b in _rows(mask)], np.int64
        )[:, : self._pixels.shape[1]]
        totals = counts.sum(axis=0)
        self._pixels[index] = totals
        rng = np.random.default_rng(index)
        most = self._places.shape[2]
        for label in np.flatnonzero(totals):
            total = int(totals[label])
            wanted = np.sort(rng.integers(total, size=most)) if total > most else np.arange(total)
            ends = np.cumsum(counts[:, label])
            found = []
            for number, (top, band) in enumerate(_rows(mask)):
                here = wanted[(wanted >= ends[number] - counts[number, label])]
                here = here[here < ends[number]] - (ends[number] - counts[number, label])
                if len(here):
                    rows, columns = np.nonzero(band == label)
                    found.append(np.stack([rows[here] + top, columns[here]], 1))
            places = np.concatenate(found)
            # In no order of the picture, so that any part of them is spread over it.
            self._places[index, label, : len(places)] = rng.permutation(places)


def _rows(mask: Mask) -> Iterator[tuple[int, Mask]]:
    for top in range(0, mask.shape[0], _BAND):
        yield top, mask[top : top + _BAND]


def _bands(raster: Raster, scale: float) -> Iterator[tuple[int, Image]]:
    """Yield (top, rows) of a scaled picture from top to bottom."""
    small = scaled(raster, scale)
    # As many rows of the original, however small the scale.
    most = max(1, int(_BAND / step_of(scale)))
    for top in range(0, small.height, most):
        rows = min(most, small.height - top)
        yield top, np.ascontiguousarray(small.read(top, 0, rows, small.width))


def _check_room(needed: int, directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise DataError(
            f"The next decoded picture needs {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free "
            f"in {directory.parent}.",
            hint="--set pipeline.scale=0.5, or --out on another disk",
        )


def _ready(source: Source, limits: DecodeLimits, sample: Sample) -> _Ready | FovealError:
    if sample.raw is None:
        return ImageError("The picture has no mask.", code="unlabelled")
    try:
        opened = source.open(sample, limits)
        mask = source.mask(sample)
    except FovealError as error:
        return error
    size = (opened.raster.height, opened.raster.width)
    if mask.shape != size:
        return ImageError(
            f"The mask is {mask.shape[1]} x {mask.shape[0]} pixels, the picture "
            f"{size[1]} x {size[0]}.",
            hint="save the mask at the picture's own size",
            code="mask_size",
        )
    return _Ready(opened, mask)
