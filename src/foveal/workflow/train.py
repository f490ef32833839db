"""A training run from beginning to end, its resumption and its extension."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from foveal.bundle.bundle import MANIFEST_NAME
from foveal.console import Progress, log_to_file, stop_logging
from foveal.data.source import Source
from foveal.errors import BundleError, UsageError
from foveal.models.backbones import resolve_backbone
from foveal.models.network import Network, build_network, head_options, weight_source
from foveal.recipe import Recipe
from foveal.synth import is_synth
from foveal.tasks import get_task, get_training
from foveal.train.callbacks import ProgressReport, ResultsCsv
from foveal.train.checkpoint import CheckpointStore
from foveal.train.precision import choose_device
from foveal.train.records import EpochRecord, FitResult, Stage, StepRecord
from foveal.train.tensorboard import TensorBoard
from foveal.train.trainer import Trainer
from foveal.types import JsonObject
from foveal.workflow.broadcast import Broadcast
from foveal.workflow.environment import describe_environment
from foveal.workflow.network import try_network
from foveal.workflow.prepare import Prepared, pipeline_of, prepare, resolve_recipe
from foveal.workflow.rundir import RunDirectory, default_name, write_json
from foveal.workflow.ship import ship
from foveal.workflow.sources import open_for
from foveal.workflow.stages import Planner
from foveal.workflow.units import Units
from foveal.workflow.unused import unused_settings

logger = logging.getLogger(__name__)


def run_training(
    data: str | Path, recipe: Recipe, *, out: Path, name: str | None, progress: Progress
) -> Path:
    """Train, prove, measure, and return the run directory.

    Args:
        data: The source's location.
        recipe: As the user gave it.
        out: Folder of the runs.
        name: Name of the run, or None for the data's.
        progress: Told how far the work is.
    """
    location = str(data)
    source, resolved = resolve_recipe(location, recipe)
    _check_network(source, resolved)
    run = RunDirectory.create(out, resolved.task, name or default_name(location))
    run.recipe.write_text(resolved.to_yaml(), encoding="utf-8")
    write_json(run.environment, describe_environment())
    _write_state(run, location, ())
    with _logging(run), Broadcast(progress, run) as broadcast:
        logger.info("to watch it on a live page: foveal watch %s", run.path)
        for key, why in resolved.reasons.items():
            logger.info("chosen %s: %s", key, why)
        training = get_training(resolved.task)
        for sentence in unused_settings(recipe, resolved, source, training):
            logger.warning("%s", sentence)
        prepared = prepare(source, resolved, run, broadcast)
        _work(prepared, run, (), broadcast, resume=False)
    return run.path


def resume_training(path: Path, *, progress: Progress) -> Path:
    """Go on with an interrupted run from its last checkpoint; return the run directory.

    A finished run is left as it is.

    Raises:
        BundleError: When there is no such run.
    """
    run = RunDirectory.open(path)
    state = _read_state(run)
    if state["status"] == "done":
        return run.path
    return _continue(run, state, progress)


def extend_training(path: Path, epochs: int, *, progress: Progress) -> Path:
    """Train a finished run for more epochs, from its final weights; return the run directory.

    Raises:
        BundleError: When there is no such run.
        UsageError: When the run has not finished.
    """
    run = RunDirectory.open(path)
    state = _read_state(run)
    if state["status"] != "done":
        raise UsageError(f"The run {path} has not finished.", hint=f"foveal train --resume {path}")
    extensions = (*state["extensions"], epochs)
    return _continue(run, {**state, "extensions": extensions}, progress)


def _continue(run: RunDirectory, state: JsonObject, progress: Progress) -> Path:
    recipe = Recipe.load(run.recipe)
    source = open_for(state["data"], recipe)
    with _logging(run), Broadcast(progress, run) as broadcast:
        prepared = prepare(source, recipe, run, broadcast, resume=True)
        _work(prepared, run, tuple(state["extensions"]), broadcast, resume=True)
    return run.path


def _work(
    prepared: Prepared,
    run: RunDirectory,
    extensions: tuple[int, ...],
    progress: Broadcast,
    *,
    resume: bool,
) -> None:
    units = Units(prepared)
    units.write_sheet(run.contact_sheet)
    network, result = _fit(prepared, units, run, extensions, progress, resume=resume)
    ship(prepared, units, network, run, progress)
    prepared.cache.close()
    shutil.rmtree(run.cache, ignore_errors=True)
    _write_state(
        run,
        _read_state(run)["data"],
        extensions,
        status="interrupted" if result.stopped in ("interrupted", "asked") else "done",
        stopped=result.stopped,
        seconds=round(result.seconds, 3),
        best_epoch=result.best_epoch,
    )


def _fit(
    prepared: Prepared,
    units: Units,
    run: RunDirectory,
    extensions: tuple[int, ...],
    progress: Broadcast,
    *,
    resume: bool,
) -> tuple[Network, FitResult]:
    recipe, task = prepared.recipe, prepared.task
    device = choose_device(recipe.train.device)
    training = get_training(recipe.task)(task)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build_network(training, recipe.model, pretrained=recipe.model.pretrained)
    network.plain_backbone = recipe.train.precision == "bf16_head"
    planner = Planner(prepared, units, network, training, run, device, progress)
    plan = planner.plan(extensions)
    trainer = Trainer(
        recipe.train,
        device=device,
        seed=recipe.seed,
        callbacks=[
            ResultsCsv(run.results),
            TensorBoard(run.tensorboard, settings=recipe.flat()),
            ProgressReport(progress, task.primary_metric),
            *planner.listeners,
            _Begun(run, extensions),
        ],
        checkpoints=CheckpointStore(run.checkpoints),
    )
    progress.when_asked_to_stop(partial(trainer.stop, after_epoch=True))
    with contextlib.closing(planner):
        result = trainer.fit(
            network,
            training,
            plan.stages,
            plan.validation,
            metric=task.primary_metric,
            label_weights=plan.label_weights,
            resume=resume,
        )
    logger.info("training ended: %s, best epoch %d", result.stopped, result.best_epoch)
    return network, result


@final
class _Begun:
    """Writes that a run is under way, with what it is extended by.

    Heard once everything is open: a run whose extension cannot start stays finished as it was.
    """

    def __init__(self, run: RunDirectory, extensions: tuple[int, ...]) -> None:
        self._run = run
        self._extensions = extensions

    def fit_started(
        self, model: nn.Module, stages: Sequence[Stage], history: Sequence[EpochRecord]
    ) -> None:
        """Write it, before the first step and its checkpoint."""
        _write_state(self._run, _read_state(self._run)["data"], self._extensions)

    def step_done(self, step: StepRecord) -> None:
        """Ignore."""

    def epoch_done(self, record: EpochRecord) -> None:
        """Ignore."""

    def fit_ended(self, result: FitResult) -> None:
        """Ignore."""


def _check_network(source: Source, recipe: Recipe) -> None:
    """Stop before any work when size, head or weights do not fit or are not at hand."""
    spec = resolve_backbone(recipe.model.backbone)
    height, width = recipe.pipeline.height, recipe.pipeline.width
    if height is not None and width is not None:
        spec.check_size(height, width)
    task_type = get_task(recipe.task)
    labels = task_type.fit_labels(sample.raw for sample in source.samples if sample.raw)
    task = task_type.bind(labels, recipe.task_options)
    options = head_options(spec, recipe.model)
    training = get_training(recipe.task)(task)
    training.build_head(spec.channels, spec.strides, options)
    if ":" in recipe.model.backbone:
        with torch.random.fork_rng(devices=[]):
            network = build_network(training, recipe.model, pretrained=False)
            try_network(network, task, pipeline_of(recipe))
    if recipe.model.pretrained and spec.pretrained:
        spec.build(weight_source(recipe.model, pretrained=True))


@contextmanager
def _logging(run: RunDirectory) -> Iterator[None]:
    handler = log_to_file(run.log)
    try:
        yield
    finally:
        stop_logging(handler)


def _write_state(run: RunDirectory, data: str, extensions: tuple[int, ...], **more: Any) -> None:
    # Absolute, so that the run can be resumed from another working directory.
    location = data if "://" in data or is_synth(data) else str(Path(data).resolve())
    write_json(
        run.state,
        {"data": location, "extensions": list(extensions), "status": "running", **more},
    )


def _read_state(run: RunDirectory) -> JsonObject:
    try:
        state: JsonObject = json.loads(run.state.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"The run {run.path} cannot be resumed: {error}") from error
    if state["status"] == "done" and not (run.bundle / MANIFEST_NAME).is_file():
        return {**state, "status": "running"}
    return state
