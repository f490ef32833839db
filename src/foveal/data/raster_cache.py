"""Every picture with its mask, decoded once, at the scale of the model input, in raw files.

Pictures keep their own sizes and are written and read in rows, so that one of any size takes the
memory of a band of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.console import Progress
from foveal.data.cache_folder import is_whole, read_pipeline, whole_folder
from foveal.data.decode import DecodeLimits
from foveal.data.raster_writer import MASKS, PIXELS, ROWS, write_all
from foveal.data.scan import Scan
from foveal.data.source import Source
from foveal.pipeline import Pipeline
from foveal.types import IGNORED, Image, Mask
from foveal.windows import mirrored

# Another number is another version of foveal, and the cache is made anew.
_LAYOUT = "rasters-2"


@final
class RasterCache:
    """The decoded pictures and masks of a source; made by `build` or `open`.

    May be read from threads.

    Attributes:
        directory: Where it is.
        pipeline: Its `scale` was applied.
        scan: What was learnt by decoding them.
        sizes: (N, 2) int64, height and width at that scale; 0 for what could not be read.
        pixels: (N, C) int64, how many pixels of each of the source's classes.
    """

    def __init__(self, directory: Path, pipeline: Pipeline, scan: Scan) -> None:
        self.directory = directory
        self.pipeline = pipeline
        self.scan = scan
        with np.load(directory / ROWS, allow_pickle=False) as rows:
            self.sizes: NDArray[np.int64] = rows["sizes"]
            self.pixels: NDArray[np.int64] = rows["pixels"]
            self._places: NDArray[np.int32] = rows["places"]
        areas = self.sizes.prod(axis=1)
        self._starts = np.cumsum(areas) - areas
        self._is_open = True

    @classmethod
    def build(
        cls,
        source: Source,
        pipeline: Pipeline,
        directory: Path,
        limits: DecodeLimits,
        *,
        workers: int,
        progress: Progress,
    ) -> RasterCache:
        """Decode every labelled sample of a source.

        What cannot be read has no place in the files; it is an error in the scan. The directory
        appears only when it is whole.

        Args:
            source: The pictures and masks.
            pipeline: Gives the scale.
            directory: Where to write; replaced.
            limits: Limits for files and pictures that are decoded whole.
            workers: Threads that decode.
            progress: Told how many are done.

        Raises:
            DataError: When the disk has not enough room.
        """
        with whole_folder(directory, pipeline, _LAYOUT) as temporary:
            write_all(source, pipeline.scale, temporary, limits, workers=workers, progress=progress)
        return cls.open(directory)

    @classmethod
    def is_complete(cls, directory: Path) -> bool:
        """Tell whether `build` has finished there, in this version's layout."""
        return is_whole(directory, _LAYOUT)

    @classmethod
    def open(cls, directory: Path) -> RasterCache:
        """Open what `build` made.

        Raises:
            DataError: When it is not whole.
        """
        return cls(directory, read_pipeline(directory, _LAYOUT), Scan.load(directory))

    def crop(self, index: int, top: int, left: int, height: int, width: int) -> tuple[Image, Mask]:
        """Return a window of a picture and of its mask.

        What lies outside the picture mirrors what lies inside, and is `IGNORED` in the mask.

        Args:
            index: Index of the sample.
            top: First row; may be negative.
            left: First column; may be negative.
            height: Rows.
            width: Columns.

        Returns:
            (height, width, 3) uint8 RGB, and (height, width) uint8 positions in the source's
            classes.
        """
        if not self._is_open:
            raise ValueError("the cache is closed")
        rows, columns = (int(side) for side in self.sizes[index])
        ys = mirrored(np.arange(top, top + height), rows)
        xs = mirrored(np.arange(left, left + width), columns)
        first, end = int(ys.min()), int(ys.max()) + 1
        start = int(self._starts[index]) + first * columns
        count = (end - first) * columns
        pixels = self._read(PIXELS, 3 * start, 3 * count).reshape(-1, columns, 3)
        mask = self._read(MASKS, start, count).reshape(-1, columns)
        if top >= 0 and left >= 0 and top + height <= rows and left + width <= columns:
            inside = (slice(None), slice(left, left + width))
            return np.ascontiguousarray(pixels[inside]), np.ascontiguousarray(mask[inside])
        window, truth = pixels[ys - first][:, xs], mask[ys - first][:, xs]
        truth[: max(0, -top)] = IGNORED
        truth[max(0, rows - top) :] = IGNORED
        truth[:, : max(0, -left)] = IGNORED
        truth[:, max(0, columns - left) :] = IGNORED
        return window, truth

    def place(self, index: int, label: int, draw: float) -> tuple[int, int] | None:
        """Return row and column of some pixel of a class, or None where the picture has none.

        Args:
            index: Index of the sample.
            label: Position in the source's classes.
            draw: In [0, 1); says which of the remembered places.
        """
        known = min(self._places.shape[2], int(self.pixels[index, label]))
        if not known:
            return None
        row, column = self._places[index, label, int(draw * known)]
        return int(row), int(column)

    def close(self) -> None:
        """Refuse further reading, so that the directory may be removed."""
        self._is_open = False

    def _read(self, name: str, start: int, count: int) -> NDArray[np.uint8]:
        values = np.empty(count, np.uint8)
        # A handle of its own for each call, so that threads do not move each other's position.
        with (self.directory / name).open("rb", buffering=0) as file:
            file.seek(start)
            if file.readinto(values.data) != count:
                raise OSError(f"{self.directory / name} ends too early")
        return values
