"""Answer many pictures: decode in threads, run in batches.

Pictures of a tiled pipeline are answered one by one, and only the next one is decoded ahead.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeAlias, final

from foveal.console import NoProgress, Progress
from foveal.errors import FovealError, ImageError, NetworkError
from foveal.machine import available_cores, read_ahead
from foveal.predict.answer import Answer, failed, open_given
from foveal.predict.copies import copy_to_draw_on, small_copy
from foveal.predict.inputs import Given, file_bytes
from foveal.predict.predictor import ModelInput, Predictor
from foveal.render.masks import MaskForm
from foveal.tasks.prediction import Prediction
from foveal.types import Frame, Picture


@final
@dataclass(frozen=True, slots=True)
class Drawing:
    """Options of drawing answers.

    Attributes:
        side_px: Limit on the longer side of the copy to draw on, in pixels.
        maps: Whether answers of a tiled pipeline keep the maps for `Prediction.heat`.
    """

    side_px: int
    maps: bool = False


@final
@dataclass(frozen=True, slots=True)
class Sketch:
    """The inputs for drawing an answer.

    Attributes:
        copy: Small copy of the picture.
        prediction: Answer to draw on it.
    """

    copy: Picture
    prediction: Prediction


@final
@dataclass(frozen=True, slots=True)
class _Prepared:
    given: Given
    input: ModelInput
    frame: Frame
    copy: Picture | None


_Item: TypeAlias = _Prepared | tuple[Given, FovealError]


def answer_pictures(
    predictor: Predictor,
    pictures: Iterable[Given],
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Iterator[Answer]:
    """Yield one answer for each picture, in order.

    For a picture that cannot be read or decoded, this is its error; the others are answered.

    Args:
        predictor: Answers the pictures.
        pictures: The given pictures.
        batch_size: Pictures in one run of the network; those of a tiled pipeline run alone.
        progress: Receives the progress.
    """
    reporting = progress or NoProgress()
    reporting.start("predict", len(pictures) if isinstance(pictures, Sized) else None)
    try:
        answers = answer_sketched(predictor, pictures, batch_size=batch_size)
        for done, (answer, _) in enumerate(answers, 1):
            yield answer
            reporting.update(done)
    finally:
        reporting.finish()


def answer_sketched(
    predictor: Predictor,
    pictures: Iterable[Given],
    *,
    batch_size: int,
    drawing: Drawing | None = None,
) -> Iterator[tuple[Answer, Sketch | None]]:
    """Yield the answers of `answer_pictures` with the inputs for drawing them.

    Args:
        predictor: Answers the pictures.
        pictures: The given pictures.
        batch_size: Number of pictures in one run of the network.
        drawing: Options of drawing; None if answers are not drawn.
    """
    together = 1 if predictor.pipeline.is_tiled else batch_size
    prepare = partial(_prepare, predictor, drawing)
    # Decode one batch ahead of the network, and no more: memory stays flat.
    prepared = read_ahead(prepare, pictures, workers=available_cores(), ahead=together)
    with closing(prepared):
        while batch := list(islice(prepared, together)):
            yield from _answer(predictor, batch, drawing)


def _prepare(predictor: Predictor, drawing: Drawing | None, given: Given) -> _Item:
    try:
        copy = None
        if predictor.pipeline.is_tiled or isinstance(given.content, Picture):
            raster = open_given(predictor, given)
            if drawing is not None:
                copy = small_copy(raster, drawing.side_px)
            return _Prepared(given, *predictor.prepare_raster(raster), copy)
        limits = predictor.limits
        data = file_bytes(given.content, limits)
        picture = predictor.decode(data)
        if drawing is not None:
            copy = copy_to_draw_on(
                picture, data, limits, drawing.side_px, decoder=predictor.decoder
            )
        return _Prepared(given, *predictor.prepare_raster(picture), copy)
    except FovealError as error:
        return given, error


def _answer(
    predictor: Predictor, batch: list[_Item], drawing: Drawing | None
) -> Iterator[tuple[Answer, Sketch | None]]:
    good = [item for item in batch if isinstance(item, _Prepared)]
    start = time.perf_counter()
    try:
        predictions = iter(_predict(predictor, good, drawing))
    except ImageError as error:
        # Raised by the damaged part of a picture that is read in parts, and runs alone.
        yield failed(predictor, good[0].given, error), None
        return
    except NetworkError as error:
        if len(batch) == 1:
            yield failed(predictor, good[0].given, error), None
            return
        # The others of the batch are answered.
        for item in batch:
            yield from _answer(predictor, [item], drawing)
        return
    ms = 1000 * (time.perf_counter() - start) / max(1, len(good))
    for item in batch:
        if not isinstance(item, _Prepared):
            yield failed(predictor, *item), None
            continue
        given, (prediction, drawn) = item.given, next(predictions)
        # What is drawn has its mask written into a file too.
        mask: MaskForm = "png" if drawing is None else "none"
        record = predictor.record(prediction, given.source, ms, mask=mask)
        sketch = Sketch(item.copy, drawn) if item.copy is not None and drawn is not None else None
        yield (
            Answer(given.source, record, None, given, predictor, predictor.task, prediction),
            sketch,
        )


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
