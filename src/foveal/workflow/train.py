"""Train, resume and extend runs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import final

from foveal.console import Progress, log_to_file, stop_logging
from foveal.data.locate import location_of
from foveal.data.source import Source
from foveal.errors import DataError, RecipeError, UsageError
from foveal.recipe import Recipe
from foveal.synth import is_synth
from foveal.tasks import get_training
from foveal.train.checkpoint import CheckpointStore
from foveal.train.distributed import Group
from foveal.train.precision import choose_device
from foveal.train.records import FitResult
from foveal.types import JsonObject
from foveal.workflow.advice import advice
from foveal.workflow.begun import begun_before, check_key
from foveal.workflow.broadcast import Broadcast
from foveal.workflow.drawn import DRAWN_SHARE, fit_drawn
from foveal.workflow.ending import ending
from foveal.workflow.environment import describe_environment
from foveal.workflow.fitting import Fit, learnt
from foveal.workflow.folds import FoldTrainings, check_folds
from foveal.workflow.held_out import HeldOut, ValidationSplit
from foveal.workflow.lock import working_on
from foveal.workflow.prepare import Prepared, prepare
from foveal.workflow.processes import Launch, RunToTrain, check_devices, train_here
from foveal.workflow.remote_run import Runs, at_hand, kept
from foveal.workflow.resolve import check_network, resolve_recipe
from foveal.workflow.rundir import RunDirectory, default_name, write_json
from foveal.workflow.ship import ship
from foveal.workflow.sources import open_for
from foveal.workflow.start import Start
from foveal.workflow.state import move_data, read_state, write_state
from foveal.workflow.units import Units
from foveal.workflow.unused import unused_settings

logger = logging.getLogger(__name__)


def run_training(
    data: str | Path,
    recipe: Recipe,
    *,
    out: str | Path,
    name: str | None,
    progress: Progress,
    start_from: str | Path | None = None,
    finish_on_interrupt: bool = False,
    resume_key: str | None = None,
    launch: Launch | None = None,
) -> Path:
    """Train, prove, measure, and return the run directory.

    A run that fails before its first checkpoint is removed.

    Args:
        data: The source's location.
        recipe: As the user gave it.
        out: Folder of the runs, a path or an fsspec URL.
        name: Name of the run, or None for the data's.
        progress: Receives the progress.
        start_from: A trained model whose weights are the first ones; None begins with new ones.
        finish_on_interrupt: Make the model of what was learnt so far when Ctrl-C stops the epochs.
        resume_key: Go on with the run that was begun with the same key, if there is one, as
            `resume_training` does.
        launch: Where the epochs are trained; None is this machine, in as many processes as the
            recipe says.

    Raises:
        TrainingInterrupted: If Ctrl-C stopped it.
        UsageError: If the run cannot be written to `out`.
    """
    begun_s = monotonic()
    location = location_of(data)
    name = default_name(location) if name is None else name
    runs = Runs.at(out)
    RunDirectory.check(runs.folder, name)
    if resume_key is not None:
        check_key(resume_key)
    start = None if start_from is None else Start.find(start_from)
    given, location = location, fit_drawn(location, recipe)
    source, resolved = resolve_recipe(location, recipe, start)
    check_folds(resolved, start, launch, ships_interrupted=finish_on_interrupt)
    if resume_key is not None and (
        begun := begun_before(runs, recipe, resolved.task, name, resume_key)
    ):
        return resume_training(
            begun,
            progress=progress,
            finish_on_interrupt=finish_on_interrupt,
            # Pictures that are drawn are never elsewhere, and their number may be measured anew.
            data=None if is_synth(location) else location,
            launch=launch,
        )
    check_network(source, resolved, is_warm=start is not None)
    launch = _launch(resolved, launch)
    run = runs.create(resolved.task, name)
    with (
        working_on(run),
        kept(run, is_new=True),
        ending(run, is_new=True),
        _logging(run),
        Broadcast(progress, run) as broadcast,
    ):
        run.recipe.write_text(resolved.to_yaml(), encoding="utf-8")
        write_json(run.environment, describe_environment())
        write_state(run, location, ())
        if resume_key is not None:
            run.key.write_text(resume_key, encoding="utf-8")
        if start is not None:
            start.keep_in(run)
        logger.info("to watch it on a live page: foveal watch %s", run.place)
        if location != given:
            logger.info(
                "drawing as many pictures as fit into %.0f %% of the budget: %s",
                100 * DRAWN_SHARE,
                location,
            )
        chosen = resolved.flat()
        for key, why in resolved.reasons.items():
            logger.info("%s = %s: %s", key, _yaml(chosen.get(key)), why)
        training = get_training(resolved.task)
        for sentence in unused_settings(recipe, resolved, source, training):
            logger.warning("%s", sentence)
        prepared = prepare(source, resolved, run, broadcast, start=start)
        if start is not None:
            for sentence in start.changes(prepared.task.labels).sentences():
                logger.info("%s", sentence)
        mode = _Mode(begun_s, ships_interrupted=finish_on_interrupt, launch=launch)
        _work(prepared, run, (), broadcast, mode)
    return run.path


def resume_training(
    path: str | Path,
    *,
    progress: Progress,
    finish: bool = False,
    finish_on_interrupt: bool = False,
    data: str | None = None,
    launch: Launch | None = None,
) -> Path:
    """Go on with an interrupted run from its last checkpoint; return the run directory.

    A finished run is left as it is.

    Args:
        path: The run directory, or the URL of a run.
        progress: Receives the progress.
        finish: Train no more: make the model of what was learnt so far.
        finish_on_interrupt: As for `run_training`.
        data: Where the pictures are by now; None where they were.
        launch: As for `run_training`.

    Raises:
        BundleError: If there is no such run.
        TrainingInterrupted: If Ctrl-C stopped it.
        UsageError: If nothing was learnt that could be finished, or another process works on it.
    """
    run = RunDirectory.open(at_hand(path))
    mode = _Mode(
        monotonic(),
        resume=True,
        finish=finish,
        ships_interrupted=finish or finish_on_interrupt,
        launch=launch,
    )
    with working_on(run), kept(run):
        state = read_state(run)
        if state["status"] == "done":
            logger.info("the run %s has finished; there is nothing left to do", run.place)
            return run.path
        if data is not None:
            state = {**state, "data": data}
        recipe = Recipe.load(run.recipe)
        if finish and recipe.train.folds is not None:
            raise UsageError(
                f"The run {path} is trained with folds, and its model needs all of them.",
                hint=f"foveal train --resume {path}",
            )
        if finish and not CheckpointStore(run.checkpoints).names():
            raise UsageError(
                f"The run {path} has no checkpoint yet, so there is no model to build from it.",
                hint=f"foveal train --resume {path}",
            )
        return _continue(run, recipe, state, progress, mode)


def extend_training(
    path: str | Path,
    epochs: int,
    *,
    progress: Progress,
    finish_on_interrupt: bool = False,
    data: str | None = None,
    launch: Launch | None = None,
) -> Path:
    """Train a finished run for more epochs, from its final weights; return the run directory.

    Args:
        path: The run directory, or the URL of a run.
        epochs: Number of epochs to add.
        progress: Receives the progress.
        finish_on_interrupt: As for `run_training`.
        data: As for `resume_training`.
        launch: As for `run_training`.

    Raises:
        BundleError: If there is no such run.
        DataError: If the pictures are not there, or are not those of the run.
        TrainingInterrupted: If Ctrl-C stopped it.
        UsageError: If the run has not finished, or another process works on it.
    """
    run = RunDirectory.open(at_hand(path))
    mode = _Mode(monotonic(), resume=True, ships_interrupted=finish_on_interrupt, launch=launch)
    with working_on(run), kept(run):
        state = read_state(run)
        if state["status"] != "done":
            hint = f"foveal train --resume {path}"
            raise UsageError(f"The run {path} has not finished.", hint=hint)
        recipe = Recipe.load(run.recipe)
        if (folds := recipe.train.folds) is not None:
            raise UsageError(
                f"The run {path} was trained with folds, whose networks are not kept, and cannot "
                "be extended.",
                hint=f"foveal train DATA --folds {folds} --epochs N",
            )
        extensions = (*state["extensions"], epochs)
        state = {**state, "extensions": extensions, "data": data or state["data"]}
        return _continue(run, recipe, state, progress, mode)


@final
@dataclass(frozen=True, slots=True)
class _Mode:
    """The mode in which a run is processed.

    Attributes:
        begun_s: When the work began, by `monotonic`: the budget counts from then on.
        resume: Go on from the latest checkpoint.
        finish: Train no more: ship what the checkpoint has.
        ships_interrupted: Ship what was learnt when Ctrl-C stops the epochs.
        launch: Trains in several processes; None trains in this one.
    """

    begun_s: float
    resume: bool = False
    finish: bool = False
    ships_interrupted: bool = False
    launch: Launch | None = None


def _continue(
    run: RunDirectory, recipe: Recipe, state: JsonObject, progress: Progress, mode: _Mode
) -> Path:
    check_folds(recipe, None, mode.launch, ships_interrupted=mode.ships_interrupted)
    _check_device(recipe, run)
    mode = replace(mode, launch=_launch(recipe, mode.launch))
    source = _opened(state, recipe, run, mode)
    with ending(run, is_new=False), _logging(run), Broadcast(progress, run) as broadcast:
        start = Start.kept_in(run)
        prepared = prepare(source, recipe, run, broadcast, resume=True, start=start)
        if state["data"] != read_state(run)["data"]:
            # Only now: the pictures of another place may not have been those of the run.
            move_data(run, state["data"])
        _work(prepared, run, tuple(state["extensions"]), broadcast, mode)
    return run.path


def _opened(state: JsonObject, recipe: Recipe, run: RunDirectory, mode: _Mode) -> Source:
    """Open the pictures of a run, which may have been moved, or be those of another machine."""
    try:
        return open_for(state["data"], recipe)
    except DataError as error:
        if error.error_code != "data_missing":
            raise
        more = "--finish" if mode.finish else "--resume"
        if len(state["extensions"]) > len(read_state(run)["extensions"]):
            # A finished run is not resumed, but extended.
            more = f"--epochs +{state['extensions'][-1]} --continue"
        raise DataError(
            error.message,
            hint=f"if the pictures have been moved: foveal train PICTURES {more} {run.place}",
            code=error.error_code,
        ) from error


def _launch(recipe: Recipe, given: Launch | None) -> Launch | None:
    """Return what trains in several processes; None where one is enough.

    Raises:
        RecipeError: If this machine cannot do what the recipe says.
    """
    if given is not None:
        return given
    check_devices(recipe)
    return train_here if recipe.train.devices > 1 else None


def _check_device(recipe: Recipe, run: RunDirectory) -> None:
    """Raise before the pictures are decoded where the run's device is that of another machine."""
    try:
        choose_device(recipe.train.device)
    except RecipeError as error:
        raise RecipeError(
            error.message, hint=f"write device: auto under train: in {run.recipe}"
        ) from error


