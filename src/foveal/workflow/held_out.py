"""The pictures that decide about a bundle: those that the answering network was not trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, final

from foveal.bundle.bundle import Bundle
from foveal.console import Progress
from foveal.evaluate.evaluate import Evaluation
from foveal.models.familiarity import Familiarity
from foveal.models.network import Network
from foveal.predict.engine import Engine
from foveal.predict.predictor import Predictor
from foveal.tasks.base import OutputBatch, ReportSection
from foveal.types import JsonObject
from foveal.workflow.familiarity import judge_familiarity
from foveal.workflow.measure import measure_prepared
from foveal.workflow.prepare import TRAIN, VAL, Prepared
from foveal.workflow.run_features import RunFeatures
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.units import Units


class HeldOut(ABC):
    """What `ship` decides on: calibration, the limits of `unsure` and of familiarity, metrics."""

    @property
    @abstractmethod
    def proven(self) -> Units:
        """The units whose validation windows the export is proven on."""

    @abstractmethod
    def familiarity(self, network: Network) -> Familiarity | None:
        """Return the judgement that ships with a network, in evaluation mode."""

    @abstractmethod
    def to_calibrate(
        self, engine: Engine, proven: Iterable[OutputBatch]
    ) -> tuple[Iterable[OutputBatch], Sequence[Any]]:
        """Return outputs for the pictures, which may be read again, and the targets in their order.

        Args:
            engine: The exported network.
            proven: Outputs for the windows of `proven`; empty for tiled pictures.
        """

    @abstractmethod
    def measure(self, draft: Bundle) -> tuple[Evaluation, list[ReportSection]]:
        """Measure a bundle that has everything but its `unsure` limit, and choose that.

        Returns:
            The evaluation, and the sections of the report that say where its figures come from.
        """

    @abstractmethod
    def counts(self) -> JsonObject:
        """Return how many pictures were trained and validated on, for the manifest."""


@final
class ValidationSplit(HeldOut):
    """The validation split of a run, which the shipped network itself answers.

    Args:
        prepared: The data.
        units: The same as batches.
        run: The run directory, which has the cached features.
        progress: Told how far the work is.
    """

    def __init__(
        self, prepared: Prepared, units: Units, run: RunDirectory, progress: Progress
    ) -> None:
        self._prepared = prepared
        self._units = units
        self._features = RunFeatures(prepared, units, run)
        self._progress = progress

    @property
    def proven(self) -> Units:
        """The units of the run."""
        return self._units

    def familiarity(self, network: Network) -> Familiarity | None:
        """Return the judgement by the training and the validation pictures."""
        return judge_familiarity(network, self._units, self._features, self._progress)

    def to_calibrate(
        self, engine: Engine, proven: Iterable[OutputBatch]
    ) -> tuple[Iterable[OutputBatch], Sequence[Any]]:
        """Return the outputs of the proof where pictures are not tiled."""
        return self._units.to_calibrate(engine, proven)

    def measure(self, draft: Bundle) -> tuple[Evaluation, list[ReportSection]]:
        """Measure the bundle on the files of the validation pictures.

        Without a section, a report is of these.
        """
        return measure_prepared(Predictor(draft), self._prepared, self._progress), []

    def counts(self) -> JsonObject:
        """Return the sizes of both sides."""
        sides = (("train", TRAIN), ("val", VAL))
        return {name: len(self._prepared.indices(side)) for name, side in sides}
