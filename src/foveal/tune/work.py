"""The loop of a worker: take the next task of a study and run it, until nothing is left.

All workers are alike and know nothing but what the study's folder says. Each piece of work has a
lock that ends with the process, so that what a killed worker left is found by the next one.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias, final

from foveal.atomic import hold, locked
from foveal.console import Progress
from foveal.errors import UsageError
from foveal.recipe import Recipe
from foveal.tune.folder import StudyFolder
from foveal.tune.journal import Journal
from foveal.tune.laying import Layout
from foveal.tune.limits import Limits
from foveal.tune.resolving import Resolver
from foveal.tune.spacefile import space_from_json
from foveal.tune.state import State, comparison
from foveal.tune.trial import TrialWork
from foveal.workflow.lock import working_on
from foveal.workflow.train import resume_training

logger = logging.getLogger(__name__)

Work: TypeAlias = Callable[[], None]

# A training of the comparison may end this share of the budget late, and is begun if so.
_LATE = 0.03
_PAUSE_S = 0.2


@final
class Worker:
    """Works on a study until nothing is left, or until it is asked to stop.

    Args:
        folder: The study.
        limits: What the command may take.
        progress: Told how far a training is.
        asked: Tells whether the command was interrupted.
    """

    def __init__(
        self,
        folder: StudyFolder,
        limits: Limits,
        progress: Progress,
        asked: Callable[[], bool],
        *,
        resolver: Resolver | None = None,
    ) -> None:
        about = folder.read_about()
        self._folder = folder
        self._limits = limits
        self._progress = progress
        self._asked = asked
        self._resolver = resolver or Resolver(about["data"], Recipe.load(folder.given))
        self._space = space_from_json(about["space"])
        seed = self._resolver.default.seed
        self._journal = Journal(folder.journal, self._space, about["rungs"], seed)
        self._layout = Layout(folder, about["data"])
        self._rungs: int = about["rungs"]

    def run(self) -> None:
        """Work until nothing is left.

        Raises:
            UsageError: `budget_too_short` when the budget is not enough for a single comparison.
            FovealError: If the default recipe cannot be trained.
            KeyboardInterrupt: If Ctrl-C stopped it.
        """
        while not self._asked():
            with ExitStack() as held:
                with locked(self._folder.picking):
                    work = self._next(held)
                if work is None:
                    return
                work()

    def _next(self, held: ExitStack) -> Work | None:
        """Return what to do next, locked until `held` ends; None when nothing is left."""
        state = State.of(self._folder, self._journal)
        left, are_others = self._left(state, held)
        if state.chosen is None:
            if work := self._measure(state, held) or self._trial(state, left, held):
                return work
            if are_others:
                # One of them may become the best.
                return self._compare(state, None, held) or partial(time.sleep, _PAUSE_S)
            if state.best is not None:
                self._folder.write(self._folder.chosen, {"trial": state.best.number})
        return self._compare(state, state.chosen, held)

    def _left(self, state: State, held: ExitStack) -> tuple[Any | None, bool]:
        """Return a trial that its process left, locked, and whether others are being trained."""
        found: Any | None = None
        are_others = False
        for trial in state.trials:
            if trial.state is not self._journal.states.RUNNING:
                continue
            with ExitStack() as probe:
                if not self._hold_trial(trial.number, probe):
                    are_others = True
                elif found is None:
                    found = trial
                    held.push(probe.pop_all())
        return found, are_others

    def _measure(self, state: State, held: ExitStack) -> Work | None:
        """Return the first training of the comparison: it says how long the others take."""
        if state.default is None or self._limits.deadline is None:
            return None
        return self._compare(state, None, held, most=1)

    def _trial(self, state: State, left: Any | None, held: ExitStack) -> Work | None:
        """Return the training of a trial: of one that was left by its process, or a new one."""
        times = state.times(self._limits.workers)
        if state.default is not None and len(state.trials) == 1:
            self._limits.check(times)
        elif state.default is not None and self._limits.search_left_s(times) <= 0:
            return None
        if left is not None:
            trial, values = self._journal.take_up(left._trial_id)
        elif self._has_room(state):
            trial, values = self._journal.ask()
            self._hold_trial(trial.number, held)
        else:
            return None
        work = TrialWork(self._folder, self._journal, self._resolver, self._layout, self._rungs)
        return partial(work.train, trial, values, self._limits, times, self._progress, self._asked)

    def _has_room(self, state: State) -> bool:
        most = math.inf if self._limits.trials is None else self._limits.trials
        return len(state.trials) < min(most, self._space.size)

    def _hold_trial(self, number: int, held: ExitStack) -> bool:
        """Lock a trial; return whether that was possible."""
        run = self._folder.trial(number)
        run.path.mkdir(parents=True, exist_ok=True)
        try:
            held.enter_context(working_on(run))
        except UsageError:
            return False
        return True

    def _compare(
        self, state: State, number: int | None, held: ExitStack, *, most: int | None = None
    ) -> Work | None:
        """Return the next training of the comparison that is due; None when none is.

        Args:
            state: A look at the study.
            number: Number of the trial that is compared; None while only the default recipe can be.
            held: Keeps the lock.
            most: How many of them are looked at; None for all.
        """
        times = state.times(self._limits.workers)
        for position, (name, is_default) in enumerate(comparison(number)[:most]):
            if name in times.compared or (number is None and not is_default):
                continue
            each_s = times.each_default_s if is_default else times.each_best_s
            late_s = _LATE * (self._limits.budget_s or 0.0)
            if position and self._limits.left_s() + late_s < each_s:
                return None
            run = self._folder.comparison(name)
            run.path.mkdir(parents=True, exist_ok=True)
            if self._hold_comparison(name, held):
                recipe = self._recipe(None if is_default else number)
                seeded = replace(recipe, seed=recipe.seed + 1 + position // 2)
                return partial(self._train, name, seeded)
        return None

    def _hold_comparison(self, name: str, held: ExitStack) -> bool:
        # The run has a lock of its own, which its training takes.
        path = self._folder.compared(name).with_suffix(".lock")
        file = held.enter_context(path.open("a"))
        return hold(file.fileno(), wait=False)

    def _recipe(self, number: int | None) -> Recipe:
        if number is None:
            return self._resolver.default
        return Recipe.load(self._folder.trial(number).recipe)

    def _train(self, name: str, recipe: Recipe) -> None:
        """Do a training of the comparison, with its proof and its evaluation."""
        begun_s = time.monotonic()
        run = self._folder.comparison(name)
        self._layout.lay(run, recipe)
        self._layout.take(run)
        resume_training(run.path, progress=self._progress)
        seconds = round(time.monotonic() - begun_s, 3)
        self._folder.write(self._folder.compared(name), {"seconds": seconds})
        logger.info("compared: %s trained, proven and measured in %.0f s", name, seconds)
