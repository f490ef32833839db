"""Every picture decoded once, at the size of the model input, in one file of raw uint8.

Rows are read with `pread`, not mapped: mapped pages would count as the process's memory, which
shall not grow with the data set.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.console import Progress
from foveal.data.decode import DecodeLimits
from foveal.data.hashing import perceptual_hash, thumbnail
from foveal.data.source import DIGEST_BYTES, Sample, Source
from foveal.errors import DataError, FovealError
from foveal.pipeline import Pipeline
from foveal.types import Frame, Image

_PIXELS, _SCAN, _HEADER = "pixels.u8", "scan.npz", "header.json"
# Pictures that are decoded ahead of the writer, for each worker.
_AHEAD = 8
_REPORT_EVERY = 64


@final
@dataclass(frozen=True)
class Scan:
    """What was learnt by decoding all pictures once.

    Attributes:
        ok: (N,) bool, whether the picture could be decoded.
        digest: (N, 16) uint8, of the file's content.
        phash: (N,) uint64, perceptual hash.
        thumb: (N, 16, 16) uint8 grey, the second look at near-duplicates.
        sizes: (N, 2) int32, height and width of the originals; 0 where unreadable.
        errors: Position → (code, message) of the unreadable ones.
    """

    ok: NDArray[np.bool_]
    digest: NDArray[np.uint8]
    phash: NDArray[np.uint64]
    thumb: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    errors: dict[int, tuple[str, str]]


@final
@dataclass(frozen=True)
class _Decoded:
    pixels: Image
    digest: bytes
    phash: int
    thumb: NDArray[np.uint8]
    size: tuple[int, int]


@final
class Cache:
    """The decoded pictures of a source. Use `build` or `open`."""

    def __init__(self, directory: Path, pipeline: Pipeline, scan: Scan) -> None:
        """Open the file."""
        self.directory = directory
        self.pipeline = pipeline
        self.scan = scan
        self._row = pipeline.height * pipeline.width * 3
        self._descriptor: int | None = os.open(directory / _PIXELS, os.O_RDONLY)

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
        count = len(source.samples)
        temporary = directory.with_name(f".tmp-{directory.name}-{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        needed = count * pipeline.height * pipeline.width * 3
        free = shutil.disk_usage(temporary).free
        if needed > free:
            shutil.rmtree(temporary, ignore_errors=True)
            raise DataError(
                f"The decoded pictures need {needed / 1e9:.1f} GB; {free / 1e9:.1f} GB are free "
                f"at {directory.parent}.",
                hint="--image-size 64, or --out on another disk",
            )
        try:
            scan = _decode_all(source, pipeline, limits, temporary, workers, progress)
            _save_scan(temporary, scan, pipeline)
            shutil.rmtree(directory, ignore_errors=True)
            temporary.rename(directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls(directory, pipeline, scan)

    @classmethod
    def is_complete(cls, directory: Path) -> bool:
        """Tell whether `build` has finished there."""
        return (directory / _HEADER).is_file()

    @classmethod
    def open(cls, directory: Path) -> Cache:
        """Open what `build` made."""
        header = json.loads((directory / _HEADER).read_text(encoding="utf-8"))
        with np.load(directory / _SCAN, allow_pickle=False) as arrays:
            scan = Scan(
                **{name: arrays[name] for name in ("ok", "digest", "phash", "thumb", "sizes")},
                errors={int(k): (v[0], v[1]) for k, v in header["errors"].items()},
            )
        return cls(directory, Pipeline.from_json(header["pipeline"]), scan)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (n, height, width, 3) uint8 of the pictures at `indices`."""
        if self._descriptor is None:
            raise ValueError("the cache is closed")
        batch = np.empty((len(indices), *self.shape[1:]), np.uint8)
        view = memoryview(batch).cast("B")
        for row, index in enumerate(indices.tolist()):
            part = view[row * self._row : (row + 1) * self._row]
            if os.preadv(self._descriptor, [part], index * self._row) != self._row:
                raise OSError(f"{self.directory / _PIXELS} ends within picture {index}")
        return batch

    def frames(self, indices: NDArray[np.int64]) -> list[Frame]:
        """Return where each original lies in its model input."""
        return [self.pipeline.frame(int(h), int(w)) for h, w in self.scan.sizes[indices]]

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _decode_all(
    source: Source,
    pipeline: Pipeline,
    limits: DecodeLimits,
    directory: Path,
    workers: int,
    progress: Progress,
) -> Scan:
    count = len(source.samples)
    scan = Scan(
        ok=np.zeros(count, bool),
        digest=np.zeros((count, DIGEST_BYTES), np.uint8),
        phash=np.zeros(count, np.uint64),
        thumb=np.zeros((count, 16, 16), np.uint8),
        sizes=np.zeros((count, 2), np.int32),
        errors={},
    )
    empty = bytes(pipeline.height * pipeline.width * 3)
    progress.start("decode", count)
    with (directory / _PIXELS).open("wb", buffering=1 << 20) as file:
        for i, result in enumerate(_in_order(source, pipeline, limits, workers)):
            if isinstance(result, FovealError):
                scan.errors[i] = (result.error_code, result.message)
                file.write(empty)
            else:
                file.write(result.pixels.data)
                scan.ok[i], scan.sizes[i], scan.phash[i] = True, result.size, result.phash
                scan.digest[i] = np.frombuffer(result.digest, np.uint8)
                scan.thumb[i] = result.thumb
            if i % _REPORT_EVERY == 0:
                progress.update(i)
    progress.update(count)
    progress.finish()
    return scan


def _in_order(
    source: Source, pipeline: Pipeline, limits: DecodeLimits, workers: int
) -> Iterator[_Decoded | FovealError]:
    def work(sample: Sample) -> _Decoded | FovealError:
        try:
            loaded = source.load(sample, limits, (pipeline.height, pipeline.width))
        except FovealError as error:
            return error
        pixels, frame = pipeline.apply(loaded.picture)
        thumb = thumbnail(loaded.picture.pixels)
        return _Decoded(pixels, loaded.digest, perceptual_hash(thumb), thumb, frame.original)

    samples = iter(source.samples)
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        waiting: deque[Future[_Decoded | FovealError]] = deque()
        for sample in islice(samples, workers * _AHEAD):
            waiting.append(pool.submit(work, sample))
        while waiting:
            yield waiting.popleft().result()
            for sample in islice(samples, 1):
                waiting.append(pool.submit(work, sample))


def _save_scan(directory: Path, scan: Scan, pipeline: Pipeline) -> None:
    np.savez(
        directory / _SCAN,
        ok=scan.ok, digest=scan.digest, phash=scan.phash, thumb=scan.thumb, sizes=scan.sizes,
    )
    errors = {str(i): list(error) for i, error in scan.errors.items()}
    text = json.dumps({"pipeline": pipeline.to_json(), "errors": errors})
    (directory / _HEADER).write_text(text, encoding="utf-8")
