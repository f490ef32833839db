"""Divide the budget between the search and the comparison at the end.

The comparison trains the default recipe and the best other one on three seeds each. How long that
takes is taken from what was measured: of the first training of the comparison, which is done as
soon as the default recipe has been tried, and of the trials. Until then it is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from foveal.errors import UsageError

SEEDS = 3
"""Of the comparison, for each of both recipes."""

# Export, proof and evaluation of a training, as a share of its time, before any was measured.
_ASSUMED_SHIP = 0.25
# Trainings differ in how long they take; the last ones must still fit.
_MARGIN = 1.1


@final
@dataclass(frozen=True)
class Times:
    """Estimated durations, in seconds.

    Attributes:
        default_s: Trial of the default recipe; None before it has ended.
        best_s: Trial of the best other recipe; None where none has ended.
        compared: Training of the comparison → how long it took.
        wanted: Names of all trainings of the comparison, those of the default recipe first; those
            of the other recipe are named after it, and None stands for one that is not known yet.
        workers: How many are trained at a time.
    """

    default_s: float | None
    best_s: float | None
    compared: Mapping[str, float]
    wanted: Sequence[tuple[str, bool]]
    workers: int = 1

    @property
    def each_default_s(self) -> float:
        """Return how long a training of the comparison takes with the default recipe."""
        measured = [
            self.compared[name] for name, own in self.wanted if own and name in self.compared
        ]
        if measured:
            return sum(measured) / len(measured)
        return (1 + _ASSUMED_SHIP) * (self.default_s or 0.0)

    @property
    def each_best_s(self) -> float:
        """Return how long a training of the comparison takes with the other recipe."""
        measured = [
            self.compared[name] for name, own in self.wanted if not own and name in self.compared
        ]
        if measured:
            return sum(measured) / len(measured)
        longer = 0.0 if self.best_s is None else self.best_s - (self.default_s or 0.0)
        # What comes after the training takes as long with both.
        return max(self.each_default_s + longer, self.best_s or 0.0)

    def reserve_s(self) -> float:
        """Return how long what is left of the comparison takes."""
        left = [
            self.each_default_s if own else self.each_best_s
            for name, own in self.wanted
            if name not in self.compared
        ]
        if not left:
            return 0.0
        return _MARGIN * max(max(left), sum(left) / self.workers)

    def least_s(self, default_s: float) -> float:
        """Return the least budget: the default recipe, one other, and the comparison.

        Args:
            default_s: How long a trial of the default recipe takes.
        """
        rounds = math.ceil(2 * SEEDS / self.workers)
        each = max(self.each_default_s, default_s)
        trials = 2 if self.workers == 1 else 1
        return trials * default_s + rounds * each


def too_short(budget_s: float, trial_s: float, least_s: float, *, again: str) -> UsageError:
    """Return the error for a budget that no trial beside the default recipe fits into.

    Args:
        budget_s: What was given.
        trial_s: How long a trial of the default recipe takes.
        least_s: What is needed at least.
        again: The command that goes on, with `{}` for the budget.
    """
    asked = _round_up(1.2 * least_s)
    return UsageError(
        f"The budget of {words(budget_s)} is too short: one trial of the default recipe takes "
        f"about {words(trial_s)} here. Expected at least {words(least_s)}, for that trial, "
        f"another one, and both recipes with {SEEDS} seeds each.",
        hint=f"{again.format(asked)}, or begin a new study with fewer --epochs",
        code="budget_too_short",
    )


def words(seconds: float) -> str:
    """Return a time as people say it: `45 s`, `12 min`, `1 h 20 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _round_up(seconds: float) -> str:
    """Return a time that `--budget` takes, rounded up."""
    if seconds <= 120:
        return f"{10 * math.ceil(seconds / 10)}s"
    return f"{math.ceil(seconds / 60)}m"
