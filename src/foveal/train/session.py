"""The state of one call of `fit`: its arguments, and the start and end of stages."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from foveal.errors import FovealError
from foveal.recipe import TrainOptions
from foveal.tasks.training import TaskTraining
from foveal.train.blend import SHARES, keep_blend
from foveal.train.data import Batch
from foveal.train.distributed import Group
from foveal.train.optim import build_optimizer, snapshot
from foveal.train.pace import Pace
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord, Validate, Validated
from foveal.train.saver import Saver
from foveal.train.state import Best, RunState

logger = logging.getLogger(__name__)

# Of a budget, however long it took to read the pictures: less would leave the network untrained.
LEAST_SHARE = 0.25


@dataclass
class Session:
    """The arguments and state of a fit; see `Trainer.fit`.

    Attributes:
        chooses: Whether weights are chosen by `validate`; see `Trainer`.
        saved_optimizer: Optimizer state of the checkpoint that the fit continues from, until its
            stage is opened.
    """

    training: TaskTraining
    stages: Sequence[Stage]
    validate: Validate
    metric: str
    label_weights: Tensor | None
    state: RunState
    saver: Saver
    group: Group = field(default_factory=Group)
    chooses: bool = True
    saved_optimizer: dict[str, Any] | None = None

    def spend(self, seconds: float, budget_s: float | None) -> None:
        """Count what was done before the fit as part of the budget."""
        self.state.spent_s = seconds
        if budget_s is not None and seconds > (1 - LEAST_SHARE) * budget_s:
            logger.warning(
                "reading the pictures took %.0f s of the budget of %.0f s; the training still "
                "gets %.0f s",
                seconds,
                budget_s,
                LEAST_SHARE * budget_s,
            )

    def open_stage(self, stage: Stage, options: TrainOptions) -> Pace:
        """Freeze, build the optimizer and plan the schedule, or take up those of the checkpoint.

        Raises:
            UsageError: If the stage trains nothing.
            FovealError: If the checkpoint was made with other batches.
        """
        state, steps = self.state, len(stage.loader)
        state.optimizer = build_optimizer(state.model, options, stage.lr_factor)
        if state.pace is None:
            total = None if stage.epochs is None else stage.epochs * steps
            deadline_s = self._deadline_s(stage, self._budget_s(options))
            if deadline_s is not None:
                (deadline_s,) = self.group.decided(deadline_s)
            compared = len(SHARES) if stage.blended and self.chooses else 0
            state.pace = Pace(steps, total, deadline_s, last_validations=1 + compared)
            state.stale, state.stage_best, state.plateau = 0, -math.inf, 1.0
            if stage.blended and state.best is not None:
                # From the weights that validated best, which need not be the last ones.
                state.keep(state.best)
                state.before = state.best
            return state.pace
        if state.pace.steps_per_epoch != steps:
            raise FovealError(
                f"Cannot resume: an epoch had {state.pace.steps_per_epoch} batches and has "
                f"{steps} now, so the data or the batch size changed.",
                hint="foveal train DATA",
                code="checkpoint_mismatch",
            )
        if self.saved_optimizer is not None:
            state.optimizer.load_state_dict(self.saved_optimizer)
        return state.pace

    def is_time_up(self, pace: Pace) -> bool:
        """Return whether the stage has no step left."""
        elapsed_s = self.saver.elapsed_s()
        if pace.deadline_s is not None:
            # All processes must stop at the same step.
            (elapsed_s,) = self.group.decided(elapsed_s)
        return pace.is_finished(elapsed_s)

    def validated(self, stage: Stage) -> Validated:
        """Measure the model as it is."""
        model = self.state.shown_model
        model.eval()
        with torch.no_grad():
            measured = (stage.validate or self.validate)(model)
        if self.chooses and self.metric not in measured.metrics:
            names = sorted(measured.metrics)
            raise ValueError(f"validate gave {names}. Expected {self.metric!r} in it.")
        return measured

    def close_stage(self, stage: Stage, *, is_annealed: bool) -> None:
        """Keep the best weights between those before and after a stage that is blended.

        Args:
            stage: Has ended.
            is_annealed: Whether its learning rate fell to nearly zero.
        """
        state = self.state
        if not self.chooses:
            # Those before it stay for who chooses.
            state.pace = state.optimizer = None
            return
        # A budget may leave no time for a step.
        if state.before is not None and state.pace is not None and state.pace.done:
            validated = partial(self.validated, stage)
            keep_blend(state, validated, self.metric, is_annealed=is_annealed)
        state.before = state.pace = state.optimizer = None

    def step_record(self, stage: Stage, pace: Pace, loss: Tensor, batch: Batch) -> StepRecord:
        """Return what callbacks see of the step that was just done."""
        state = self.state
        elapsed_s = self.saver.elapsed_s()
        return StepRecord(
            stage=stage.name,
            epoch=state.epoch + 1,
            step=state.step,
            progress=pace.progress,
            loss=loss.detach(),
            lr=state.lr,
            samples=batch.share.total,
            inputs=batch.inputs,
            elapsed_s=elapsed_s,
            left_s=pace.left_s(elapsed_s),
        )

    def epoch_record(
        self,
        stage: Stage,
        losses: dict[str, float],
        measured: Validated,
        is_best: bool,
        validation_s: float,
    ) -> EpochRecord:
        """Return what the history keeps of the epoch that was just validated."""
        state = self.state
        return EpochRecord(
            stage=stage.name,
            epoch=state.epoch,
            step=state.step,
            lr=state.lr,
            losses=losses,
            metrics=measured.metrics,
            seconds=state.sums.seconds + validation_s,
            samples_per_s=state.sums.samples / max(state.sums.seconds, 1e-9),
            is_best=is_best,
            confused=measured.confused,
        )

    def result(self) -> FitResult:
        """Put the best weights into the model and return what came out.

        Raises:
            FovealError: If the training diverged before there were any.
        """
        state = self.state
        if state.best is None:
            if state.stopped == "diverged":
                raise FovealError(
                    "The training diverged: the loss became infinite or NaN in the first epoch.",
                    hint="foveal train DATA --lr 0.0003",
                    code="diverged",
                )
            # Interrupted before the first validation: what was learnt so far is the best there is.
            # It is not validated now: whoever interrupts does not want to wait.
            state.best = Best(snapshot(state.shown_model), state.epoch, (-math.inf, 0.0), {})
        state.model.load_state_dict(state.best.weights)
        state.model.eval()
        return FitResult(
            history=tuple(state.history),
            best_epoch=state.best.epoch,
            best_metrics=dict(state.best.metrics),
            stopped=state.stopped or "finished",
            steps=state.step,
            seconds=self.saver.elapsed_s(),
            before=None if state.before is None else state.before.weights,
        )

    def _budget_s(self, options: TrainOptions) -> float | None:
        """Return the seconds of the budget that are left for training, some of them always."""
        if options.budget_s is None:
            return None
        return max(options.budget_s - self.state.spent_s, LEAST_SHARE * options.budget_s)

    def _deadline_s(self, stage: Stage, budget_s: float | None) -> float | None:
        if budget_s is None or stage.budget_share is None:
            return None
        shares = [later.budget_share or 0.0 for later in self.stages[self.state.stage :]]
        elapsed_s = self.saver.elapsed_s()
        left_s = max(0.0, budget_s - elapsed_s)
        return elapsed_s + left_s * stage.budget_share / sum(shares)
