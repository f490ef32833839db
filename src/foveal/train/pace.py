"""Speed of a training: steps left within the budget, and progress of the schedule."""

from __future__ import annotations

from dataclasses import dataclass

# The first steps allocate memory and choose kernels: they say nothing about the others.
WARMUP_STEPS = 2
# Speed is measured over stretches of at least this long, so that one hiccup weighs little.
STRETCH_S = 0.2
NEW_SHARE = 0.25
# Before the first validation: its cost as a share of an epoch's training. A fifth of the pictures,
# forward only, is a quarter of the samples at a third of the cost.
ASSUMED_VALIDATION = 0.09


@dataclass
class Pace:
    """The measured speed of a stage and its progress in the schedule.

    Attributes:
        steps_per_epoch: Batches of the stage's loader.
        total: The most steps of the stage, or None when only the budget ends it.
        deadline_s: Elapsed seconds at which the stage shall end, or None.
        done: Steps done.
        progress: Share of the schedule that is done, in [0, 1].
        step_s: Seconds of a step, or None before it was measured.
        validation_s: Seconds of a validation, or None before it was measured.
        last_validations: Number of validations after the last step.
    """

    steps_per_epoch: int
    total: int | None
    deadline_s: float | None
    done: int = 0
    progress: float = 0.0
    step_s: float | None = None
    validation_s: float | None = None
    last_validations: int = 1
    _stretch_s: float = 0.0
    _stretch_steps: int = 0
    _seen: int = 0

    def steps_left(self, elapsed_s: float) -> float:
        """Return how many more steps there will be, the budget permitting (not whole)."""
        cap = float("inf") if self.total is None else float(self.total - self.done)
        if self.deadline_s is None:
            return cap
        if self.step_s is None:
            # Nothing is known: the first step is always done.
            return min(cap, float(self.steps_per_epoch)) if elapsed_s < self.deadline_s else 0.0
        validation_s = self._validation_s()
        with_share = self.step_s + validation_s / self.steps_per_epoch
        if with_share == 0:
            # A clock too coarse to see a step.
            return cap if elapsed_s < self.deadline_s else 0.0
        # The last validations come whole; those before them come a share with every step.
        left_s = self.deadline_s - elapsed_s - self.last_validations * validation_s
        return min(cap, max(0.0, left_s) / with_share)

    def is_finished(self, elapsed_s: float) -> bool:
        """Return whether the stage has no whole step left (rounded)."""
        return self.steps_left(elapsed_s) < 0.5

    def is_out_of_time(self) -> bool:
        """Return whether steps of the plan are left, so that only the budget ended the stage."""
        return self.deadline_s is not None and (self.total is None or self.done < self.total)

    def left_s(self, elapsed_s: float) -> float | None:
        """Return the estimated seconds to the end of the stage, None before anything is known."""
        if self.deadline_s is not None and self.total is None:
            return max(0.0, self.deadline_s - elapsed_s)
        if self.step_s is None:
            return None
        per_step = self.step_s + self._validation_s() / self.steps_per_epoch
        return self.steps_left(elapsed_s) * per_step

    def step_done(self, seconds: float, elapsed_s: float) -> None:
        """Count a step that took so long, and move the schedule on by its part of what is left."""
        left = self.steps_left(elapsed_s - seconds)
        if self.step_s is None:
            # Of epochs of a step or two, one epoch is far less than the budget allows.
            self.step_s = seconds
            left = max(left, self.steps_left(elapsed_s - seconds))
        left = max(1.0, left)
        self.done += 1
        self.progress += (1 - self.progress) / left
        self._seen += 1
        if self._seen <= WARMUP_STEPS:
            self.step_s = seconds
            return
        self._stretch_s += seconds
        self._stretch_steps += 1
        first = self._seen <= WARMUP_STEPS + 1
        if first or self._stretch_s >= STRETCH_S:
            measured = self._stretch_s / self._stretch_steps
            old = measured if first or self.step_s is None else self.step_s
            self.step_s = (1 - NEW_SHARE) * old + NEW_SHARE * measured
            self._stretch_s, self._stretch_steps = 0.0, 0

    def validation_done(self, seconds: float) -> None:
        """Note how long a validation took."""
        self.validation_s = seconds

    def _validation_s(self) -> float:
        if self.validation_s is not None:
            return self.validation_s
        return ASSUMED_VALIDATION * (self.step_s or 0.0) * self.steps_per_epoch
