"""Train in rungs: stop at the end of a rung, and resume from its checkpoint."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeAlias, final

from torch import nn

from foveal.console import Progress
from foveal.data.source import Source
from foveal.recipe import Recipe
from foveal.train.callbacks import ProgressReport, ResultsCsv
from foveal.train.checkpoint import CheckpointStore
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord
from foveal.train.trainer import Trainer
from foveal.tune.journal import REDUCTION
from foveal.workflow.batches import TrainSetup
from foveal.workflow.network import new_network
from foveal.workflow.prepare import prepare
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.stages import Planner
from foveal.workflow.units import Units

Stop: TypeAlias = Callable[[StepRecord | None], bool]
"""Whether to stop, asked after every step with what is known of it, and before the first."""

MOST_RUNGS = REDUCTION**2
"""A training is judged after a ninth and a third of its epochs, where it has as many."""


@final
@dataclass(frozen=True, slots=True)
class Reached:
    """The state of a partial training.

    Attributes:
        value: The best value of the primary metric so far; NaN before the first validation.
        loss: The validation loss of those weights.
        epoch: How many epochs are done.
        epochs: How many there are in all.
        is_complete: Whether the training has ended by itself.
        is_stopped: Whether it was stopped before the end of the rung.
        history: One record for each epoch.
    """

    value: float
    loss: float
    epoch: int
    epochs: int
    is_complete: bool
    is_stopped: bool
    history: tuple[EpochRecord, ...]


def rungs_of(epochs: int) -> int:
    """Return the largest resource of a training whose last stage has so many epochs: 1, 3 or 9."""
    rungs = 1
    while rungs < MOST_RUNGS and rungs * REDUCTION <= epochs:
        rungs *= REDUCTION
    return rungs


def last_stage_epochs(recipe: Recipe) -> int:
    """Return the epochs of the last stage of a resolved recipe, in which trainings are judged."""
    train = recipe.train
    if train.strategy != "frozen":
        return train.epochs or 1
    return (train.head_epochs or 1) if train.head_solver == "steps" else 1


@final
class PartedTraining:
    """A training that stops at the ends of rungs and resumes from there.

    Nothing is trained twice: each part begins with the checkpoint of the one before, and the
    schedule is that of the whole training. So the weights at the end are those of a training that
    was never stopped, bit for bit.

    Args:
        run: Has the resolved recipe and the split; its checkpoints, where there are some, are
            taken up.
        source: The pictures.
        progress: Receives the progress.
        stop: Asked after every step; a training that is to stop keeps its checkpoint.

    Raises:
        StoppedBefore: If it is to stop before anything is trained.
    """

    def __init__(
        self,
        run: RunDirectory,
        source: Source,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._run = run
        self._progress = progress
        self._stop = stop
        self._recipe = recipe = Recipe.load(run.recipe)
        before = _Stoppable(progress, stop)
        self._prepared = prepare(source, recipe, run, before, resume=True)
        self._setting = setting = TrainSetup.of(recipe, self._prepared.task)
        self._network = new_network(setting.training, recipe)
        self._planner = Planner(
            self._prepared, Units(self._prepared), self._network, setting, run, before
        )
        self._plan = self._planner.plan()
        self.epochs = sum(stage.epochs or 0 for stage in self._plan.stages)

    def __enter__(self) -> PartedTraining:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what reads the pictures."""
        self._planner.close()
        self._prepared.cache.close()

    def forget(self) -> None:
        """Remove what only going on needs: the checkpoints and the decoded pictures."""
        shutil.rmtree(self._run.checkpoints, ignore_errors=True)
        shutil.rmtree(self._run.cache, ignore_errors=True)

    def train_to(self, rung: int, rungs: int) -> Reached:
        """Train until a rung ends, and return what is reached then.

        The first rungs end within the last stage: a head that is trained beforehand, on cached
        features, costs next to nothing.

        Args:
            rung: The rung's share of the last stage, of `rungs`.
            rungs: The largest rung, which is the whole training.
        """
        is_last = rung >= rungs
        until = self._epoch_of(rung, rungs)
        known = self._known()
        if not is_last and known is not None and known.epoch >= until:
            return known
        watcher = _Until(None if is_last else until, self._stop)
        task = self._prepared.task
        watcher.trainer = trainer = Trainer(
            self._recipe.train,
            device=self._setting.device,
            seed=self._recipe.seed,
            clock=monotonic,
            callbacks=[
                ResultsCsv(self._run.results),
                ProgressReport(self._progress, task.primary_metric),
                *self._planner.listeners,
                watcher,
            ],
            checkpoints=CheckpointStore(self._run.checkpoints),
        )
        result = trainer.fit(
            self._network,
            self._setting.training,
            self._plan.stages,
            self._plan.validation,
            metric=task.primary_metric,
            label_weights=self._plan.label_weights,
            resume=True,
        )
        if result.stopped == "interrupted" and not watcher.has_stopped:
            raise KeyboardInterrupt
        return self._reached(result, watcher)

    def _epoch_of(self, rung: int, rungs: int) -> int:
        last = self._plan.stages[-1].epochs or 1
        return self.epochs - last + max(1, math.ceil(last * rung / rungs))

    def _known(self) -> Reached | None:
        """Return what the checkpoint has come to; None without one."""
        checkpoint = CheckpointStore(self._run.checkpoints).load()
        if checkpoint is None:
            return None
        state = checkpoint.state
        history = tuple(EpochRecord(**record) for record in state["history"])
        metrics = state["best"]["metrics"] if state["best"] else {}
        is_complete = state["stage"] >= len(self._plan.stages)
        return self._of(metrics, state["epoch"], is_complete, False, history)

    def _reached(self, result: FitResult, watcher: _Until) -> Reached:
        is_complete = result.stopped not in ("asked", "interrupted")
        epoch = result.history[-1].epoch if result.history else 0
        return self._of(
            result.best_metrics, epoch, is_complete, watcher.has_stopped, result.history
        )

    def _of(
        self,
        metrics: dict[str, float],
        epoch: int,
        is_complete: bool,
        is_stopped: bool,
        history: tuple[EpochRecord, ...],
    ) -> Reached:
        value = metrics.get(self._prepared.task.primary_metric, math.nan)
        loss = metrics.get("loss", math.nan)
        return Reached(value, loss, epoch, self.epochs, is_complete, is_stopped, history)


