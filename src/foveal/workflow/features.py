"""Compute features and out-of-fold answers of all pictures for checks.

Features are kept by the digest of a file's content: what was seen once is not computed again,
whatever it is called and wherever it is moved.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.checks.answering import answer_out_of_fold
from foveal.checks.base import CheckInput
from foveal.checks.folds import compress
from foveal.console import Progress
from foveal.data.decode import DecodeLimits
from foveal.data.resemblance import find_copies
from foveal.data.source import DIGEST_BYTES, Sample, Source
from foveal.data.split import find_units
from foveal.errors import FovealError
from foveal.machine import available_cores, over_cores, read_ahead
from foveal.predict.engine import OnnxEngine
from foveal.recipe import Recipe
from foveal.types import Image
from foveal.workflow.feature_network import OUTPUT, PIPELINE, feature_model
from foveal.workflow.mask_fit import judge_masks
from foveal.workflow.sources import limits_of
from foveal.workflow.text_fit import judge_texts

_BATCH = 32
# Beyond it a number is infinite in the two bytes that are kept.
_MOST = 65504.0


def answer(
    given: CheckInput, source: Source, recipe: Recipe, cache: Path, progress: Progress
) -> CheckInput:
    """Return what checks are given, with features and out-of-fold answers.

    Args:
        given: Without them.
        source: The same samples.
        recipe: Recipe with the settings for reading them.
        cache: Folder that keeps features.
        progress: Hears of the pictures computed.

    Raises:
        WeightsError: If the weights of the backbone are not installed.
    """
    if given.target == "mask":
        units = _units(given, given.usable())
        fit = judge_masks(given, source, limits_of(recipe), units, progress)
        return replace(given, mask_fit=fit)
    if given.target == "text":
        units = _units(given, given.usable())
        return replace(given, text_fit=judge_texts(given, source, recipe, units, progress))
    kept = compute(source, given.scan.digest, given.scan.ok, limits_of(recipe), cache, progress)
    known = np.array([i for i in np.flatnonzero(given.scan.ok) if kept.has(given.scan.digest[i])])
    known = known.astype(np.int64)
    rows = compress(lambda at: kept.read(given.scan.digest[known[at]]), len(known))
    features = np.zeros((len(given.samples), rows.shape[1]), np.float32)
    features[known] = rows
    labelled = np.zeros(len(given.samples), np.bool_)
    labelled[known] = True
    labelled &= [sample.raw is not None for sample in given.samples]
    usable = np.flatnonzero(labelled).astype(np.int64)
    units = _units(given, usable)
    raws = [s.raw if ok else None for s, ok in zip(given.samples, labelled, strict=True)]
    return replace(given, features=features, out_of_fold=answer_out_of_fold(features, raws, units))


def _units(given: CheckInput, usable: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N,) numbers: samples of one number are of one group, or copies."""
    copies = given.copies
    if copies is None:
        copies = find_copies(given.samples, given.scan, usable, given.target, given.near_distance)
    return find_units(
        given.samples, given.scan, usable, given.near_distance, given.target, copies
    ).first


def compute(
    source: Source,
    digests: NDArray[np.uint8],
    wanted: NDArray[np.bool_],
    limits: DecodeLimits,
    cache: Path,
    progress: Progress,
) -> Kept:
    """Compute the features of the pictures that are wanted and not kept yet.

    Args:
        source: The pictures.
        digests: (N, 16) uint8 of the files' contents.
        wanted: (N,) which of them.
        limits: Limits of files and pictures.
        cache: Folder that keeps features.
        progress: Hears of the pictures computed.
    """
    model, key = feature_model()
    engine = OnnxEngine(model)
    blank = np.zeros((1, PIPELINE.height, PIPELINE.width, 3), np.uint8)
    kept = Kept(cache / f"{key}.features", engine.run(blank)[OUTPUT].shape[1])
    # Copies are computed once.
    missing = list(
        {
            digests[i].tobytes(): i
            for i in np.flatnonzero(wanted).tolist()
            if not kept.has(digests[i])
        }.values()
    )
    if not missing:
        return kept
    progress.start("features", len(missing))
    decoded = _decoded(source, [source.samples[i] for i in missing], limits)
    for done in range(0, len(missing), _BATCH):
        pixels = list(islice(decoded, _BATCH))
        read = [i for i, one in enumerate(pixels) if one is not None]
        if read:
            values = engine.run(np.stack([one for one in pixels if one is not None]))[OUTPUT]
            kept.append(digests[[missing[done + i] for i in read]], values)
        progress.update(done + len(pixels))
    progress.finish()
    return kept


def _decoded(
    source: Source, samples: Sequence[Sample], limits: DecodeLimits
) -> Iterator[Image | None]:
    """Yield the pictures as the network wants them, decoded ahead; None for an unreadable one."""
    decode = partial(_decode, replace(source, samples=()), limits)
    cores = available_cores()
    if source.holds_lock:
        yield from over_cores(decode, samples, batch=_BATCH, workers=cores)
        return
    chunks = (samples[at : at + _BATCH] for at in range(0, len(samples), _BATCH))
    for chunk in read_ahead(decode, chunks, workers=cores, ahead=2 * cores):
        yield from chunk


def _decode(source: Source, limits: DecodeLimits, samples: Sequence[Sample]) -> list[Image | None]:
    images: list[Image | None] = []
    for sample in samples:
        try:
            picture = source.load(sample, limits, PIPELINE.decode_size).picture
        except FovealError:
            # It was readable a moment ago; the next check says what became of it.
            images.append(None)
        else:
            images.append(PIPELINE.apply(picture)[0])
    return images


@final
class Kept:
    """A file of features by the digests of pictures, to which rows are only ever appended.

    A row that a killed process left unfinished is passed over and written over.

    Args:
        path: The file; made when the first row is appended.
        size: Length of a row.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._record = np.dtype([("digest", f"V{DIGEST_BYTES}"), ("row", "<f2", (size,))])
        self._places: dict[bytes, int] = {}
        self._notice()

    def has(self, digest: NDArray[np.uint8]) -> bool:
        """Return whether the features of a picture are there."""
        return digest.tobytes() in self._places

    def append(self, digests: NDArray[np.uint8], rows: NDArray[np.float32]) -> None:
        """Keep some rows."""
        records = np.empty(len(rows), self._record)
        records["digest"] = np.ascontiguousarray(digests).view(f"V{DIGEST_BYTES}").ravel()
        records["row"] = np.clip(rows, -_MOST, _MOST)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            # What a killed process began is cut off.
            file.truncate(
                os.fstat(file.fileno()).st_size // self._record.itemsize * self._record.itemsize
            )
            file.write(records.tobytes())
        self._notice()

    def read(self, digests: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, D) float32 rows of pictures that are there."""
        size = self._record["row"].shape[0]
        places = [self._places[digest.tobytes()] for digest in digests]
        if not places:
            return np.zeros((0, size), np.float32)
        rows = np.memmap(self._path, self._record, "r", shape=(max(places) + 1,))["row"]
        found: NDArray[np.float32] = rows[places].astype(np.float32)
        return found

    def _notice(self) -> None:
        """Read the digests of the rows that were added since the last time."""
        if not self._path.is_file():
            return
        known = len(self._places)
        count = self._path.stat().st_size // self._record.itemsize
        if count > known:
            records = np.memmap(self._path, self._record, "r", shape=(count,))
            for place in range(known, count):
                self._places[records["digest"][place].tobytes()] = place
