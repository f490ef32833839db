"""The learning-rate range test."""

from __future__ import annotations

import contextlib
import logging
import math
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import count, islice
from pathlib import Path
from typing import final

from torch import nn

from foveal.console import Progress
from foveal.data.locate import location_of
from foveal.errors import FovealError
from foveal.machine import keeping_memory
from foveal.recipe import Recipe
from foveal.render.charts import Axis, Series, curve_chart
from foveal.render.markup import page_html
from foveal.train.callbacks import Callback, ProgressReport
from foveal.train.data import Batch, Loader
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord, Validate, Validated
from foveal.train.trainer import Trainer
from foveal.types import JsonObject
from foveal.workflow.batches import TrainSetup
from foveal.workflow.choose import HEAD_EPOCHS
from foveal.workflow.network import new_network
from foveal.workflow.prepare import Prepared, prepare
from foveal.workflow.resolve import resolve_recipe
from foveal.workflow.rundir import RunDirectory, default_name
from foveal.workflow.stages import Planner
from foveal.workflow.units import Units

logger = logging.getLogger(__name__)

# From far too small to far too large for every optimizer here, 14 steps a decade.
LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 100
# Weight of the past in the smoothed loss: about the last ten batches.
SMOOTHING = 0.9
# As in the paper and in fastai: past this many times the least loss it only diverges.
DIVERGED = 4.0
# Fewer steps than this before it diverges show no fall.
_LEAST_STEPS = 10
# Share of the fall's height that is left out at either end.
_FLAT = 0.05


@final
@dataclass(frozen=True)
class LearningRates:
    """The result of a learning-rate range test.

    Attributes:
        suggested: Suggested learning rate, for the argument `lr` of `train`.
        chosen: Learning rate of the recipe otherwise.
        rates: The tested learning rates, ascending.
        losses: Smoothed training loss after each rate.
        settings: The suggestion as options of `foveal train`.
        plot: Path of the page with the curve.
    """

    suggested: float
    chosen: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    settings: str
    plot: Path

    def to_json(self) -> JsonObject:
        """Return the output of `train --find-lr --json`."""
        return {
            "schema_version": 1,
            "suggested": self.suggested,
            "chosen": self.chosen,
            "settings": self.settings,
            "rates": list(self.rates),
            "losses": list(self.losses),
            "plot": str(self.plot),
        }

    def _repr_html_(self) -> str:
        """Return the curve and the suggestion as HTML."""
        places = [math.log10(rate) for rate in self.rates]
        # The rise at the end is as high as it was let: it would squeeze the fall.
        top = 1.15 * max(self.losses[0], min(self.losses) * 1.5)
        low = min(0.0, min(self.losses))
        points = [(x, y) for x, y in zip(places, self.losses, strict=True) if y <= top]

        def mark(name: str, rate: float) -> Series:
            return Series(name, [(math.log10(rate), low), (math.log10(rate), top)], style="line")

        chart = curve_chart(
            [
                Series("loss", points),
                mark(f"suggested: {self.suggested:g}", self.suggested),
                mark(f"recipe: {self.chosen:.2g}", self.chosen),
            ],
            Axis("learning rate", places[0], places[-1], percent=False, whole=True, log=True),
            Axis("training loss, smoothed", low, top, percent=False),
            width=640,
        )
        return f"{chart}<p><code>{escape(self.settings)}</code></p>"


def find_learning_rate(
    data: str | Path, recipe: Recipe, *, out: Path, name: str | None, progress: Progress
) -> LearningRates:
    """Raise the learning rate from 1e-6 to 10 over 100 steps and suggest one.

    The range test of Cyclical Learning Rates for Training Neural Networks, 2017,
    https://arxiv.org/abs/1506.01186, with exponential steps and the suggestion of fastai's
    `lr_find`: the middle of the longest fall of the smoothed loss (see `suggest`). Data, batches,
        augmentation, precision and losses are those of the training; with a staged strategy the
        head is trained first, and the rate is that of the whole network. Only the plot is kept.

    Args:
        data: Location of the data.
        recipe: Recipe as given by the user.
        out: Folder for runs; the plot is written to `<task>/<name>-lr.html` there.
        name: Name of the run that the test is for; None takes that of the data.
        progress: Receives the progress.

    Raises:
        FovealError: If the loss does not fall at any rate.
    """
    location = location_of(data)
    source, resolved = resolve_recipe(location, recipe)
    resolved = replace(
        resolved,
        # A hundred steps need neither a second set of drawn pictures, nor a deadline, nor a mean.
        data=replace(resolved.data, fresh_every=0),
        train=replace(resolved.train, budget_s=None, ema=0.0, compile=False),
    )
    folder = out / resolved.task
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".lr-", dir=folder) as temporary:
        run = RunDirectory(Path(temporary))
        prepared = prepare(source, resolved, run, progress)
        with contextlib.closing(prepared.cache):
            rates, losses = _ramp(prepared, run, progress)
    suggested = suggest(rates, losses)
    chosen = resolved.train.lr or 0.0
    if resolved.train.strategy == "frozen":
        chosen = resolved.train.head_lr or chosen
    settings = f"--lr {suggested:g}"
    if resolved.train.strategy == "staged":
        # Otherwise the head would get the same rate.
        settings += f" --set train.head_lr={resolved.train.head_lr:.3g}"
    plot = folder / f"{name or default_name(location)}-lr.html"
    found = LearningRates(suggested, chosen, rates, losses, settings, plot)
    plot.write_text(page_html("Learning rate", found._repr_html_()), encoding="utf-8")
    return found