class StoppedBefore(Exception):
    """Raised if work before a training, such as decoding its pictures, is stopped."""


@final
class _Stoppable:
    """A `Progress` that raises `StoppedBefore` when the work that reports to it is to stop."""

    def __init__(self, progress: Progress, stop: Stop) -> None:
        self._progress = progress
        self._stop = stop

    def start(self, title: str, total: int | None) -> None:
        """Hand it on."""
        self._progress.start(title, total)

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        """Hand it on, or stop."""
        self._progress.update(done, fields)
        if self._stop(None):
            self._progress.finish()
            raise StoppedBefore

    def finish(self) -> None:
        """Hand it on."""
        self._progress.finish()


@final
class _Until:
    """Ends a fit after an epoch, or when it is to stop.

    Args:
        epoch: The last epoch, counted over all stages; None does not end it.
        stop: Asked after every step.
    """

    def __init__(self, epoch: int | None, stop: Stop) -> None:
        self._epoch = epoch
        self._stop = stop
        self.trainer: Trainer | None = None
        self.has_stopped = False

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        """Ignore."""

    def step_done(self, step: StepRecord) -> None:
        """Ask for the end after the last step of the last epoch, or of any when it is to stop."""
        if self.trainer is None:
            return
        if self._stop(step):
            self.has_stopped = True
            self.trainer.stop()
        elif self._epoch is not None and step.epoch >= self._epoch:
            self.trainer.stop(after_epoch=True)

    def epoch_done(self, record: EpochRecord) -> None:
        """Ignore."""

    def fit_ended(self, result: FitResult) -> None:
        """Ignore."""
