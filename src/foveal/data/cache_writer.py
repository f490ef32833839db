"""Write decoded pictures and masks to the cache, with an index of their contents.

A picture comes as bands of rows: an ordinary one is a single band, its model input, made by threads
or processes; a tiled one is read band by band, so that one of any size takes the memory of a band.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias, final

import numpy as np

from foveal.console import Progress
from foveal.data.decode import DecodeLimits
from foveal.data.file_facts import FileFacts
from foveal.data.hashing import Fingerprint, fingerprint_of, shrunk, step_of_look
from foveal.data.measures import Measures, measure, measure_parts
from foveal.data.scan import Scan
from foveal.data.source import Opened, Sample, Source
from foveal.errors import FovealError, ImageError, UsageError
from foveal.machine import over_cores, read_ahead
from foveal.pipeline import Pipeline
from foveal.types import IGNORED, Frame, Image, Mask, Raster
from foveal.windows import scaled, scaled_mask, step_of

PIXELS, MASKS, ROWS, FRAMES = "pixels.u8", "masks.u8", "rows.npz", "frames.json"

# Pictures that one task of a thread decodes: small ones take less time than handing them over.
_CHUNK = 16
# Tasks that are in flight for each thread; more would only take memory.
_AHEAD = 3
# Rows of the original that are in memory at once while a tiled picture is written.
_BAND = 512
# Places of each class that are remembered of each picture, for crops that shall hold the class:
# fewer of each where there are many pictures.
_PLACES, _FEWEST_PLACES, _ALL_PLACES = 1000, 50, 100_000


@final
@dataclass(frozen=True, slots=True)
class _ModelInput:
    pixels: Image
    digest: bytes | None
    look: Fingerprint | None
    measures: Measures | None
    facts: FileFacts | None
    frame: Frame


@final
@dataclass(frozen=True, slots=True)
class _WithMask:
    opened: Opened
    mask: Mask


_Decoded: TypeAlias = _ModelInput | _WithMask | FovealError


def write_all(
    source: Source,
    pipeline: Pipeline,
    directory: Path,
    limits: DecodeLimits,
    *,
    workers: int,
    pool: Executor | None,
    progress: Progress,
    decode_size: tuple[int, int] | None,
    measured: bool,
) -> None:
    """Write the pictures of a source and their scan; see `Cache.build`.

    Pictures that are read in parts are always measured. `decode_size` is the (height, width) that
    decoding must keep, or None for every pixel.
    """
    names = (PIXELS, MASKS) if pipeline.is_tiled else (PIXELS,)
    with ExitStack() as stack:
        files = [stack.enter_context((directory / n).open("wb", buffering=1 << 20)) for n in names]
        writer = _Writer(source, pipeline, directory, files)
        progress.start("decode", len(source.samples))
        wanted = (s for s in source.samples if s.raw is not None or not pipeline.is_tiled)
        stack.enter_context(source.expecting(wanted, limits))
        if pipeline.is_tiled:
            decoding = _open_all(source, limits, workers)
        else:
            options = limits, workers, pool, decode_size
            decoding = _decode_all(source, pipeline, *options, measured=measured)
        all_decoded = stack.enter_context(closing(decoding))
        for index, decoded in enumerate(all_decoded):
            writer.put(index, decoded)
            progress.update(index + 1)
        progress.finish()
        writer.finish()


@final
class _Writer:
    """Writes the files of a cache, picture after picture."""

    def __init__(
        self,
        source: Source,
        pipeline: Pipeline,
        directory: Path,
        files: Sequence[BinaryIO],
    ) -> None:
        count, classes = len(source.samples), len(source.classes) if pipeline.is_tiled else 0
        self._pipeline = pipeline
        self._directory = directory
        self._scan = Scan.empty(count, directory)
        self._sizes = np.zeros((count, 2), np.int64)
        self._pixels = np.zeros((count, classes), np.int64)
        most = max(_FEWEST_PLACES, min(_PLACES, _ALL_PLACES // max(1, count)))
        self._places = np.zeros((count, classes, most, 2), np.int32)
        self._frames: list[Frame | None] = [None] * count
        self._files = files
        if not pipeline.is_tiled and not pipeline.is_ragged:
            # Known before they are decoded.
            _check_room(count * pipeline.height * pipeline.width * 3, directory, "--image-size 64")

    def put(self, index: int, decoded: _Decoded) -> None:
        """Write the next picture; a damaged one takes no space."""
        if isinstance(decoded, _ModelInput):
            self._files[0].write(decoded.pixels.data)
            self._sizes[index] = decoded.pixels.shape[:2]
            self._frames[index] = decoded.frame if self._pipeline.steps else None
            self._scan.put(
                index,
                decoded.digest,
                decoded.frame.original,
                decoded.look,
                decoded.measures,
                decoded.facts,
            )
            return
        if isinstance(decoded, _WithMask):
            ends = [file.tell() for file in self._files]
            try:
                self._write_bands(index, decoded)
                return
            except FovealError as error:
                decoded = error
            for file, end in zip(self._files, ends, strict=True):
                file.seek(end)
                file.truncate()
        self._scan.errors[index] = (decoded.error_code, decoded.message)

    def finish(self) -> None:
        """Write the scan and the index."""
        self._scan.save(self._directory)
        arrays = {"sizes": self._sizes, "pixels": self._pixels, "places": self._places}
        np.savez_compressed(self._directory / ROWS, **arrays)  # type: ignore[arg-type]
        if self._pipeline.steps:
            rows = [asdict(frame) if frame is not None else None for frame in self._frames]
            (self._directory / FRAMES).write_text(json.dumps(rows), encoding="utf-8")

    def _write_bands(self, index: int, decoded: _WithMask) -> None:
        raster = decoded.opened.raster
        mask = scaled_mask(decoded.mask, self._pipeline.scale)
        _check_room(4 * mask.size, self._directory, "--set pipeline.scale=0.5")
        step = step_of_look(*mask.shape)
        look = []
        for top, band in _bands(raster, self._pipeline.scale):
            self._files[0].write(band.data)
            # A copy: a view would keep every band of the picture in memory.
            look.append(band[-top % step :: step, ::step].copy())
        self._files[1].write(mask.data)
        self._sizes[index] = mask.shape
        self._count(index, mask)
        pixels = np.ascontiguousarray(np.concatenate(look))
        size = (raster.height, raster.width)
        small = shrunk(pixels)
        measures = measure_parts(raster, pixels, small)
        self._scan.put(index, decoded.opened.digest, size, fingerprint_of(small), measures)

    def _count(self, index: int, mask: Mask) -> None:
        """Record the frequency of each class and the position of some of its pixels."""
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


def _check_room(needed: int, directory: Path, smaller: str) -> None:
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise UsageError(
            f"The decoded pictures need {needed / 1e6:,.0f} MB more; {free / 1e6:,.0f} MB are free "
            f"in {directory.parent}.",
            hint=f"{smaller}, or --out on another disk",
        )


def _open_all(
    source: Source, limits: DecodeLimits, workers: int
) -> Generator[_Decoded, None, None]:
    """Yield all samples in order, opened in parallel, one ahead per thread."""
    return read_ahead(
        partial(_open, source, limits), source.samples, workers=workers, ahead=workers
    )


def _open(source: Source, limits: DecodeLimits, sample: Sample) -> _Decoded:
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
    return _WithMask(opened, mask)


def _decode_all(
    source: Source,
    pipeline: Pipeline,
    limits: DecodeLimits,
    workers: int,
    pool: Executor | None,
    decode_size: tuple[int, int] | None,
    *,
    measured: bool,
) -> Generator[_Decoded, None, None]:
    """Yield all samples in order, decoded in parallel."""
    samples = source.samples
    # Without its samples, so that little is sent to another process.
    bare = replace(source, samples=())
    decode = partial(_decode_chunk, bare, pipeline, limits, decode_size, measured)
    if source.holds_lock:
        yield from over_cores(decode, samples, batch=_CHUNK, workers=workers, pool=pool)
        return
    chunks = (samples[start : start + _CHUNK] for start in range(0, len(samples), _CHUNK))
    with closing(read_ahead(decode, chunks, workers=workers, ahead=workers * _AHEAD)) as results:
        for chunk in results:
            yield from chunk


def _decode_chunk(
    source: Source,
    pipeline: Pipeline,
    limits: DecodeLimits,
    decode_size: tuple[int, int] | None,
    measured: bool,
    samples: Sequence[Sample],
) -> list[_Decoded]:
    results: list[_Decoded] = []
    for sample in samples:
        try:
            loaded = source.load(sample, limits, decode_size)
            pixels, frame = pipeline.apply(loaded.picture)
        except FovealError as error:
            results.append(error)
        else:
            digest = look = measures = None
            if measured:
                digest = loaded.digest
                small = shrunk(loaded.picture.pixels)
                look, measures = fingerprint_of(small), measure(loaded.picture, small)
            results.append(_ModelInput(pixels, digest, look, measures, loaded.facts, frame))
    return results