def _work(
    prepared: Prepared,
    run: RunDirectory,
    extensions: tuple[int, ...],
    progress: Broadcast,
    mode: _Mode,
) -> None:
    units = Units(prepared)
    units.write_sheet(run.contact_sheet)
    held_out: HeldOut = ValidationSplit(prepared, units, run, progress)
    if prepared.folds is not None:
        trainings = FoldTrainings(prepared, run, progress, begun_s=mode.begun_s, resume=mode.resume)
        network, result, held_out = trainings.run()
    elif mode.finish:
        network, result = learnt(prepared, units, run)
    elif mode.launch is not None:
        mode.launch(RunToTrain(run, prepared.recipe, extensions, mode.begun_s), progress)
        network, result = learnt(prepared, units, run)
    else:
        # The page asks for the end of the epoch; what was learnt is shipped.
        fit = Fit(
            run,
            extensions,
            mode.begun_s,
            mode.resume,
            Group(),
            lambda stop: progress.when_asked_to_stop(partial(stop, after_epoch=True)),
        )
        network, result = fit(prepared, units, progress)
    if result.stopped == "interrupted" and not mode.ships_interrupted:
        raise KeyboardInterrupt
    is_interrupted = mode.finish or result.stopped in ("interrupted", "asked")
    logger.info("training ended (%s): %s", result.stopped, _kept(result, prepared.recipe))
    manifest = ship(prepared, held_out, network, run, progress)
    if (words := advice(manifest, prepared.recipe, result)) is not None:
        logger.warning("%s", words)
    prepared.cache.close()
    shutil.rmtree(run.cache, ignore_errors=True)
    for number in range(prepared.recipe.train.folds or 0):
        shutil.rmtree(run.fold(number + 1).checkpoints, ignore_errors=True)
    write_state(
        run,
        read_state(run)["data"],
        extensions,
        status="interrupted" if is_interrupted else "done",
        stopped=result.stopped,
        seconds=round(result.seconds, 3),
        best_epoch=result.best_epoch,
    )
    if is_interrupted:
        logger.info("to continue training: foveal train --resume %s", run.place)


def _yaml(value: object) -> str:
    """Return a value of the recipe as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _kept(result: FitResult, recipe: Recipe) -> str:
    if recipe.train.folds is not None:
        return "the network that is trained on all pictures ships"
    if not result.best_epoch:
        return "no epoch was validated, so the weights of the last step are used"
    return f"epoch {result.best_epoch} was best on validation, so its weights are used"


@contextmanager
def _logging(run: RunDirectory) -> Iterator[None]:
    handler = log_to_file(run.log)
    try:
        yield
    finally:
        stop_logging(handler)
