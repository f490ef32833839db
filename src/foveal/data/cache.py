"""Every picture decoded once, at the size of the model input, in one file of raw uint8.

Rows are read when they are asked for, not mapped: mapped pages would count as the process's
memory, which shall not grow with the data.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.console import Progress
from foveal.data.cache_folder import is_whole, read_pipeline, whole_folder
from foveal.data.decode import DecodeLimits
from foveal.data.hashing import Fingerprint, fingerprint
from foveal.data.scan import Scan
from foveal.data.source import Sample, Source
from foveal.errors import DataError, FovealError
from foveal.machine import over_cores, read_ahead
from foveal.pipeline import Pipeline
from foveal.types import Frame, Image, Piece

__all__ = ["Cache", "Scan"]

_PIXELS, _WIDTHS, _FRAMES = "pixels.u8", "widths.npy", "frames.json"
# Another number is another version of foveal, and the cache is made anew.
_LAYOUT = "rows-3"
# Pictures that one task of a thread decodes: small ones take less time than handing them over.
_CHUNK = 16
# Tasks that are in flight for each thread; more would only take memory.
_AHEAD = 3


@final
@dataclass(frozen=True, slots=True)
class _Decoded:
    pixels: Image
    digest: bytes
    look: Fingerprint
    frame: Frame


_Result: TypeAlias = _Decoded | FovealError


@final
class Cache:
    """The decoded pictures of a source; made by `build` or `open`. May be read from threads.

    Attributes:
        directory: Where it is.
        pipeline: What the pictures went through.
        scan: What was learnt by decoding them.
        widths: (N,) int32, of each model input in pixels; 0 for unreadable pictures.
    """

    def __init__(self, directory: Path, pipeline: Pipeline, scan: Scan) -> None:
        self.directory = directory
        self.pipeline = pipeline
        self.scan = scan
        self.widths: NDArray[np.int32] = np.load(directory / _WIDTHS, allow_pickle=False)
        column_bytes = pipeline.height * 3
        ends = np.cumsum(self.widths, dtype=np.int64) * column_bytes
        self._starts = ends - self.widths.astype(np.int64) * column_bytes
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
    ) -> Cache:
        """Decode every sample of a source.

        Unreadable pictures have no place in the file; they are errors in the scan. The directory
        appears only when it is whole.

        Args:
            source: The pictures.
            pipeline: Brings them to the model input.
            directory: Where to write; replaced.
            limits: Limits for files and pictures.
            workers: Threads that decode.
            progress: Told how many are done.

        Raises:
            DataError: When the disk has not enough room.
        """
        with whole_folder(directory, pipeline, _LAYOUT) as temporary:
            _check_room(len(source.samples), pipeline, directory)
            scan = _decode_all(source, pipeline, limits, temporary, workers, progress)
            scan.save(temporary)
        return cls.open(directory)

    @classmethod
    def is_complete(cls, directory: Path) -> bool:
        """Tell whether `build` has finished there, in this version's layout."""
        return is_whole(directory, _LAYOUT)

    @classmethod
    def open(cls, directory: Path) -> Cache:
        """Open what `build` made.

        Raises:
            DataError: When it is not whole.
        """
        return cls(directory, read_pipeline(directory, _LAYOUT), Scan.load(directory))

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (n, height, width, 3) uint8 RGB of the pictures at `indices`.

        The width is that of the widest; the others are filled on the right, and the unreadable
        are nothing but filling.
        """
        if not self._is_open:
            raise ValueError("the cache is closed")
        widths = self.widths[indices]
        pipeline = self.pipeline
        width = int(widths.max(initial=1)) if pipeline.is_ragged else pipeline.width
        height = pipeline.height
        batch = np.empty((len(indices), height, width, 3), np.uint8)
        # A handle of its own for each call, so that threads do not move each other's position.
        with (self.directory / _PIXELS).open("rb", buffering=0) as file:
            for row, index, own in zip(batch, indices.tolist(), widths.tolist(), strict=True):
                pixels = row if own == width else np.empty((height, own, 3), np.uint8)
                file.seek(int(self._starts[index]))
                if file.readinto(pixels.reshape(-1).data) != pixels.nbytes:
                    raise OSError(f"{self.directory / _PIXELS} ends within picture {index}")
                if own < width:
                    row[:, :own] = pixels
                    row[:, own:] = pipeline.pad_color
        return batch

    def batches(self, indices: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
        """Return the indices in parts of at most `size` pictures that are of one width each."""
        widths = self.widths[indices]
        parts: list[NDArray[np.int64]] = []
        for width in np.unique(widths):
            same = indices[widths == width]
            parts += [same[start : start + size] for start in range(0, len(same), size)]
        return parts

    def frames(self, indices: NDArray[np.int64]) -> list[Frame]:
        """Return where each original lies in its model input."""
        if self._frames is not None:
            return [self._frames[i] for i in indices.tolist()]
        return [self.pipeline.frame(int(h), int(w)) for h, w in self.scan.sizes[indices]]

    def close(self) -> None:
        """Refuse further reading, so that the directory may be removed."""
        self._is_open = False


def _check_room(count: int, pipeline: Pipeline, directory: Path) -> None:
    if pipeline.is_ragged:
        return  # Not known before they are decoded.
    needed = count * pipeline.height * pipeline.width * 3
    free = shutil.disk_usage(directory.parent).free
    if needed > free:
        raise DataError(
            f"The decoded pictures need {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free "
            f"in {directory.parent}.",
            hint="--image-size 64, or --out on another disk",
        )


def _decode_all(
    source: Source,
    pipeline: Pipeline,
    limits: DecodeLimits,
    directory: Path,
    workers: int,
    progress: Progress,
) -> Scan:
    count = len(source.samples)
    scan = Scan.empty(count, directory)
    widths = np.zeros(count, np.int32)
    frames: list[Frame | None] = []
    index = 0
    progress.start("decode", count)
    with (directory / _PIXELS).open("wb", buffering=1 << 20) as file:
        for chunk in _chunks(source, pipeline, limits, workers):
            for result in chunk:
                if isinstance(result, FovealError):
                    scan.errors[index] = (result.error_code, result.message)
                    frames.append(None)
                else:
                    scan.put(index, result.digest, result.frame.original, result.look)
                    file.write(result.pixels.data)
                    widths[index] = result.pixels.shape[1]
                    frames.append(result.frame if pipeline.steps else None)
                index += 1
            progress.update(index)
    progress.finish()
    np.save(directory / _WIDTHS, widths)
    if pipeline.steps:
        rows = [asdict(frame) if frame is not None else None for frame in frames]
        (directory / _FRAMES).write_text(json.dumps(rows), encoding="utf-8")
    return scan


def _load_frames(directory: Path) -> list[Frame]:
    def frame(row: dict[str, Any] | None) -> Frame:
        if row is None:
            return Frame((0, 0), (0, 0), (1.0, 1.0), (0.0, 0.0))
        pairs = {k: tuple(row[k]) for k in ("original", "input", "scale", "offset")}
        pieces = tuple(Piece(**piece) for piece in row["pieces"])
        return Frame(**pairs, strip=row["strip"] and tuple(row["strip"]), pieces=pieces)

    return [frame(row) for row in json.loads((directory / _FRAMES).read_text(encoding="utf-8"))]


def _work_all(
    source: Source, pipeline: Pipeline, limits: DecodeLimits, samples: Sequence[Sample]
) -> list[_Result]:
    results: list[_Result] = []
    for sample in samples:
        try:
            loaded = source.load(sample, limits, pipeline.decode_size)
            pixels, frame = pipeline.apply(loaded.picture)
        except FovealError as error:
            results.append(error)
        else:
            look = fingerprint(loaded.picture.pixels)
            results.append(_Decoded(pixels, loaded.digest, look, frame))
    return results


def _chunks(
    source: Source, pipeline: Pipeline, limits: DecodeLimits, workers: int
) -> Iterator[list[_Result]]:
    """Yield the results of all samples in order, some at a time, decoded side by side."""
    samples = source.samples
    # Without its samples, so that little is sent to another process.
    work_all = partial(_work_all, replace(source, samples=()), pipeline, limits)
    if source.holds_lock:
        for result in over_cores(work_all, samples, batch=_CHUNK, workers=workers):
            yield [result]
        return
    chunks = (samples[start : start + _CHUNK] for start in range(0, len(samples), _CHUNK))
    yield from read_ahead(work_all, chunks, workers=workers, ahead=workers * _AHEAD)
