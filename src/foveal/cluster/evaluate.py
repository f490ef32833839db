"""Evaluate on Ray Data: actors answer parts of the labelled pictures, joined in their order."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

from foveal.bundle.bundle import Bundle
from foveal.cluster.connect import connected, import_ray
from foveal.cluster.rows import run_rows
from foveal.cluster.shipped import Shipped
from foveal.console import Progress
from foveal.data.decode import DecodeLimits
from foveal.data.source import ReadAnything, Sample, Source
from foveal.evaluate.measure import Failure, Measure, Measured, MeasuredSamples, join, measure_each
from foveal.jobs.target import Target
from foveal.predict.predictor import Predictor
from foveal.synth import is_synth
from foveal.urls import is_url, local_path
from foveal.workflow.sources import open_as

# Samples of a part: a few batches.
_TOGETHER = 128


@final
@dataclass(frozen=True, slots=True)
class MeasureOn(Measure):
    """Answers the samples of a source on a Ray cluster.

    Attributes:
        target: `ray:local` or `ray:auto`.
        bundles: The model; several vote.
        limits: Largest picture that is decoded.
        engine: What runs the network.
        workers: Actors that answer, at most, each on one core; None takes all cores.
        data: Where the source is, which each machine of the cluster has to see.
        options: How it is read.
    """

    target: Target
    bundles: tuple[Bundle, ...]
    limits: DecodeLimits
    engine: str
    workers: int | None
    data: str | Path
    options: ReadAnything

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
        """Answer every sample; see `foveal.evaluate.measure.measure`.

        Raises:
            MissingExtraError: If Ray is not installed.
            UsageError: If there is no cluster.
            DataError: If not one sample could be measured, or a machine does not see the source.
        """
        progress.start("evaluate", len(samples))
        parts: dict[int, list[Measured | Failure]] = {}
        done = 0
        with connected(self.target) as ray:
            model = Shipped.put(ray, self.bundles, self.limits, self.engine)
            work = _Work(model, self._place(), self.options, batch_size, with_looks)
            starts = range(0, len(samples), _TOGETHER)
            rows = [(at, samples[at : at + _TOGETHER]) for at in starts]
            finished = run_rows(
                ray, rows, partial(_Measurer, work), workers=self.workers, resources=model.resources
            )
            for at, found in finished:
                parts[at] = found
                done += len(found)
                progress.update(done)
        progress.finish()
        return join(predictor.task, source, (item for at in sorted(parts) for item in parts[at]))

    def _place(self) -> str:
        """Return where the source is, for a process that is elsewhere."""
        given = str(self.data)
        return given if is_url(given) or is_synth(given) else str(local_path(given).absolute())


@final
@dataclass(frozen=True, slots=True)
class _Work:
    """The configuration of an actor."""

    model: Shipped
    data: str
    options: ReadAnything
    batch_size: int
    with_looks: bool


@final
class _Measurer:
    """Measures a part of the samples; lives in an actor."""

    def __init__(self, work: _Work) -> None:
        self._work = work
        self._files = tempfile.TemporaryDirectory(prefix="foveal-")
        self._predictor = work.model.open(import_ray(), Path(self._files.name))
        self._source = open_as(work.data, work.options)

    def __call__(self, row: tuple[int, Sequence[Sample]]) -> tuple[int, list[Measured | Failure]]:
        """Return where the part begins, and what is found about each sample of it."""
        at, samples = row
        found = measure_each(
            self._predictor,
            self._source,
            samples,
            batch_size=self._work.batch_size,
            with_looks=self._work.with_looks,
        )
        return at, list(found)
