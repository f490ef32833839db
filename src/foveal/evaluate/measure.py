"""Run a bundle over labelled samples: decode in threads, answer in batches, keep only rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.trained_on import look_at
from foveal.console import Progress
from foveal.data.source import Opened, Sample, Source
from foveal.errors import DataError, FovealError, ImageError
from foveal.machine import available_cores, read_ahead
from foveal.predict.predictor import ModelInput, Predictor
from foveal.tasks.base import Task
from foveal.tasks.prediction import Prediction
from foveal.types import Frame, Raster


@final
@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """Options of an evaluation.

    Attributes:
        batch_size: Number of pictures in one run of the network.
        resamples: Number of bootstrap samples.
        seed: Seed of the bootstrap.
        worst: Mistakes that the report shows.
        best: Right answers that the report shows for contrast.
        timed: Pictures on which the latency is measured.
    """

    batch_size: int = 32
    resamples: int = 1000
    seed: int = 0
    worst: int = 24
    best: int = 8
    timed: int = 50


@final
@dataclass(frozen=True, slots=True)
class Failure:
    """A sample that could not be measured: unreadable, unlabelled, or of an unknown label."""

    sample: str
    code: str
    message: str


@final
@dataclass(frozen=True)
class MeasuredSamples:
    """The answers to the samples that could be measured.

    Attributes:
        samples: In the order of the source.
        predictions: One for each sample, without maps.
        rows: (N, K) float64, see `foveal.tasks.base.Rows`.
        digests: Digests of the files, for finding the same picture under two labels.
        looks: (N,) uint64, see `foveal.bundle.trained_on.look_at`; 0 where it was not computed.
        failures: The samples that could not be measured.
    """

    samples: tuple[Sample, ...]
    predictions: tuple[Prediction, ...]
    rows: NDArray[np.float64]
    digests: tuple[bytes, ...]
    looks: NDArray[np.uint64]
    failures: tuple[Failure, ...]


@final
@dataclass(frozen=True, slots=True)
class Measured:
    """The measurement of one sample.

    Attributes:
        sample: The sample.
        prediction: The answer, without maps.
        row: (K,) float64, see `foveal.tasks.base.Rows`.
        digest: Digest of its file.
        look: See `foveal.bundle.trained_on.look_at`; 0 where it was not computed.
    """

    sample: Sample
    prediction: Prediction
    row: NDArray[np.float64]
    digest: bytes
    look: int


@dataclass(frozen=True, slots=True)
class _Prepared:
    sample: Sample
    target: Any
    input: ModelInput
    frame: Frame
    digest: bytes
    look: int


class Measure(Protocol):
    """Answers every sample; see `measure`."""

    def __call__(
        self,
        predictor: Predictor,
        source: Source,
        samples: Sequence[Sample],
        *,
        batch_size: int,
        progress: Progress,
        with_looks: bool = True,
    ) -> MeasuredSamples:
        """Return the answers to the samples that could be measured."""


def measure(
    predictor: Predictor,
    source: Source,
    samples: Sequence[Sample],
    *,
    batch_size: int,
    progress: Progress,
    with_looks: bool = True,
) -> MeasuredSamples:
    """Answer every sample. No picture outlives its batch, so memory stays flat.

    What a tiled pipeline answers runs alone, while the next is decoded.

    Args:
        predictor: Answers.
        source: The labelled pictures.
        samples: Those of the source to answer.
        batch_size: Number of pictures in one run of the network.
        progress: Receives the progress.
        with_looks: Whether to note how pictures look, where a bundle knows how those looked that
            it was trained on.

    Raises:
        DataError: If not one sample could be measured.
    """
    progress.start("evaluate", len(samples))
    found: list[Measured | Failure] = []
    items = measure_each(predictor, source, samples, batch_size=batch_size, with_looks=with_looks)
    for item in items:
        found.append(item)
        if len(found) % batch_size == 0 or len(found) == len(samples):
            progress.update(len(found))
    progress.finish()
    return join(predictor.task, source, found)


def measure_each(
    predictor: Predictor,
    source: Source,
    samples: Sequence[Sample],
    *,
    batch_size: int,
    with_looks: bool = True,
) -> Iterator[Measured | Failure]:
    """Yield what is found about each sample, in order; see `measure`."""
    task = predictor.task
    with_looks = with_looks and any(bundle.trained_on for bundle in predictor.bundles)
    prepare = partial(_prepare, predictor, source, with_look=with_looks)
    is_tiled = any(bundle.pipeline.is_tiled for bundle in predictor.bundles)
    together = 1 if is_tiled else batch_size
    with (
        source.expecting(samples, predictor.limits),
        closing(read_ahead(prepare, samples, workers=available_cores(), ahead=together)) as items,
    ):
        while batch := list(islice(items, together)):
            good = [item for item in batch if not isinstance(item, Failure)]
            try:
                answers = iter(
                    predictor.predict_inputs(
                        [item.input for item in good], [item.frame for item in good]
                    )
                )
            except ImageError as error:
                # Raised by the damaged part of a picture that is read in parts, and runs alone.
                yield Failure(good[0].sample.id, error.error_code, error.message)
                continue
            for item in batch:
                if isinstance(item, Failure):
                    yield item
                    continue
                prediction = next(answers)
                row = task.measure(prediction, item.target)
                light = prediction.without_maps()
                yield Measured(item.sample, light, row, item.digest, item.look)


def join(task: Task, source: Source, found: Iterable[Measured | Failure]) -> MeasuredSamples:
    """Put together what was found about samples, in their order.

    Raises:
        DataError: If not one could be measured.
    """
    measured: list[Measured] = []
    failures: list[Failure] = []
    for item in found:
        if isinstance(item, Failure):
            failures.append(item)
        else:
            measured.append(item)
    if not measured:
        raise _nothing_measured(task, source, failures)
    return MeasuredSamples(
        samples=tuple(item.sample for item in measured),
        predictions=tuple(item.prediction for item in measured),
        rows=np.stack([item.row for item in measured]),
        digests=tuple(item.digest for item in measured),
        looks=np.array([item.look for item in measured], np.uint64),
        failures=tuple(failures),
    )


def open_picture(predictor: Predictor, source: Source, sample: Sample) -> Raster:
    """Open a sample as serving would: same limits, same reduced scale, in parts for tiles.

    Raises:
        ImageError: If it cannot be decoded.
    """
    return _open(predictor, source, sample).raster


def target_of(task: Task, source: Source, sample: Sample) -> Any:
    """Return what is true of a labelled sample.

    Raises:
        TargetError: If it holds something that is not a label.
        ImageError: If its mask cannot be read.
    """
    if task.target_kind == "mask":
        return task.parse_target(source.classes, source.mask(sample))
    return task.parse_target(sample.raw or ())


def _prepare(
    predictor: Predictor, source: Source, sample: Sample, *, with_look: bool
) -> _Prepared | Failure:
    if sample.raw is None:
        return Failure(sample.id, "unlabelled", "The sample has no label.")
    try:
        # The label first: a picture that cannot be scored need not be decoded.
        task = predictor.task
        target = target_of(task, source, sample)
        opened = _open(predictor, source, sample)
        if task.target_kind == "mask":
            _check_size(sample, target.shape, opened.raster)
        given, frame = predictor.prepare_raster(opened.raster)
    except FovealError as error:
        return Failure(sample.id, error.error_code, error.message)
    look = 0
    if with_look:
        look = look_at(opened.raster, predictor.pipeline, sample.raw, task.target_kind)
    return _Prepared(sample, target, given, frame, opened.digest, look)


def _open(predictor: Predictor, source: Source, sample: Sample) -> Opened:
    if predictor.pipeline.is_tiled:
        return source.open(sample, predictor.limits)
    loaded = source.load(sample, predictor.limits, predictor.decode_size)
    return Opened(loaded.picture, loaded.digest)


def _check_size(sample: Sample, mask: tuple[int, ...], raster: Raster) -> None:
    if mask != (raster.height, raster.width):
        raise ImageError(
            f"The mask of {sample.id} has {mask[1]} x {mask[0]} pixels. "
            f"Expected {raster.width} x {raster.height}, the size of its picture.",
            code="mask_size",
        )


def _nothing_measured(task: Task, source: Source, failures: Sequence[Failure]) -> DataError:
    hint = f"foveal check DATA --task {task.name}"
    if not failures:
        return DataError(f"There are no pictures to evaluate in {source.location}.", hint=hint)
    first = failures[0]
    return DataError(
        f"None of the {len(failures)} samples in {source.location} could be measured. "
        f"The first, {first.sample}: {first.message}",
        hint=hint,
    )
