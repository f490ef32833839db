"""The fit of a run: network, stages and callbacks, in one or several processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import final

from foveal.console import NoProgress, Progress
from foveal.machine import keeping_memory
from foveal.models.network import Network
from foveal.tasks import get_training
from foveal.train.callbacks import Callback, ProgressReport, ResultsCsv
from foveal.train.checkpoint import CheckpointStore
from foveal.train.distributed import Group
from foveal.train.records import FitResult
from foveal.train.tensorboard import TensorBoard
from foveal.train.trainer import Trainer
from foveal.workflow.batches import TrainSetup
from foveal.workflow.network import new_network
from foveal.workflow.prepare import Prepared
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.stages import Planner
from foveal.workflow.start import warm_network
from foveal.workflow.state import Begun
from foveal.workflow.units import Units


@final
@dataclass(frozen=True)
class Fit:
    """The parameters of the fit of a run.

    Attributes:
        run: Gets checkpoints, results and what is watched.
        extensions: Epochs that the run was extended by, in order.
        begun_s: When the work began, by `monotonic`: the budget counts from then on.
        resume: Go on from the latest checkpoint.
        group: The processes that train together.
        listens: Is called with what asks the fit to stop: after its step, or with
            `after_epoch=True` after its epoch.
        budget_s: Time limit in place of the recipe's, for one of several fits of a run.
        fine_tunes: Whether a staged training goes on after the head; None decides it by the metric.
    """

    run: RunDirectory
    extensions: tuple[int, ...]
    begun_s: float
    resume: bool
    group: Group
    listens: Callable[[Callable[..., None]], None]
    budget_s: float | None = None
    fine_tunes: bool | None = None

    @keeping_memory()
    def __call__(
        self, prepared: Prepared, units: Units, progress: Progress
    ) -> tuple[Network, FitResult]:
        """Train, and return the network with its best weights and what came out.

        Args:
            prepared: The data.
            units: The same as batches.
            progress: Receives the progress.
        """
        recipe, task = prepared.recipe, prepared.task
        setting = TrainSetup.of(recipe, task, self.group)
        network = network_of(prepared)
        planner = Planner(prepared, units, network, setting, self.run, progress)
        plan = planner.plan(self.extensions, fine_tunes=self.fine_tunes)
        callbacks: list[Callback] = [*planner.listeners]
        if self.group.writes:
            callbacks = [
                ResultsCsv(self.run.results),
                TensorBoard(self.run.tensorboard, settings=recipe.flat()),
                ProgressReport(progress, task.epoch_metric),
                *planner.listeners,
            ]
        if self.group.writes and self.run.main is None:
            callbacks.append(Begun(self.run, self.extensions))
        options = recipe.train
        if self.budget_s is not None:
            options = replace(options, budget_s=self.budget_s)
        trainer = Trainer(
            options,
            device=setting.device,
            seed=recipe.seed,
            clock=monotonic,
            begun_s=self.begun_s,
            callbacks=callbacks,
            checkpoints=CheckpointStore(self.run.checkpoints, sweeps=self.group.writes),
            group=self.group,
            # What folds have in common is chosen by all of them; see `workflow.folds`.
            chooses=recipe.train.folds is None,
        )
        self.listens(trainer.stop)
        with contextlib.closing(planner):
            result = trainer.fit(
                network,
                setting.training,
                plan.stages,
                plan.validation,
                metric=task.epoch_metric,
                label_weights=plan.label_weights,
                resume=self.resume,
            )
        return network, result


def network_of(prepared: Prepared) -> Network:
    """Build the network of a run, with the weights that it begins with."""
    training = get_training(prepared.recipe.task)(prepared.task)
    if prepared.start is None:
        return new_network(training, prepared.recipe)
    return warm_network(training, prepared.recipe, prepared.start)


def learnt(prepared: Prepared, units: Units, run: RunDirectory) -> tuple[Network, FitResult]:
    """Return the network with the best weights so far, from the latest checkpoint."""
    recipe, task = prepared.recipe, prepared.task
    setting = TrainSetup.of(recipe, task)
    network = network_of(prepared)
    planner = Planner(prepared, units, network, setting, run, NoProgress())
    plan = planner.no_plan()
    trainer = Trainer(
        recipe.train,
        device=setting.device,
        seed=recipe.seed,
        checkpoints=CheckpointStore(run.checkpoints),
    )
    with contextlib.closing(planner):
        result = trainer.fit(
            network, setting.training, (), plan.validation, metric=task.epoch_metric, resume=True
        )
    return network, result
