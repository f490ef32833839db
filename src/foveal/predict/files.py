"""Answer many files: expand folders and globs, decode in threads, run in batches, lose nothing.

What a tiled pipeline answers comes one by one, and no more than the next is decoded meanwhile.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import final

from foveal.data.decode import read_file
from foveal.data.names import is_hidden, is_picture_name
from foveal.errors import DataError, FovealError, ImageError
from foveal.machine import available_cores, read_ahead
from foveal.predict.copies import copy_to_draw_on, small_copy
from foveal.predict.predictor import ModelInput, Predictor
from foveal.render.masks import MaskForm
from foveal.tasks.prediction import Prediction
from foveal.types import Frame, JsonObject, Picture


@final
@dataclass(frozen=True, slots=True)
class Drawing:
    """What is needed to draw answers.

    Attributes:
        side_px: Longer side of the copy that is drawn on, at most.
        maps: Whether answers of a tiled pipeline keep what `Prediction.heat` needs.
    """

    side_px: int
    maps: bool = False


@final
@dataclass(frozen=True, slots=True)
class Answered:
    """A file that was answered.

    Attributes:
        source: Its path as it was given.
        record: The prediction, or the error, as the predictions contract has it.
        prediction: The answer; None after an error.
        error: Why there is no answer, or None.
        copy: A small copy of the picture, where drawing was asked for.
        drawing: The answer to draw on the copy.
    """

    source: str
    record: JsonObject
    prediction: Prediction | None = None
    error: FovealError | None = None
    copy: Picture | None = None
    drawing: Prediction | None = None


@final
@dataclass(frozen=True, slots=True)
class _Prepared:
    source: str
    input: ModelInput
    frame: Frame
    copy: Picture | None


_Failed = tuple[str, FovealError]


def expand(pictures: Iterable[str | Path]) -> Iterator[str]:
    """Yield the files that paths, folders and globs stand for, in sorted order within each.

    A name that is a file is taken as it is, whatever its ending; in folders only picture
    endings count and hidden files are passed over. A path that does not exist is yielded too:
    reading it gives its error where the caller can report it.

    Raises:
        DataError: For a folder that holds no pictures, or a glob that matches nothing.
    """
    for picture in pictures:
        path = Path(picture)
        if path.is_dir():
            found = sorted(
                str(p)
                for p in path.rglob("*")
                if is_picture_name(p.name)
                and not any(is_hidden(x) for x in p.relative_to(path).parts)
            )
            if not found:
                raise DataError(f"There are no pictures in the folder {path}.")
            yield from found
        elif not path.exists() and any(c in str(picture) for c in "*?["):
            # Not Path.glob: the pattern may start at the root or with "..".
            matches = sorted(glob.glob(str(picture), recursive=True))  # noqa: PTH207
            if not matches:
                raise DataError(f"No file matches {picture}.")
            yield from matches
        else:
            yield str(picture)


def failed(source: str, error: FovealError) -> Answered:
    """Return what stands for the answer to a picture that could not be answered."""
    return Answered(source, {"source": source, "error": error.to_json()}, error=error)


def answer_files(
    predictor: Predictor,
    files: Iterable[str],
    *,
    batch_size: int = 32,
    drawing: Drawing | None = None,
) -> Iterator[Answered]:
    """Yield one answer for each file, in order.

    For a file that cannot be read or decoded that is its error; the others are answered.

    Args:
        predictor: Answers the pictures.
        files: Paths of picture files.
        batch_size: Pictures in one run of the network; those of a tiled pipeline run alone.
        drawing: What is needed to draw the answers; None when they are not drawn.
    """
    together = 1 if predictor.pipeline.is_tiled else batch_size
    prepare = partial(_prepare, predictor, drawing)
    # Decode one batch ahead of the network, and no more: memory stays flat.
    prepared = read_ahead(prepare, files, workers=available_cores(), ahead=together)
    with closing(prepared):
        while batch := list(islice(prepared, together)):
            yield from _answer(predictor, batch, drawing)


def _prepare(predictor: Predictor, drawing: Drawing | None, name: str) -> _Prepared | _Failed:
    try:
        copy = None
        if predictor.pipeline.is_tiled:
            raster = predictor.open(name)
            if drawing is not None:
                copy = small_copy(raster, drawing.side_px)
            return _Prepared(name, *predictor.prepare_raster(raster), copy)
        data = read_file(Path(name), predictor.limits)
        picture = predictor.decode(data)
        if drawing is not None:
            copy = copy_to_draw_on(picture, data, predictor.limits, drawing.side_px)
        return _Prepared(name, *predictor.prepare(picture), copy)
    except FovealError as error:
        return name, error


def _answer(
    predictor: Predictor, batch: list[_Prepared | _Failed], drawing: Drawing | None
) -> Iterator[Answered]:
    good = [item for item in batch if isinstance(item, _Prepared)]
    start = time.perf_counter()
    try:
        predictions = iter(_predict(predictor, good, drawing))
    except ImageError as error:
        # Raised by the damaged part of a picture that is read in parts, and runs alone.
        yield failed(good[0].source, error)
        return
    ms = 1000 * (time.perf_counter() - start) / max(1, len(good))
    for item in batch:
        if isinstance(item, _Prepared):
            prediction, drawn = next(predictions)
            # What is drawn has its mask written into a file too.
            mask: MaskForm = "png" if drawing is None else "none"
            record = predictor.record(prediction, item.source, ms, mask=mask)
            yield Answered(item.source, record, prediction, copy=item.copy, drawing=drawn)
        else:
            yield failed(*item)


def _predict(
    predictor: Predictor, good: list[_Prepared], drawing: Drawing | None
) -> list[tuple[Prediction, Prediction | None]]:
    if not good:
        return []
    inputs, frames = [item.input for item in good], [item.frame for item in good]
    if drawing is None:
        return [(answer, None) for answer in predictor.predict_inputs(inputs, frames)]
    copies = [item.copy for item in good if item.copy is not None]
    return [*predictor.predict_drawn(inputs, frames, copies, explain=drawing.maps)]
