"""The out-of-fold answers of a run with folds, on which is decided what ships."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, final, overload

import numpy as np
import torch

from foveal.bundle.bundle import Bundle
from foveal.bundle.promise import folds_words
from foveal.console import Progress
from foveal.data.findings import plural
from foveal.data.source import Sample
from foveal.evaluate.evaluate import Evaluation
from foveal.evaluate.history import history_figures, read_history
from foveal.evaluate.measure import measure
from foveal.metrics import paired_difference
from foveal.models.familiarity import Familiarity
from foveal.models.network import Network
from foveal.models.torch_engine import TorchEngine
from foveal.predict.engine import Engine
from foveal.predict.predictor import Predictor
from foveal.tasks.base import OutputBatch, ReportSection
from foveal.types import JsonObject
from foveal.words import percent
from foveal.workflow.before import scores
from foveal.workflow.familiarity import judge_folds
from foveal.workflow.held_out import HeldOut
from foveal.workflow.measure import measure_prepared
from foveal.workflow.prepare import TRAIN, Prepared
from foveal.workflow.run_features import RunFeatures
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.units import Units

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class TrainedFold:
    """A network that was trained on all folds but one.

    Attributes:
        prepared: The data, with the fold as the validation side.
        units: The same as batches.
        network: The network.
    """

    prepared: Prepared
    units: Units
    network: Network


@final
class CrossValidation(HeldOut):
    """All pictures of a run with folds, each answered by the network of its fold.

    Args:
        prepared: The data, with folds.
        units: The same as batches.
        folds: The trained networks.
        run: The run directory, which has the epochs of each fold.
        progress: Told how far the work is.
    """

    def __init__(
        self,
        prepared: Prepared,
        units: Units,
        folds: Sequence[TrainedFold],
        run: RunDirectory,
        progress: Progress,
    ) -> None:
        if prepared.folds is None:
            raise ValueError("prepared without folds")
        self._prepared = prepared
        self._fold = prepared.folds
        self._units = units
        self._folds = folds
        self._run = run
        self._progress = progress

    @property
    def proven(self) -> Units:
        """The units of the first fold: whatever the network was trained on can prove an export."""
        return self._folds[0].units

    def familiarity(self, network: Network) -> Familiarity | None:
        """Judge the networks of the folds too, so that they answer as the one that ships."""
        found = judge_folds(
            [fold.network.eval() for fold in self._folds],
            network,
            self._units,
            RunFeatures(self._prepared, self._units, self._run),
            self._fold,
            self._progress,
        )
        for number, fold in enumerate(self._folds):
            # As the exported network, which they stand for.
            fold.network.to(torch.device("cpu"))
            if found is not None:
                fold.network.familiarity = found[0][number]
        return None if found is None else found[1]

    def to_calibrate(
        self, engine: Engine, proven: Iterable[OutputBatch]
    ) -> tuple[Iterable[OutputBatch], Sequence[Any]]:
        """Return the out-of-fold outputs, computed each time they are read."""
        pairs = [_outputs(fold) for fold in self._folds]
        batches = _Again(lambda: chain.from_iterable(own for own, _ in pairs))
        return batches, _Chain([targets for _, targets in pairs])

    def measure(self, draft: Bundle) -> tuple[Evaluation, list[ReportSection]]:
        """Measure the networks of the folds, each on the files of its fold."""
        predictors = [Predictor(draft, engine=TorchEngine(fold.network)) for fold in self._folds]
        fold_of = self._fold_of()

        def answering(sample: Sample) -> Predictor:
            return predictors[fold_of[sample.id]]

        evaluation = measure_prepared(
            Predictor(draft), self._prepared, self._progress, answering=answering
        )
        doubt = self._why_doubted(draft, evaluation)
        if doubt:
            logger.warning("%s", doubt)
        return evaluation, [self._section(evaluation, doubt)]

    def _why_doubted(self, draft: Bundle, evaluation: Evaluation) -> str:
        """Return why the figures do not hold for the network that ships, or nothing.

        It is at least as good as the networks that they are of, but after so few steps that chance
        decides what a network has learned. Then it may do worse on the pictures, all of which it
        was trained on, than the networks that were not.
        """
        task = self._prepared.task
        measured = measure(
            Predictor(draft),
            self._prepared.source,
            evaluation.measured.samples,
            batch_size=self._prepared.recipe.evaluate.batch_size,
            progress=self._progress,
            with_looks=False,
        )
        learned, unseen = scores(task, measured), scores(task, evaluation.measured)
        pairs = np.array([(unseen[id], learned[id]) for id in learned])
        if paired_difference(pairs[:, 0], pairs[:, 1]).high >= 0:
            return ""
        other, own = pairs.mean(axis=0)
        title = task.metric_words[task.primary_metric].title
        return (
            "The figures of the cross-validation do not hold for the network that ships, which is "
            f"worse on pictures that it was trained on than those that were not: {title} "
            f"{percent(own)} against {percent(other)} "
            f"({plural(len(pairs), 'picture')}). What may help: more --epochs or a larger --budget."
        )

    def _section(self, evaluation: Evaluation, doubt: str) -> ReportSection:
        """Return what the figures are of, the primary metric of each fold, and its epochs."""
        task, measured = evaluation.task, evaluation.measured
        fold_of = self._fold_of()
        fold = [fold_of[sample.id] for sample in measured.samples]
        words = task.metric_words[task.primary_metric]
        rows = []
        for number in range(len(self._folds)):
            own = [i for i, one in enumerate(fold) if one == number]
            if own:
                value = task.summarise(measured.rows[own])[task.primary_metric]
                rows.append((str(number + 1), str(len(own)), percent(value)))
        words_of = folds_words(len(self._folds), len(self._prepared.indices(TRAIN)))
        return ReportSection(
            title="Cross-validation",
            note=f"{words_of} {doubt}".rstrip(),
            tables=((("fold", "pictures", words.title), tuple(rows)),),
            figures=self._curves(evaluation),
        )

    def _curves(self, evaluation: Evaluation) -> tuple[tuple[str, str], ...]:
        metric = evaluation.task.epoch_metric
        histories = [
            (f"fold {number}", read_history(self._run.fold(number).results))
            for number in range(1, len(self._folds) + 1)
        ]
        columns = [
            ("val_loss", "Loss on the fold", False),
            (f"val_{metric}", f"{evaluation.task.metric_words[metric].title} on the fold", True),
        ]
        return history_figures(histories, columns)

    def counts(self) -> JsonObject:
        """Return on how many pictures the network was trained, and the number of folds."""
        return {"train": len(self._prepared.indices(TRAIN)), "folds": len(self._folds)}

    def _fold_of(self) -> dict[str, int]:
        """Return id of a sample → its fold."""
        samples, positions = self._prepared.source.samples, self._prepared.indices(TRAIN)
        return {samples[i].id: int(self._fold[i]) for i in positions.tolist()}


def _outputs(fold: TrainedFold) -> tuple[Iterable[OutputBatch], Sequence[Any]]:
    engine = TorchEngine(fold.network)
    names = fold.prepared.task.core_outputs

    def computed() -> Iterator[OutputBatch]:
        for batch in fold.units.windows():
            yield engine.run(batch.inputs, names), batch.truths.frames

    return fold.units.to_calibrate(engine, _Again(computed))


@final
class _Again(Iterable[OutputBatch]):
    """Batches that are computed each time they are read."""

    def __init__(self, compute: Callable[[], Iterator[OutputBatch]]) -> None:
        self._compute = compute

    def __iter__(self) -> Iterator[OutputBatch]:
        return self._compute()


@final
class _Chain(Sequence[Any]):
    """Several sequences one after the other."""

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = index if index >= 0 else index + len(self)
        for part in self._parts:
            if 0 <= at < len(part):
                return part[at]
            at -= len(part)
        raise IndexError(index)
