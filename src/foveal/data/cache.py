"""The cache: all decoded pictures in one file of raw uint8, and their masks in another.

An ordinary picture is kept as its model input: it is one window. A tiled one is kept at the scale
of the model input, at its own size, and read by windows. Windows are read when they are asked for,
not mapped: mapped pages would count as the process's memory, which shall not grow with the data.
"""

from __future__ import annotations

import json
from concurrent.futures import Executor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.atomic import atomic_path
from foveal.console import Progress
from foveal.data.cache_writer import FRAMES, MASKS, PIXELS, ROWS, write_all
from foveal.data.decode import DecodeLimits
from foveal.data.scan import Scan
from foveal.data.source import Source
from foveal.errors import DataError
from foveal.pipeline import Pipeline
from foveal.types import IGNORED, Frame, Piece
from foveal.windows import mirrored

_HEADER = "header.json"
# Another number is another version of foveal, and the cache is made anew.
_LAYOUT = "windows-2"


@final
@dataclass(frozen=True, slots=True)
class Windows:
    """A batch of windows of one size.

    Attributes:
        samples: (n,) int64, positions of the samples.
        tops: (n,) int64, first rows; may be negative.
        lefts: (n,) int64, first columns; may be negative.
        size: Height and width in pixels, of all of them.
    """

    samples: NDArray[np.int64]
    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]
    size: tuple[int, int]

    @classmethod
    def whole(cls, samples: NDArray[np.int64], size: tuple[int, int]) -> Windows:
        """Return windows at the upper left corner."""
        zeros = np.zeros(len(samples), np.int64)
        return cls(samples, zeros, zeros, size)

    def at(self, positions: NDArray[np.int64]) -> Windows:
        """Return some of the windows."""
        return Windows(
            self.samples[positions], self.tops[positions], self.lefts[positions], self.size
        )

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.samples)


