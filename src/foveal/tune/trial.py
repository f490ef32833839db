"""Train a trial rung by rung, until it completes or is pruned."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, final

from foveal.console import Progress
from foveal.errors import FovealError, TrainingInterrupted
from foveal.tune.budget import Times, too_short
from foveal.tune.folder import StudyFolder
from foveal.tune.journal import REDUCTION, Journal, is_default
from foveal.tune.laying import Layout
from foveal.tune.limits import Limits, Watch
from foveal.tune.resolving import Resolver
from foveal.tune.rungs import PartedTraining, Reached, StoppedBefore
from foveal.tune.space import Value
from foveal.words import percent
from foveal.workflow.ending import ending
from foveal.workflow.rundir import RunDirectory

logger = logging.getLogger(__name__)

# A trial that ended its process as often is not taken up again.
_MOST_ATTEMPTS = 3


@final
class TrialWork:
    """Trains the trials of a study.

    Args:
        folder: The study.
        journal: Its trials.
        resolver: Makes recipes of values.
        layout: Lays out runs.
        rungs: The largest rung.
    """

    def __init__(
        self,
        folder: StudyFolder,
        journal: Journal,
        resolver: Resolver,
        layout: Layout,
        rungs: int,
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._resolver = resolver
        self._layout = layout
        self._rungs = rungs

    def train(
        self,
        trial: Any,
        values: dict[str, Value],
        limits: Limits,
        times: Times,
        progress: Progress,
        asked: Callable[[], bool],
    ) -> None:
        """Train a trial to its end, or until it is given up or to be stopped.

        One that is stopped stays as it is, to be taken up again.

        Args:
            trial: Optuna's trial; its run is locked.
            values: What it tries.
            limits: Time and trials that the command may take.
            times: What is known about how long things take.
            progress: Told how far the training is.
            asked: Tells whether the command was interrupted.

        Raises:
            UsageError: `budget_too_short`.
            FovealError: If the default recipe cannot be trained.
            KeyboardInterrupt: If Ctrl-C stopped it.
        """
        run = self._folder.trial(trial.number)
        attempts = trial.user_attrs.get("attempts", 0) + 1
        self._journal.note(trial, attempts=attempts)
        if attempts > _MOST_ATTEMPTS and not is_default(trial):
            self._fail(trial, f"its process died {_MOST_ATTEMPTS} times")
            return
        watch = Watch(
            limits,
            times,
            asked,
            is_default=is_default(trial),
            before_s=trial.user_attrs.get("seconds", 0.0),
        )
        try:
            if self._is_laid(trial, values, run):
                with ending(run, is_new=False):
                    self._parts(trial, run, progress, watch)
        except TrainingInterrupted as stop:
            # Ctrl-C may come when the trial has ended and is only tidied up.
            if self._journal.is_running(trial):
                self._journal.note(trial, attempts=attempts - 1, seconds=round(watch.seconds, 3))
            raise KeyboardInterrupt from stop
        except FovealError as error:
            if is_default(trial) or error.error_code == "stopped_by_system":
                raise
            self._fail(trial, error.message)
        if watch.why in ("asked", "time"):
            # Its process is well.
            self._journal.note(trial, attempts=attempts - 1)
        if watch.why == "short":
            least_s = times.least_s(watch.trial_s)
            budget_s = limits.budget_s or 0.0
            raise too_short(budget_s, watch.trial_s, least_s, again=limits.again)

    def _is_laid(self, trial: Any, values: dict[str, Value], run: RunDirectory) -> bool:
        """Make the run of a trial; return False for one whose recipe was trained already."""
        if run.recipe.is_file():
            return True
        default = is_default(trial)
        recipe = self._resolver.default if default else self._resolver.recipe(values)
        digest = recipe.digest()
        for other in self._journal.trials():
            if other.number != trial.number and other.user_attrs.get("recipe") == digest:
                if other.state is self._journal.states.RUNNING:
                    continue
                self._repeat(trial, other)
                return False
        self._journal.note(trial, recipe=digest)
        self._layout.lay(run, recipe)
        return True

    def _repeat(self, trial: Any, other: Any) -> None:
        """End a trial as another one of the same recipe ended: it would do the same."""
        for rung, value in other.intermediate_values.items():
            trial.report(value, rung)
        about = {k: v for k, v in other.user_attrs.items() if k in ("loss", "epoch", "epochs")}
        self._journal.note(trial, same_as=other.number, **about)
        self._journal.tell(trial, other.state, other.value)
        logger.info("trial %d: the same recipe as trial %d", trial.number, other.number)

    def _parts(self, trial: Any, run: RunDirectory, progress: Progress, watch: Watch) -> None:
        self._layout.take(run)
        try:
            opened = PartedTraining(run, self._resolver.source, progress, watch)
        except StoppedBefore:
            return
        with opened as training:
            self._layout.share(run)
            rung = 1
            while True:
                reached = training.train_to(rung, self._rungs)
                self._journal.note(
                    trial,
                    loss=None if math.isnan(reached.loss) else reached.loss,
                    epoch=reached.epoch,
                    epochs=reached.epochs,
                    seconds=round(watch.seconds, 3),
                )
                if reached.is_complete or self._is_over(trial, reached, rung, watch):
                    break
                if reached.is_stopped:
                    return
                rung *= REDUCTION
            if reached.is_complete:
                self._complete(trial, reached, watch)
        training.forget()

    def _is_over(self, trial: Any, reached: Reached, rung: int, watch: Watch) -> bool:
        """Judge what a trial has reached at the end of a rung; end it where it is given up."""
        states = self._journal.states
        if reached.is_stopped:
            if watch.why != "slow":
                return False
            self._journal.note(trial, why="too slow for the budget")
            self._journal.tell(trial, states.PRUNED)
            logger.info("trial %d: given up, too slow for the budget", trial.number)
            return True
        if not self._journal.judge(trial, rung, reached.value):
            return False
        self._journal.tell(trial, states.PRUNED)
        logger.info(
            "trial %d: %s after %d of %d epochs, given up (%.0f s)",
            trial.number,
            percent(reached.value),
            reached.epoch,
            reached.epochs,
            watch.seconds,
        )
        return True

    def _complete(self, trial: Any, reached: Reached, watch: Watch) -> None:
        trial.report(reached.value, self._rungs)
        self._journal.note(trial, seconds=round(watch.seconds, 3))
        self._journal.tell(trial, self._journal.states.COMPLETE, reached.value)
        what = "the default recipe" if is_default(trial) else f"{reached.epoch} epochs"
        logger.info(
            "trial %d: %s, %s (%.0f s)",
            trial.number,
            percent(reached.value),
            what,
            watch.seconds,
        )

    def _fail(self, trial: Any, why: str) -> None:
        self._journal.note(trial, why=why)
        self._journal.tell(trial, self._journal.states.FAIL)
        logger.info("trial %d: failed: %s", trial.number, why)