def suggest(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Return the rate in the middle of the longest fall of the loss, rounded to two digits.

    The fall is the longest decreasing subsequence of the losses without the first and the last
    twentieth of its height, which are nearly flat and may be many steps long. Its middle is the
    geometric mean of the rates at both ends.

    Raises:
        FovealError: If the loss does not fall at any rate.
    """
    lengths = [1] * len(losses)
    before = [-1] * len(losses)
    for i, loss in enumerate(losses):
        for j in range(i):
            if losses[j] > loss and lengths[j] + 1 > lengths[i]:
                lengths[i], before[i] = lengths[j] + 1, j
    last = max(range(len(losses)), key=lengths.__getitem__, default=0)
    if not lengths or lengths[last] < _LEAST_STEPS:
        raise FovealError(
            f"No learning rate could be found: the loss did not decrease over {len(losses)} steps.",
            hint="try a larger --batch-size, or check the labels: foveal check DATA",
            code="no_learning_rate",
        )
    fall = [last]
    while before[fall[0]] >= 0:
        fall.insert(0, before[fall[0]])
    margin = _FLAT * (losses[fall[0]] - losses[last])
    steep = [i for i in fall if losses[last] + margin <= losses[i] <= losses[fall[0]] - margin]
    steep = steep or fall  # A single jump has nothing between its ends.
    return float(f"{math.sqrt(rates[steep[0]] * rates[steep[-1]]):.2g}")


@keeping_memory()
def _ramp(
    prepared: Prepared, run: RunDirectory, progress: Progress
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    recipe, task = prepared.recipe, prepared.task
    setting = TrainSetup.of(recipe, task)
    network = new_network(setting.training, recipe)
    planner = Planner(prepared, Units(prepared), network, setting, run, progress)
    recorder = _Recorder(progress)
    with contextlib.closing(planner):
        plan = planner.plan()

        def fit(
            stages: Sequence[Stage],
            validate: Validate,
            callback: Callback,
            schedule: Callable[[float], float] | None = None,
        ) -> FitResult:
            recorder.trainer = trainer = Trainer(
                recipe.train,
                device=setting.device,
                seed=recipe.seed,
                callbacks=[callback],
                schedule=schedule,
            )
            metric, weights = task.primary_metric, plan.label_weights
            return trainer.fit(
                network, setting.training, stages, validate, metric=metric, label_weights=weights
            )

        *earlier, last = plan.stages
        heads = [replace(stage, epochs=stage.epochs or HEAD_EPOCHS) for stage in earlier]
        report = ProgressReport(progress, task.primary_metric)
        if heads and fit(heads, plan.validation, report).stopped == "interrupted":
            raise KeyboardInterrupt
        steps = _Steps(last.loader)
        rising = replace(last, loader=steps, epochs=1, lr=LOWEST, skip_from=None, validate=None)
        # Nothing is compared: the only epoch is the last.
        unmeasured = Validated({task.primary_metric: 0.0})
        ratio = HIGHEST / LOWEST
        result = fit([rising], lambda _: unmeasured, recorder, lambda done: ratio**done)
    if result.stopped == "interrupted" and not recorder.has_diverged:
        raise KeyboardInterrupt
    return tuple(recorder.rates), tuple(recorder.losses)


@final
class _Steps:
    """A `Loader` whose epoch has as many batches as the test has steps, over several passes."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    @property
    def samples(self) -> int:
        """Return the number of samples in a pass."""
        return self._loader.samples

    def __len__(self) -> int:
        """Return the number of batches."""
        return STEPS

    def epoch(self, epoch: int, first_batch: int = 0) -> Generator[Batch, None, None]:
        """Iterate over the batches of one pass after another."""
        left = STEPS - first_batch
        for number in count(epoch):
            with contextlib.closing(self._loader.epoch(number)) as batches:
                for batch in islice(batches, left):
                    left -= 1
                    yield batch
            if not left:
                return


@final
class _Recorder:
    """Callback that records the smoothed loss of each step and stops when it diverges."""

    def __init__(self, progress: Progress) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.trainer: Trainer | None = None
        self.has_diverged = False
        self._progress = progress
        self._mean = 0.0

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        """Begin."""
        self._progress.start("learning rate", STEPS)

    def step_done(self, step: StepRecord) -> None:
        """Record the loss, and stop when it is far above its minimum."""
        loss = float(step.loss)
        if math.isfinite(loss):
            self._mean = SMOOTHING * self._mean + (1 - SMOOTHING) * loss
            # The mean begins at 0: without this the first losses would seem small.
            smoothed = self._mean / (1 - SMOOTHING ** (len(self.losses) + 1))
            self.rates.append(step.lr)
            self.losses.append(smoothed)
            self._progress.update(step.step, {"lr": f"{step.lr:.1e}", "loss": f"{smoothed:.4f}"})
        if not math.isfinite(loss) or smoothed > DIVERGED * min(self.losses):
            self.has_diverged = True
            if self.trainer is not None:
                self.trainer.stop()

    def epoch_done(self, record: EpochRecord) -> None:
        """Ignore."""

    def fit_ended(self, result: FitResult) -> None:
        """End."""
        self._progress.finish()