@final
class Cache:
    """The decoded pictures of a source, created by `build` or `open`. Thread-safe.

    Attributes:
        directory: Where it is.
        pipeline: Pre-processing of the pictures; of a tiled one only `scale`.
        scan: Scan of the same samples, made while decoding.
        sizes: (N, 2) int64, height and width of what is kept; 0 for unreadable pictures.
        pixels: (N, C) int64, how many pixels of each of the source's classes; no columns where it
            has no masks.
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
        self._frames = _load_frames(directory) if pipeline.steps else None
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
        side: int | None = 0,
        pool: Executor | None = None,
        measured: bool = True,
    ) -> Cache:
        """Decode all samples of a source, or all labelled ones if it has masks.

        What cannot be read has no place in the files; it is an error in the scan. The directory
        appears only when it is whole.

        Args:
            source: The pictures, and their masks if it has any.
            pipeline: Brings them to the model input, or for tiles to its scale.
            directory: Where to write; replaced.
            limits: Limits of files and of pictures that are decoded whole.
            workers: Threads or processes that decode.
            progress: Told how many are done.
            side: Shorter side in pixels that decoding keeps for the measures, although the pipeline
                needs less; None for every pixel.
            pool: Draws pictures, see `machine.over_cores`; those of files are decoded in threads.
            measured: Whether the scan gets digests, fingerprints and measures of the pictures,
                which take a third of the time to draw and cut a page.

        Raises:
            DataError: If the disk has not enough room.
        """
        with atomic_path(directory) as temporary:
            temporary.mkdir(parents=True)
            write_all(
                source,
                pipeline,
                temporary,
                limits,
                workers=workers,
                pool=pool,
                progress=progress,
                decode_size=_enlarged(pipeline.decode_size, side),
                measured=measured,
            )
            header = {"layout": _LAYOUT, "pipeline": pipeline.to_json()}
            (temporary / _HEADER).write_text(json.dumps(header), encoding="utf-8")
        return cls.open(directory)

    @classmethod
    def is_complete(cls, directory: Path) -> bool:
        """Return whether `build` has completed there, in the layout of this version."""
        return _header(directory) is not None

    @classmethod
    def open(cls, directory: Path) -> Cache:
        """Open a cache that `build` created.

        Raises:
            DataError: If it is not whole.
        """
        header = _header(directory)
        if header is None:
            raise DataError(f"There is no complete cache in {directory}.")
        return cls(directory, Pipeline.from_json(header["pipeline"]), Scan.load(directory))

    def whole(self, samples: NDArray[np.int64]) -> Windows:
        """Return the windows that hold the model inputs, all as wide as the widest."""
        width = self.pipeline.width
        if self.pipeline.is_ragged:
            width = int(self.sizes[samples, 1].max(initial=1))
        return Windows.whole(samples, (self.pipeline.height, width))

    def read(self, windows: Windows) -> NDArray[np.uint8]:
        """Return (n, height, width, 3) uint8 RGB.

        What lies beyond a picture is its mirror image where it is tiled, else the filling of the
        pipeline; unreadable pictures are nothing but filling.
        """
        return self._read(PIXELS, windows, 3)

    def read_masks(self, windows: Windows) -> NDArray[np.uint8]:
        """Return (n, height, width) uint8 positions in the source's classes, `IGNORED` beyond."""
        masks = self._read(MASKS, windows, 1)[..., 0]
        sizes = self.sizes[windows.samples].tolist()
        for mask, (rows, columns), top, left in zip(
            masks, sizes, windows.tops.tolist(), windows.lefts.tolist(), strict=True
        ):
            mask[: max(0, -top)] = IGNORED
            mask[max(0, rows - top) :] = IGNORED
            mask[:, : max(0, -left)] = IGNORED
            mask[:, max(0, columns - left) :] = IGNORED
        return masks

    def place(self, index: int, label: int, draw: float) -> tuple[int, int] | None:
        """Return row and column of some pixel of a class, or None where the picture has none.

        Args:
            index: Position of the sample.
            label: Position in the source's classes.
            draw: In [0, 1); says which of the remembered places.
        """
        known = min(self._places.shape[2], int(self.pixels[index, label]))
        if not known:
            return None
        row, column = self._places[index, label, int(draw * known)]
        return int(row), int(column)

    def frames(self, windows: Windows) -> list[Frame]:
        """Return where the original, or for tiles the window itself, lies in each window."""
        if self.pipeline.is_tiled:
            return [self.pipeline.frame(*windows.size)] * len(windows)
        if self._frames is not None:
            return [self._frames[i] for i in windows.samples.tolist()]
        sizes = self.scan.sizes[windows.samples].tolist()
        return [self.pipeline.frame(height, width) for height, width in sizes]

    def columns(self, windows: Windows) -> NDArray[np.int64]:
        """Return (n,) int64: how many columns of each window the picture fills, then its padding.

        Only for ragged pipelines.
        """
        ends = [frame.box_in_input()[2] for frame in self.frames(windows)]
        return np.rint(np.array(ends, np.float64)).astype(np.int64)

    def close(self) -> None:
        """Close the files, so that the directory can be removed."""
        self._is_open = False

    def _read(self, name: str, windows: Windows, channels: int) -> NDArray[np.uint8]:
        if not self._is_open:
            raise ValueError("the cache is closed")
        height, width = windows.size
        batch = np.empty((len(windows), height, width, channels), np.uint8)
        places = zip(
            batch,
            self._starts[windows.samples].tolist(),
            self.sizes[windows.samples].tolist(),
            windows.tops.tolist(),
            windows.lefts.tolist(),
            strict=True,
        )
        # A handle of its own for each call, so that threads do not move each other's position.
        with (self.directory / name).open("rb", buffering=0) as file:
            for target, start, (rows, columns), top, left in places:
                if left == 0 and width == columns and 0 <= top <= rows - height:
                    _read_into(file, target, channels * (start + top * columns))
                elif not self.pipeline.is_tiled:
                    target[:] = self.pipeline.pad_color
                    part = np.empty((rows, columns, channels), np.uint8)
                    _read_into(file, part, channels * start)
                    target[:rows, :columns] = part
                elif 0 <= top <= rows - height and 0 <= left <= columns - width:
                    part = np.empty((height, columns, channels), np.uint8)
                    _read_into(file, part, channels * (start + top * columns))
                    target[:] = part[:, left : left + width]
                else:
                    ys = mirrored(np.arange(top, top + height), rows)
                    xs = mirrored(np.arange(left, left + width), columns)
                    first, end = int(ys.min()), int(ys.max()) + 1
                    part = np.empty((end - first, columns, channels), np.uint8)
                    _read_into(file, part, channels * (start + first * columns))
                    # Three times as fast as indexing with both.
                    target[:] = part.take(xs, axis=1).take(ys - first, axis=0)
        return batch


def _read_into(file: FileIO, values: NDArray[np.uint8], position: int) -> None:
    file.seek(position)
    if file.readinto(values.reshape(-1).data) != values.nbytes:
        raise OSError(f"{file.name!r} is truncated")


def _enlarged(size: tuple[int, int] | None, side: int | None) -> tuple[int, int] | None:
    """Return the size to ask of `decode`, which keeps twice as much."""
    if size is None or side is None:
        return None
    return max(size[0], -(-side // 2)), max(size[1], -(-side // 2))


def _header(directory: Path) -> dict[str, Any] | None:
    try:
        header = json.loads((directory / _HEADER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return header if isinstance(header, dict) and header.get("layout") == _LAYOUT else None


def _load_frames(directory: Path) -> list[Frame]:
    def frame(row: dict[str, Any] | None) -> Frame:
        if row is None:
            return Frame((0, 0), (0, 0), (1.0, 1.0), (0.0, 0.0))
        pairs = {k: tuple(row[k]) for k in ("original", "input", "scale", "offset")}
        pieces = tuple(Piece(**piece) for piece in row["pieces"])
        return Frame(**pairs, strip=row["strip"] and tuple(row["strip"]), pieces=pieces)

    return [frame(row) for row in json.loads((directory / FRAMES).read_text(encoding="utf-8"))]
