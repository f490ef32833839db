"""Limits of a command (seconds, trials, workers), and when they stop a training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from foveal.train.records import StepRecord
from foveal.tune.budget import Times, too_short
from foveal.types import JsonObject

# Steps of a stage before its own estimate of the time left is believed, or seconds; and a part of
# the budget, but no more than a minute: the first steps take many times as long as later ones, the
# first epochs of a small set too, and to refuse a budget that is enough costs more than to wait.
_SURE_STEPS, _SURE_S = 20, 20.0
_SURE_SHARE, _LONG_S = 0.03, 60.0
# What is estimated that early is not held against a budget that it exceeds by little.
_DOUBT = 1.25


@final
@dataclass(frozen=True)
class Limits:
    """The limits of a command.

    Attributes:
        deadline: When the study shall have ended, by `time.time`; None without a budget.
        budget_s: The budget in seconds.
        trials: How many trials there shall be at most; None does not limit them.
        workers: How many work at a time.
        again: The command that goes on, with `{}` in place of another budget.
    """

    deadline: float | None = None
    budget_s: float | None = None
    trials: int | None = None
    workers: int = 1
    again: str = "foveal tune DATA --budget {}"

    def left_s(self) -> float:
        """Return how long there is until the deadline."""
        return math.inf if self.deadline is None else self.deadline - time.time()

    def search_left_s(self, times: Times) -> float:
        """Return how long there is until the comparison must begin."""
        return self.left_s() - times.reserve_s()

    def check(self, times: Times) -> None:
        """Raise where no trial beside that of the default recipe fits.

        Raises:
            UsageError: `budget_too_short`.
        """
        trial_s = times.default_s
        if self.budget_s is None or trial_s is None:
            return
        if self.search_left_s(times) < trial_s:
            least = max(times.least_s(trial_s), self.budget_s - self.search_left_s(times) + trial_s)
            raise too_short(self.budget_s, trial_s, least, again=self.again)

    def to_json(self) -> JsonObject:
        """Return JSON values, for a worker that is a process of its own."""
        return {
            "deadline": self.deadline,
            "budget_s": self.budget_s,
            "trials": self.trials,
            "workers": self.workers,
            "again": self.again,
        }


@final
class Watch:
    """Decides after every step whether a trial must stop.

    Attributes:
        why: `asked`, `time`, `slow` or `short` once it is to stop: the command was interrupted,
            the search has ended, the trial cannot end within it, or not even the default recipe
            can be tried and compared within the budget. Empty before.
        trial_s: How long the trial takes in all, as estimated when it was to stop.

    Args:
        limits: Time and trials that the command may take.
        times: What is known about how long things take.
        asked: Tells whether the command was interrupted.
        is_default: Whether this is the trial of the default recipe, which all others need.
        before_s: What the trial took in earlier commands.
    """

    def __init__(
        self,
        limits: Limits,
        times: Times,
        asked: Callable[[], bool],
        *,
        is_default: bool,
        before_s: float = 0.0,
    ) -> None:
        self.why = ""
        self.trial_s = math.nan
        self._limits = limits
        self._times = times
        self._asked = asked
        self._is_default = is_default
        self._begun_s = time.monotonic() - before_s
        self._stage = ""
        self._since = time.monotonic()
        self._steps = 0

    @property
    def seconds(self) -> float:
        """Return how long the trial has taken so far."""
        return time.monotonic() - self._begun_s

    def __call__(self, step: StepRecord | None = None) -> bool:
        """Return whether to stop.

        Args:
            step: The step that was just done; None between trainings.
        """
        if self._asked():
            self.why = "asked"
        elif self._limits.deadline is not None:
            self._compare(step)
        return bool(self.why)

    def _compare(self, step: StepRecord | None) -> None:
        left_s = self._limits.search_left_s(self._times)
        if not self._is_default and left_s <= 0:
            self.why = "time"
        if step is None or step.left_s is None:
            return
        if step.stage != self._stage:
            self._stage, self._since, self._steps = step.stage, time.monotonic(), 0
        self._steps += 1
        budget_s = self._limits.budget_s or math.inf
        since_s = time.monotonic() - self._since
        if self._steps < _SURE_STEPS and since_s < _SURE_S:
            return
        if since_s < min(_SURE_SHARE * budget_s, _LONG_S):
            return
        self.trial_s = self.seconds + step.left_s
        if self._is_default:
            if self._times.least_s(self.trial_s) > _DOUBT * budget_s:
                self.why = "short"
        elif step.left_s > left_s:
            self.why = "slow"
