"""The training loop: fit → run_stage → run_epoch → train_step. Independent of tasks.

How a workflow calls it::

    device = choose_device(options.device)
    reader = PictureReader(cache, Augmenter(options.augment, pad_color), seed=seed)
    sampler = WholePictures(cache, train_indices, batch_size=64, seed=seed)
    loader = WindowLoader(reader, sampler, training.collate(train_targets), device=device)
    trainer = Trainer(options, device=device, callbacks=[ProgressReport(progress, metric)],
                      checkpoints=CheckpointStore(run / "checkpoints"))
    stages = [Stage("full", loader, epochs=20, lr=default_lr(options, "scratch", 64))]
    result = trainer.fit(model, training, stages, validate, metric="accuracy", resume=True)

With frozen features the head's stage comes first: `cache_features(network.features, …)` once, then
`Stage("head", WindowLoader(FeatureReader(…), …), epochs, lr, lr_factor=head_only,
forward=forward_head)`.

Afterwards `model` holds the best weights. `resume=True` goes on from the latest checkpoint, or
starts anew when there is none; a finished run gives its result again, and is extended by resuming
it with one stage more, which starts from the final weights with a schedule of its own. Within
`options.budget_s` (from `begun_s` on, parts of the fit before a kill included) a stage runs at most
`epochs` and is fitted to the measured speed.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from foveal.errors import UsageError
from foveal.recipe import TrainOptions
from foveal.tasks.training import TaskTraining, adding_over_processes
from foveal.train.callbacks import Callback
from foveal.train.checkpoint import CheckpointStore
from foveal.train.data import Batch, Inputs
from foveal.train.distributed import Group
from foveal.train.folding import FoldedNormalisation
from foveal.train.interrupt import StopSwitch
from foveal.train.mixup import mix
from foveal.train.optim import Ema, plateau_factor, schedule_factor, set_lr, set_modes
from foveal.train.pace import Pace
from foveal.train.precision import choose_precision, use_threads
from foveal.train.records import FitAtOnce, FitResult, Forward, Stage, Validate
from foveal.train.saver import Saver
from foveal.train.seeds import derive_seed, seed_all
from foveal.train.session import Session
from foveal.train.state import EpochSums, RunState

logger = logging.getLogger(__name__)

# Far above the norms of a healthy step (0.1 to 3 on the small networks): only spikes are cut.
CLIP_NORM = 10.0
# Compiling takes about a minute: shorter runs do not earn it back.
COMPILE_MIN_STEPS = 3000


class Trainer:
    """Trains networks.

    Args:
        options: The recipe's train section.
        device: Device to train on.
        seed: Seed of dropout and MixUp; the loaders have their own.
        callbacks: Hear what happens, in order.
        checkpoints: Where to write checkpoints, or None for none.
        clock: Seconds, never going back; replaced in tests.
        begun_s: When the work began, by the clock: what it took until the fit is of the budget.
        schedule: Share of the stage that is done → factor on its learning rate; None takes the
            options' schedule.
        group: The processes that train together; None for this one alone.
        chooses: Choose weights by their validation. Otherwise the last ones are kept, and the
            result has those before a blended stage beside them.
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
        begun_s: float | None = None,
        schedule: Callable[[float], float] | None = None,
        group: Group | None = None,
        chooses: bool = True,
    ) -> None:
        self.options = options
        self.device = device
        self.precision = choose_precision(options.precision, device)
        self._seed = seed
        self._callbacks = tuple(callbacks)
        self._checkpoints = checkpoints
        self._clock = clock
        self._begun_s = begun_s
        self._schedule = schedule or partial(schedule_factor, options.schedule)
        self._switch = StopSwitch()
        self._group = group or Group()
        self._chooses = chooses
        self._has_warned = False

    def stop(self, *, after_epoch: bool = False) -> None:
        """Ask the fit to end after the step, as Ctrl-C does, or the epoch. From any thread."""
        (self._switch.ask_to_finish if after_epoch else self._switch.ask)()

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
            stages: Stages, in order.
            validate: Measures the model after every epoch.
            metric: The name in what `validate` gives by which weights are compared.
            label_weights: (C,) float32, handed to the losses.
            resume: Go on from the latest checkpoint, if there is one.

        Raises:
            UsageError: For a stage without an end or without a trainable parameter.
            FovealError: If the loss became infinite before any validation.
        """
        if any(stage.epochs is None for stage in stages) and self.options.budget_s is None:
            raise UsageError(
                "Invalid stage: it has neither a number of epochs nor a budget.",
                hint="foveal train DATA --epochs 20",
            )
        trainable = [parameter.requires_grad for parameter in model.parameters()]
        with torch.random.fork_rng(devices=[]), self._switch.listening():
            session = self._begin(model, training, stages, validate, metric, label_weights, resume)
            state = session.state
            try:
                while state.stage < len(stages) and not state.is_broken_off:
                    self.run_stage(session, stages[state.stage])
            except KeyboardInterrupt:
                state.stopped = "interrupted"
            if state.stopped == "diverged" and self._group.world > 1:
                # What the other processes hold is lost with them.
                session.saver.save(state)
            result = session.result()
        for parameter, flag in zip(model.parameters(), trainable, strict=True):
            parameter.requires_grad_(flag)
        for callback in self._callbacks:
            callback.fit_ended(result)
        return result

    def run_stage(self, session: Session, stage: Stage) -> None:
        """Run epochs until the stage has no steps, no patience or no time left."""
        state = session.state
        if state.is_good_enough(stage.skip_from, session.metric):
            logger.info(
                "stage %s skipped: the metric is already at least %s", stage.name, stage.skip_from
            )
            state.stage += 1
            return
        if stage.fit is not None:
            self._fit_at_once(session, stage, stage.fit)
            return
        pace = session.open_stage(stage, self.options)
        forward = self._forward(stage, pace)
        # An epoch whose last step is done but whose validation is not comes from a checkpoint.
        while state.batch > 0 or not (self._is_out_of_patience(state) or session.is_time_up(pace)):
            self.run_epoch(session, stage, pace, forward)
            if state.is_broken_off:
                return
        if self._is_out_of_patience(state):
            state.stopped = "patience"
        else:
            state.stopped = "budget" if pace.is_out_of_time() else "finished"
        is_annealed = self.options.schedule == "one_cycle" and state.stopped != "patience"
        session.close_stage(stage, is_annealed=is_annealed)
        state.stage += 1
        session.saver.save(state)

    def _fit_at_once(self, session: Session, stage: Stage, fit: FitAtOnce) -> None:
        state = session.state
        state.stale, state.stage_best, state.plateau = 0, -math.inf, 1.0
        begun_s = self._clock()
        losses = fit(state.model)
        if state.ema:
            state.ema.restart()
        state.sums.add(
            {name: torch.tensor(loss) for name, loss in losses.items()},
            stage.loader.samples,
            self._clock() - begun_s,
        )
        # Before what may save: a run that goes on from there must not fit again.
        state.stage += 1
        self._finish_epoch(session, stage, Pace(1, 1, None))
        if not state.is_broken_off:
            state.stopped = "finished"
            session.saver.save(state)

    def run_epoch(self, session: Session, stage: Stage, pace: Pace, forward: Forward) -> None:
        """Train on the rest of the current epoch, then validate and record it."""
        state = session.state
        set_modes(state.model, keep_statistics=stage.keep_statistics)
        with contextlib.closing(stage.loader.epoch(state.epoch, state.batch)) as batches:
            begun_s = self._clock()
            for batch in batches:
                if session.is_time_up(pace):
                    break
                losses = self.train_step(session, stage, pace, forward, batch)
                ended_s = self._synchronised_clock(pace)
                seconds, elapsed_s = ended_s - begun_s, session.saver.elapsed_s()
                if pace.deadline_s is not None:
                    # The learning rate follows the clock: that of one process.
                    seconds, elapsed_s = self._group.decided(seconds, elapsed_s)
                state.sums.add(losses, batch.share.total, seconds)
                pace.step_done(seconds, elapsed_s)
                begun_s = ended_s
                record = session.step_record(stage, pace, losses["loss"], batch)
                for callback in self._callbacks:
                    callback.step_done(record)
                (asked,) = self._group.decided(self._switch.asked)
                if asked:
                    state.stopped = "interrupted"
                    session.saver.save(state)
                    return
                session.saver.save_if_due(state, within_epoch=True)
        # The time may be up before the first step: drawn pictures are waited for.
        if state.batch:
            self._finish_epoch(session, stage, pace)

    def train_step(
        self, session: Session, stage: Stage, pace: Pace, forward: Forward, batch: Batch
    ) -> dict[str, Tensor]:
        """Do one optimizer step; return the losses of the whole batch, still on the device."""
        state, options = session.state, self.options
        if state.optimizer is None:
            raise RuntimeError("train_step outside a stage")
        set_lr(state.optimizer, stage.lr * self._schedule(pace.progress) * state.plateau)
        if options.mixup:
            seed = derive_seed(self._seed, "mixup", state.step)
            batch = mix(batch, options.mixup, seed, self._group)
        losses, norm = self._gradients(session, state.optimizer, forward, batch)
        is_lost = self.precision.may_lose_gradients and not norm.isfinite()
        if is_lost and losses["loss"].isfinite():
            if not self._has_warned:
                logger.warning(
                    "gradients in bf16 were not finite, although the loss was: such steps are "
                    "computed again in float32 (--set train.precision=fp32 computes all in it)"
                )
            self._has_warned = True
            with self._in_float32():
                losses, _ = self._gradients(session, state.optimizer, forward, batch)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.step += 1
        state.batch += 1
        if state.ema:
            state.ema.update(state.step)
        return losses

    def _gradients(
        self, session: Session, optimizer: torch.optim.Optimizer, forward: Forward, batch: Batch
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Compute and clip the gradients; return the losses, and the norm before clipping."""
        state = session.state
        # Dropout depends on the place in the run alone, so a resumed run drops the same units; of
        # several processes each drops its own.
        own = (self._group.rank,) if self._group.rank else ()
        seed_all(derive_seed(self._seed, "step", state.epoch, state.batch, *own), self.device)
        outputs = forward(state.model, batch.inputs)
        outputs = {n: o.float() if o.is_floating_point() else o for n, o in outputs.items()}
        losses = self._losses(session, outputs, batch)
        optimizer.zero_grad(set_to_none=True)
        state.scaler.scale(losses["loss"]).backward()  # type: ignore[no-untyped-call]  # torch
        trained = [p for p in state.model.parameters() if p.requires_grad]
        self._group.add_gradients(trained)
        state.scaler.unscale_(optimizer)
        return losses, torch.nn.utils.clip_grad_norm_(trained, CLIP_NORM)

    @contextlib.contextmanager
    def _in_float32(self) -> Iterator[None]:
        usual = self.precision
        self.precision = replace(usual, dtype=None)
        try:
            yield
        finally:
            self.precision = usual

    def _losses(
        self, session: Session, outputs: dict[str, Tensor], batch: Batch
    ) -> dict[str, Tensor]:
        """Return the losses of the whole batch."""
        given = (outputs, batch.targets, self.options, session.label_weights)
        training, group = session.training, self._group
        if group.world == 1:
            return training.losses(*given)
        if training.adds_over_processes:
            with adding_over_processes(group.total):
                return training.losses(*given)
        weight = batch.share.weight
        return {name: group.total(v * weight) for name, v in training.losses(*given).items()}

    def _finish_epoch(self, session: Session, stage: Stage, pace: Pace) -> None:
        state = session.state
        losses = state.sums.means()
        state.epoch, state.batch = state.epoch + 1, 0
        if not math.isfinite(losses["loss"]):
            logger.warning("the loss is %s in epoch %d: stopping", losses["loss"], state.epoch)
            state.stopped = "diverged"
            return
        begun_s = self._clock()
        measured = session.validated(stage)
        validation_s, asked, asked_to_finish = self._group.decided(
            self._clock() - begun_s, self._switch.asked, self._switch.asked_to_finish
        )
        pace.validation_done(validation_s)
        is_best = self._chooses and state.judge(measured.metrics, session.metric)
        if not self._chooses:
            state.take(measured.metrics)
        record = session.epoch_record(stage, losses, measured, is_best, validation_s)
        if self.options.schedule == "plateau":
            state.plateau *= plateau_factor(state.stale)
        state.sums = EpochSums()
        state.history.append(record)
        for callback in self._callbacks:
            callback.epoch_done(record)
        if asked or asked_to_finish:
            state.stopped = "interrupted" if asked else "asked"
            session.saver.save(state)
            return
        session.saver.save_if_due(state, within_epoch=False)

    def _begin(
        self,
        model: nn.Module,
        training: TaskTraining,
        stages: Sequence[Stage],
        validate: Validate,
        metric: str,
        label_weights: Tensor | None,
        resume: bool,
    ) -> Session:
        use_threads()
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
        model.to(self.device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stub
        state = RunState(
            model,
            Ema(model, self.options.ema) if self.options.ema else None,
            torch.amp.GradScaler(self.device.type, enabled=self.precision.scaled),
        )
        weights = None if label_weights is None else label_weights.to(self.device)
        saver = Saver(self._checkpoints, self._clock, writes=self._group.writes)
        session = Session(
            training,
            stages,
            validate,
            metric,
            weights,
            state,
            saver,
            group=self._group,
            chooses=self._chooses,
        )
        if not resume:
            saver.clear()
        if resume and (checkpoint := saver.latest(self._group)) is not None:
            session.saved_optimizer = state.restore(checkpoint)
            logger.info("resumed after step %d (epoch %d)", state.step, state.epoch)
        elif self._begun_s is not None:
            (spent_s,) = self._group.decided(self._clock() - self._begun_s)
            session.spend(spent_s, self.options.budget_s)
        saver.start_at(state.elapsed_s)
        for callback in self._callbacks:
            callback.fit_started(model, stages, state.history)
        if state.stage < len(stages):
            state.stopped = None
        return session

    def _forward(self, stage: Stage, pace: Pace) -> Forward:
        is_long = pace.total is None or pace.total - pace.done >= COMPILE_MIN_STEPS
        is_repaid = self.device.type == "cuda" and is_long
        # Compiled code would not see that batch normalisation spans several processes.
        is_repaid = is_repaid and self._group.world == 1
        wanted = is_repaid if self.options.compile is None else self.options.compile
        # A compiled forward pass has its own gradients, and folds by itself.
        run: Forward = torch.compile(stage.forward) if wanted else stage.forward
        folded = FoldedNormalisation()

        def forward(model: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
            folding: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
            if stage.keep_statistics and isinstance(inputs, Tensor) and not wanted:
                network: Any = model
                folding = folded.running(network.features, inputs)
            numbers = self.precision.autocast() if wanted else self.precision.training()
            with numbers, self._group.normalising(), folding:
                return run(model, inputs)

        return forward

    def _is_out_of_patience(self, state: RunState) -> bool:
        return self.options.patience is not None and state.stale >= self.options.patience

    def _synchronised_clock(self, pace: Pace) -> float:
        # Steps are only queued on CUDA: now and then a budget must see when they really end.
        if self.device.type == "cuda" and pace.deadline_s is not None and pace.done % 20 == 0:
            torch.cuda.synchronize(self.device)
        return self._clock()
