"""The loop: fit → run_stage → run_epoch → train_step. Knows no task and no file format.

How a workflow calls it::

    device = choose_device(options.device)
    loader = CacheLoader(cache, train_indices, training.collate(train_targets, task),
                         batch_size=64, seed=seed, augment=Augmenter(options.augment, pad_color),
                         device=device)
    trainer = Trainer(options, device=device, seed=seed,
                      callbacks=[ResultsCsv(run / "results.csv"), ProgressReport(progress, metric)],
                      checkpoints=CheckpointStore(run / "checkpoints"))
    stages = [Stage("full", loader, epochs=20, lr=default_lr(options, "scratch", 64))]
    result = trainer.fit(model, training, stages, validate, metric="accuracy", resume=True)

Afterwards `model` holds the best weights. `resume=True` goes on from the latest checkpoint, or
starts anew when there is none; a finished run gives its result again. A finished run is extended
by resuming it with one stage more: the new stage starts from the final weights with a schedule of
its own. Within a budget (`options.budget_s`) a stage runs at most `epochs` and is fitted to the
measured speed; the budget counts from the start of the fit, the parts before a kill included.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from foveal.errors import FovealError, UsageError
from foveal.recipe import TrainOptions
from foveal.tasks.training import TaskTraining
from foveal.train.callbacks import Callback
from foveal.train.checkpoint import CheckpointStore
from foveal.train.data import Batch
from foveal.train.interrupt import StopSwitch
from foveal.train.mixup import mix
from foveal.train.optim import (
    Ema,
    build_optimizer,
    plateau_factor,
    schedule_factor,
    set_lr,
    set_modes,
    snapshot,
)
from foveal.train.pace import Pace
from foveal.train.precision import choose_precision, use_threads
from foveal.train.records import EpochRecord, FitResult, Forward, Stage, StepRecord, Validate
from foveal.train.saver import Saver
from foveal.train.seeds import derive_seed, seed_all
from foveal.train.state import Best, EpochSums, RunState

logger = logging.getLogger(__name__)

# Far above the norms of a healthy step (0.1 to 3 on the small networks): only spikes are cut.
CLIP_NORM = 10.0
# Compiling takes about a minute; a step gains perhaps a third of some 50 ms.
COMPILE_MIN_STEPS = 3000


@dataclass
class _Fit:
    """What stays the same during one call of `fit`, and the state that changes."""

    training: TaskTraining
    stages: Sequence[Stage]
    validate: Validate
    metric: str
    label_weights: Tensor | None
    state: RunState
    saver: Saver
    saved_optimizer: dict[str, Any] | None = None


class Trainer:
    """Trains networks.

    Args:
        options: The recipe's train section.
        device: Where to train.
        seed: Of dropout and MixUp; the loaders have their own.
        callbacks: Hear what happens, in order.
        checkpoints: Where to write checkpoints, or None for none.
        clock: Seconds, never going back; replaced in tests.
    """

    def __init__(
        self,
        options: TrainOptions,
        *,
        device: torch.device,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
        checkpoints: CheckpointStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the parts; nothing happens yet."""
        self.options = options
        self.device = device
        self.precision = choose_precision(options.precision, device)
        self._seed = seed
        self._callbacks = tuple(callbacks)
        self._checkpoints = checkpoints
        self._clock = clock
        self._switch = StopSwitch()

    def stop(self) -> None:
        """Ask the fit to end after the current step, as Ctrl-C does. May come from any thread."""
        self._switch.ask()

    def fit(
        self,
        model: nn.Module,
        training: TaskTraining,
        stages: Sequence[Stage],
        validate: Validate,
        *,
        metric: str,
        label_weights: Tensor | None = None,
        resume: bool = False,
    ) -> FitResult:
        """Train the model in place, stage by stage, and leave the best weights in it.

        Args:
            model: Moved to the device.
            training: Gives the losses.
            stages: What to do, in order.
            validate: Measures the model after every epoch.
            metric: The name in what `validate` gives by which weights are compared.
            label_weights: (C,) float32, handed to the losses.
            resume: Go on from the latest checkpoint, if there is one.

        Raises:
            UsageError: For a stage without an end or without a trainable parameter.
            FovealError: When the loss became infinite before any validation.
        """
        if any(stage.epochs is None for stage in stages) and self.options.budget_s is None:
            raise UsageError(
                "Invalid stage: it has neither a number of epochs nor a budget.",
                hint="foveal train DATA --epochs 20",
            )
        trainable = [parameter.requires_grad for parameter in model.parameters()]
        with torch.random.fork_rng(devices=[]), self._switch.listening():
            fit = self._begin(model, training, stages, validate, metric, label_weights, resume)
            state = fit.state
            try:
                while state.stage < len(stages) and not self._ends(state):
                    self.run_stage(fit, stages[state.stage])
            except KeyboardInterrupt:
                state.stopped = "interrupted"
            result = self._end(fit)
        for parameter, flag in zip(model.parameters(), trainable, strict=True):
            parameter.requires_grad_(flag)
        for callback in self._callbacks:
            callback.fit_ended(result)
        return result

    def run_stage(self, fit: _Fit, stage: Stage) -> None:
        """Run epochs until the stage has no steps, no patience or no time left."""
        state = fit.state
        pace = self._enter_stage(fit, stage)
        forward = self._compiled(stage, pace)
        # An epoch whose last step is done but whose validation is not comes from a checkpoint.
        while state.batch > 0 or not pace.is_finished(fit.saver.elapsed_s()):
            self.run_epoch(fit, stage, pace, forward)
            if self._ends(state):
                return
            if self.options.patience is not None and state.stale >= self.options.patience:
                state.stopped = "patience"
                break
        else:
            out_of_time = pace.deadline_s is not None and pace.is_out_of_time()
            state.stopped = "budget" if out_of_time else "finished"
        state.stage += 1
        state.pace = state.optimizer = None
        fit.saver.save(state)

    def run_epoch(self, fit: _Fit, stage: Stage, pace: Pace, forward: Forward) -> None:
        """Train on the rest of the current epoch, then validate and record it."""
        state = fit.state
        set_modes(state.model)
        with contextlib.closing(stage.loader.epoch(state.epoch, state.batch)) as batches:
            begun_s = self._clock()
            for batch in batches:
                if pace.is_finished(fit.saver.elapsed_s()):
                    break
                losses, samples = self.train_step(fit, stage, pace, forward, batch)
                ended_s = self._synchronised_clock(pace)
                state.sums.add(losses, samples, ended_s - begun_s)
                pace.step_done(ended_s - begun_s, fit.saver.elapsed_s())
                begun_s = ended_s
                self._report_step(fit, stage, pace, losses["loss"], batch, samples)
                if self._switch.asked:
                    state.stopped = "interrupted"
                    fit.saver.save(state)
                    return
                fit.saver.save_if_due(state, within_epoch=True)
        self._finish_epoch(fit, stage, pace)

    def train_step(
        self, fit: _Fit, stage: Stage, pace: Pace, forward: Forward, batch: Batch
    ) -> tuple[dict[str, Tensor], int]:
        """Do one optimizer step; return the losses, still on the device, and the batch's size."""
        state, options = fit.state, self.options
        if state.optimizer is None:
            raise RuntimeError("train_step outside a stage")
        # Dropout depends on the place in the run alone, so a resumed run drops the same units.
        seed_all(derive_seed(self._seed, "step", state.epoch, state.batch), self.device)
        set_lr(state.optimizer, self._lr(stage, state, pace))
        if options.mixup:
            batch = mix(batch, options.mixup, derive_seed(self._seed, "mixup", state.step))
        inputs, targets = batch
        with self.precision.autocast():
            outputs = forward(state.model, inputs)
        outputs = {n: o.float() if o.is_floating_point() else o for n, o in outputs.items()}
        losses = fit.training.losses(outputs, targets, options, fit.label_weights)
        state.optimizer.zero_grad(set_to_none=True)
        state.scaler.scale(losses["loss"]).backward()  # type: ignore[no-untyped-call]  # torch
        state.scaler.unscale_(state.optimizer)
        trained = [p for p in state.model.parameters() if p.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, CLIP_NORM)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.step += 1
        state.batch += 1
        if state.ema:
            state.ema.update(state.step)
        first = inputs[0] if isinstance(inputs, tuple) else inputs
        return losses, int(first.shape[0])

    def _finish_epoch(self, fit: _Fit, stage: Stage, pace: Pace) -> None:
        state = fit.state
        losses = state.sums.means()
        state.epoch, state.batch = state.epoch + 1, 0
        if not math.isfinite(losses["loss"]):
            logger.warning("the loss is %s in epoch %d: stopping", losses["loss"], state.epoch)
            state.stopped = "diverged"
            return
        begun_s = self._clock()
        metrics = self._validated(fit, stage)
        validation_s = self._clock() - begun_s
        pace.validation_done(validation_s)
        is_best = state.judge(metrics, fit.metric)
        record = EpochRecord(
            stage=stage.name,
            epoch=state.epoch,
            step=state.step,
            lr=state.optimizer.param_groups[0]["lr"] if state.optimizer else 0.0,
            losses=losses,
            metrics=metrics,
            seconds=state.sums.seconds + validation_s,
            samples_per_s=state.sums.samples / max(state.sums.seconds, 1e-9),
            is_best=is_best,
        )
        if self.options.schedule == "plateau":
            state.plateau *= plateau_factor(state.stale)
        state.sums = EpochSums()
        state.history.append(record)
        for callback in self._callbacks:
            callback.epoch_done(record)
        if self._switch.asked:
            state.stopped = "interrupted"
            fit.saver.save(state)
        else:
            fit.saver.save_if_due(state, within_epoch=False)

    def _begin(
        self,
        model: nn.Module,
        training: TaskTraining,
        stages: Sequence[Stage],
        validate: Validate,
        metric: str,
        label_weights: Tensor | None,
        resume: bool,
    ) -> _Fit:
        use_threads()
        torch.backends.cudnn.benchmark = self.device.type == "cuda"
        model.to(self.device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stub
        state = RunState(
            model,
            Ema(model, self.options.ema) if self.options.ema else None,
            torch.amp.GradScaler(self.device.type, enabled=self.precision.scaled),
        )
        weights = None if label_weights is None else label_weights.to(self.device)
        saver = Saver(self._checkpoints, self._clock)
        fit = _Fit(training, stages, validate, metric, weights, state, saver)
        checkpoint = saver.latest() if resume else None
        if checkpoint is not None:
            fit.saved_optimizer = state.restore(checkpoint)
            logger.info("resumed after step %d (epoch %d)", state.step, state.epoch)
        saver.start_at(state.elapsed_s)
        for callback in self._callbacks:
            callback.fit_started(model, stages, state.history)
        if state.stage < len(stages):
            state.stopped = None
        return fit

    def _end(self, fit: _Fit) -> FitResult:
        state = fit.state
        if state.best is None:
            if state.stopped == "diverged":
                raise FovealError(
                    "The training diverged: the loss became infinite in the first epoch.",
                    hint="foveal train DATA --lr 0.0003",
                    code="diverged",
                )
            stage = fit.stages[min(state.stage, len(fit.stages) - 1)]
            metrics = self._validated(fit, stage)
            score = (metrics[fit.metric], 0.0)
            state.best = Best(snapshot(state.shown_model), state.epoch, score, metrics)
        state.model.load_state_dict(state.best.weights)
        state.model.eval()
        return FitResult(
            history=tuple(state.history),
            best_epoch=state.best.epoch,
            best_metrics=dict(state.best.metrics),
            stopped=state.stopped or "finished",
            steps=state.step,
            seconds=fit.saver.elapsed_s(),
        )

    def _enter_stage(self, fit: _Fit, stage: Stage) -> Pace:
        state, steps = fit.state, len(stage.loader)
        state.optimizer = build_optimizer(state.model, self.options, stage.lr_factor)
        if state.pace is not None:
            if state.pace.steps_per_epoch != steps:
                raise FovealError(
                    f"Cannot resume: an epoch had {state.pace.steps_per_epoch} batches and has "
                    f"{steps} now, so the data or the batch size changed.",
                    hint="foveal train DATA",
                    code="checkpoint_mismatch",
                )
            if fit.saved_optimizer is not None:
                state.optimizer.load_state_dict(fit.saved_optimizer)
            return state.pace
        total = None if stage.epochs is None else stage.epochs * steps
        state.pace = Pace(steps, total, self._deadline_s(fit, stage))
        state.stale, state.stage_best, state.plateau = 0, -math.inf, 1.0
        return state.pace

    def _deadline_s(self, fit: _Fit, stage: Stage) -> float | None:
        if self.options.budget_s is None:
            return None
        shares = [later.budget_share for later in fit.stages[fit.state.stage :]]
        elapsed_s = fit.saver.elapsed_s()
        left_s = max(0.0, self.options.budget_s - elapsed_s)
        return elapsed_s + left_s * stage.budget_share / sum(shares)

    def _compiled(self, stage: Stage, pace: Pace) -> Forward:
        wanted = self.options.compile
        if wanted is None:
            is_long = pace.total is None or pace.total - pace.done >= COMPILE_MIN_STEPS
            wanted = self.device.type == "cuda" and is_long
        if not wanted:
            return stage.forward
        compiled: Forward = torch.compile(stage.forward)
        return compiled

    def _lr(self, stage: Stage, state: RunState, pace: Pace) -> float:
        return stage.lr * schedule_factor(self.options.schedule, pace.progress) * state.plateau

    def _validated(self, fit: _Fit, stage: Stage) -> dict[str, float]:
        model = fit.state.shown_model
        model.eval()
        with torch.no_grad():
            metrics = dict((stage.validate or fit.validate)(model))
        if fit.metric not in metrics:
            raise ValueError(f"validate gave {sorted(metrics)}. Expected {fit.metric!r} in it.")
        return metrics

    def _report_step(
        self, fit: _Fit, stage: Stage, pace: Pace, loss: Tensor, batch: Batch, samples: int
    ) -> None:
        state = fit.state
        if not self._callbacks or state.optimizer is None:
            return
        elapsed_s = fit.saver.elapsed_s()
        record = StepRecord(
            stage=stage.name,
            epoch=state.epoch + 1,
            step=state.step,
            progress=pace.progress,
            loss=loss.detach(),
            lr=self._lr(stage, state, pace),
            samples=samples,
            inputs=batch[0],
            elapsed_s=elapsed_s,
            left_s=pace.left_s(elapsed_s),
        )
        for callback in self._callbacks:
            callback.step_done(record)

    def _synchronised_clock(self, pace: Pace) -> float:
        # Steps are only queued on CUDA: now and then a budget must see when they really end.
        if self.device.type == "cuda" and pace.deadline_s is not None and pace.done % 20 == 0:
            torch.cuda.synchronize(self.device)
        return self._clock()

    @staticmethod
    def _ends(state: RunState) -> bool:
        return state.stopped in ("interrupted", "diverged")
