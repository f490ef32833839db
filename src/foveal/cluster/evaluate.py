"""Evaluate on a Ray cluster: it answers the labelled pictures, and the rest is done here."""

from __future__ import annotations

import logging
import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, final

from foveal.bundle.bundle import Bundle
from foveal.cluster import labelled as program
from foveal.cluster.connect import check_joined
from foveal.cluster.labelled import FOUND, Labelled, Part, measure_joined
from foveal.cluster.sent import check_reached, followed, models_to_send, not_done
from foveal.console import Progress
from foveal.data.decode import DecodeLimits
from foveal.data.source import ReadAnything, Sample, Source
from foveal.errors import FovealError
from foveal.evaluate.measure import Measure, MeasuredSamples, join
from foveal.jobs.job import JobState
from foveal.jobs.submit import submit
from foveal.jobs.target import Target
from foveal.jobs.work import OUTPUT, Work
from foveal.predict.predictor import Predictor
from foveal.synth import is_synth
from foveal.tasks.base import Task
from foveal.urls import is_url, local_path

logger = logging.getLogger(__name__)

_NAME, _LABELLED = "evaluate", "labelled.pickle"

# Of NumPy 1 and 2.
_OF_ARRAYS = frozenset(
    {
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        *(
            (f"numpy.{core}.{module}", name)
            for core in ("core", "_core")
            for module, name in (
                ("multiarray", "_reconstruct"),
                ("multiarray", "scalar"),
                ("numeric", "_frombuffer"),
            )
        ),
    }
)


@final
@dataclass(frozen=True, slots=True)
class MeasureOn(Measure):
    """Answers the samples of a source on a Ray cluster.

    Attributes:
        target: `ray:local`, `ray:auto`, or `ray://HOST` for a job on another cluster.
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

    def __post_init__(self) -> None:
        """Check the target before the data are listed.

        Raises:
            UsageError: If it is no Ray cluster, or one that cannot access the data.
        """
        if self.target.kind != "ray" or self.target.is_joined:
            check_joined(self.target)
        elif not is_synth(self.data):
            check_reached(
                self.target,
                {str(self.data): "pictures"},
                f"foveal evaluate MODEL s3://BUCKET/PICTURES --on {self.target}",
            )

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
        work = Labelled(
            self._place(),
            self.options,
            tuple(samples),
            self.limits,
            self.engine,
            self.workers,
            batch_size,
            with_looks,
        )
        if self.target.is_joined:
            found = measure_joined(self.target, self.bundles, work, progress)
        else:
            found = self._measure_there(work, predictor.task)
        return join(predictor.task, source, found)

    def _place(self) -> str:
        """Return where the source is, for a process that is elsewhere."""
        given = str(self.data)
        return given if is_url(given) or is_synth(given) else str(local_path(given).absolute())

    def _measure_there(self, work: Labelled, task: Task) -> Part:
        """Send the samples as a job, log what it says, and bring back what it finds."""
        models = models_to_send(self.bundles)
        files = {**models, _LABELLED: pickle.dumps(work)}
        args = (_LABELLED, OUTPUT, *models)
        job = submit(Work(_NAME, program.__name__, args, files, extras=("ray",)), self.target)
        for line in followed(job):
            logger.info("%s", line)
        if job.state is not JobState.SUCCEEDED:
            raise not_done(job)
        with tempfile.TemporaryDirectory(prefix="foveal-") as folder:
            try:
                with (job.fetch(folder) / FOUND).open("rb") as file:
                    found: Part = MeasuredReader(file, task).load()
            except (pickle.UnpicklingError, AttributeError, EOFError, ImportError) as error:
                raise FovealError(
                    f"The results of the job {job.name} cannot be read: {error}.",
                    hint="install the same versions of the packages there as here",
                ) from error
        return found


@final
class MeasuredReader(pickle.Unpickler):
    """Reads what a cluster has found: values of foveal and of the task alone, no other code.

    Args:
        file: The pickle.
        task: Whose predictions it may have.
    """

    def __init__(self, file: Any, task: Task) -> None:
        super().__init__(file)
        self._packages = ("foveal", type(task).__module__.partition(".")[0])

    def find_class(self, module: str, name: str) -> Any:
        """Return a data class of foveal or of the task, or what numpy's arrays are made of.

        Raises:
            UnpicklingError: For anything else.
        """
        if (module, name) not in _OF_ARRAYS:
            found = None
            if module.partition(".")[0] in self._packages:
                found = super().find_class(module, name)
            if not (isinstance(found, type) and is_dataclass(found)):
                raise pickle.UnpicklingError(f"{module}.{name} is no result of an evaluation")
            return found
        return super().find_class(module, name)
