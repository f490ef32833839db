"""Every picture decoded once, at the size of the model input, in one file of raw uint8.

Rows are read when they are asked for, not mapped: mapped pages would count as the process's
memory, which shall not grow with the data.
"""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.console import Progress
from foveal.data.decode import DecodeLimits
from foveal.data.hashing import Fingerprint, fingerprint
from foveal.data.scan import Scan
from foveal.data.source import Sample, Source
from foveal.errors import DataError, FovealError
from foveal.pipeline import Pipeline
from foveal.types import Frame, Image

__all__ = ["Cache", "Scan"]

_PIXELS, _HEADER = "pixels.u8", "header.json"
# Of the files' layout: another number is another version of foveal, and the cache is made anew.
_VERSION = 1
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
    size: tuple[int, int]


_Result: TypeAlias = _Decoded | FovealError


@final
class Cache:
    """The decoded pictures of a source; made by `build` or `open`. May be read from threads.

    Attributes:
        directory: Where it is.
        pipeline: What the pictures went through.
        scan: What was learnt by decoding them.
    """

    def __init__(self, directory: Path, pipeline: Pipeline, scan: Scan) -> None:
        """Keep the parts."""
        self.directory = directory
        self.pipeline = pipeline
        self.scan = scan
        self._row_bytes = pipeline.height * pipeline.width * 3
        self._is_open = True

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return (N, height, width, 3)."""
        return len(self.scan.ok), self.pipeline.height, self.pipeline.width, 3

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

        Unreadable pictures are zeros in the file and errors in the scan. The directory appears
        only when it is whole.

        Args:
            source: The pictures.
            pipeline: Brings them to the model input.
            directory: Where to write; replaced.
            limits: Of files and pictures.
            workers: Threads that decode.
            progress: Told how many are done.

        Raises:
            DataError: When the disk has not enough room.
        """
        temporary = directory.with_name(f".tmp-{directory.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            _check_room(len(source.samples), pipeline, directory)
            scan = _decode_all(source, pipeline, limits, temporary, workers, progress)
            scan.save(temporary)
            header = {"version": _VERSION, "pipeline": pipeline.to_json()}
            (temporary / _HEADER).write_text(json.dumps(header), encoding="utf-8")
            shutil.rmtree(directory, ignore_errors=True)
            temporary.rename(directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls.open(directory)

    @classmethod
    def is_complete(cls, directory: Path) -> bool:
        """Tell whether `build` has finished there, in this version's layout."""
        try:
            header = json.loads((directory / _HEADER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(header, dict) and header.get("version") == _VERSION

    @classmethod
    def open(cls, directory: Path) -> Cache:
        """Open what `build` made.

        Raises:
            DataError: When it is not whole.
        """
        if not cls.is_complete(directory):
            raise DataError(f"There is no whole cache in {directory}.")
        header = json.loads((directory / _HEADER).read_text(encoding="utf-8"))
        return cls(directory, Pipeline.from_json(header["pipeline"]), Scan.load(directory))

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (n, height, width, 3) uint8 RGB of the pictures at `indices`."""
        if not self._is_open:
            raise ValueError("the cache is closed")
        batch = np.empty((len(indices), *self.shape[1:]), np.uint8)
        # A handle of its own for each call, so that threads do not move each other's position.
        with (self.directory / _PIXELS).open("rb", buffering=0) as file:
            for row, index in zip(batch, indices.tolist(), strict=True):
                file.seek(index * self._row_bytes)
                if file.readinto(row.reshape(-1).data) != self._row_bytes:
                    raise OSError(f"{self.directory / _PIXELS} ends within picture {index}")
        return batch

    def frames(self, indices: NDArray[np.int64]) -> list[Frame]:
        """Return where each original lies in its model input."""
        return [self.pipeline.frame(int(h), int(w)) for h, w in self.scan.sizes[indices]]

    def close(self) -> None:
        """Refuse further reading, so that the directory may be removed."""
        self._is_open = False


def _check_room(count: int, pipeline: Pipeline, directory: Path) -> None:
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
    empty = bytes(pipeline.height * pipeline.width * 3)
    index = 0
    progress.start("decode", count)
    with (directory / _PIXELS).open("wb", buffering=1 << 20) as file:
        for chunk in _chunks(source, pipeline, limits, workers):
            for result in chunk:
                if isinstance(result, FovealError):
                    scan.errors[index] = (result.error_code, result.message)
                    file.write(empty)
                else:
                    scan.put(index, result.digest, result.size, result.look)
                    file.write(result.pixels.data)
                index += 1
            progress.update(index)
    progress.finish()
    return scan


def _chunks(
    source: Source, pipeline: Pipeline, limits: DecodeLimits, workers: int
) -> Iterator[list[_Result]]:
    """Yield the results of all samples in order, some at a time, decoded by threads."""
    min_size = (pipeline.height, pipeline.width)

    def work(sample: Sample) -> _Result:
        try:
            loaded = source.load(sample, limits, min_size)
        except FovealError as error:
            return error
        pixels, frame = pipeline.apply(loaded.picture)
        look = fingerprint(loaded.picture.pixels)
        return _Decoded(pixels, loaded.digest, look, frame.original)

    def work_all(samples: Sequence[Sample]) -> list[_Result]:
        return [work(sample) for sample in samples]

    samples = source.samples
    chunks = (samples[start : start + _CHUNK] for start in range(0, len(samples), _CHUNK))
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        waiting: deque[Future[list[_Result]]] = deque()
        try:
            for chunk in islice(chunks, workers * _AHEAD):
                waiting.append(pool.submit(work_all, chunk))
            while waiting:
                yield waiting.popleft().result()
                for chunk in islice(chunks, 1):
                    waiting.append(pool.submit(work_all, chunk))
        finally:
            # After Ctrl-C nobody waits for what has not begun.
            for future in waiting:
                future.cancel()
