"""Train, resume and extend models."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from foveal.console import NoProgress, Progress
from foveal.errors import MissingExtraError, UsageError
from foveal.extras import install_extra
from foveal.foreign import spelled
from foveal.jobs.target import Target
from foveal.model import Model, shown_progress
from foveal.urls import from_here

if TYPE_CHECKING:
    from foveal.recipe import Recipe
    from foveal.workflow.find_lr import LearningRates

logger = logging.getLogger(__name__)


@spelled
def train(
    data: str | Path,
    *,
    name: str | None = None,
    out: str | Path = "runs",
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    start_from: str | Path | Model | None = None,
    task: str | None = None,
    quality: Literal["fast", "good", "best"] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    backbone: str | None = None,
    lr: float | None = None,
    folds: int | None = None,
    patience: int | None = None,
    budget_s: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    devices: int | None = None,
    strategy: Literal["auto", "frozen", "staged", "full", "scratch"] | None = None,
    allow_download: bool | None = None,
    label_regex: str | None = None,
    finish_on_interrupt: bool = False,
    resume_key: str | None = None,
    on: str | None = None,
    workers: int = 1,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Train a model on a folder of pictures.

    Arguments that are None are chosen from the data and the machine, and every choice is shown with
    its reason.

    Args:
        data: Folder, archive, table, array file or URL; see the page of each task for the layouts.
        name: Name of the run; None takes that of the data.
        out: Folder for runs, or an fsspec URL such as `s3://bucket/runs`: the run and its
            checkpoints are then uploaded during the training, and can be resumed from any machine.
        recipe: Recipe or the path of a recipe file; None chooses everything from the data.
        overrides: Settings of the recipe, each as `key.path=value`; any key is allowed.
        start_from: Trained model whose weights initialise the training: a run, a bundle, or a name
            in the store. Its backbone and pre-processing are used. Labels that it knows keep their
            weights; others are added or removed. None starts without one.
        task: `classify`, `read` or `segment`; None takes `classify`, or the task of `synth:KIND`.
        quality: How thoroughly to train, where other arguments leave it open: `fast` (a first
            answer), `good`, or `best` (everything, for twice the epochs, on larger pictures); None
            takes `good`.
        epochs: Number of epochs for the whole network, or for the head if the backbone is frozen.
        batch_size: Number of pictures in a training step.
        image_size: Size of the model input, in pixels: side of the square (classify) or of a tile
            (segment), height of a line (read).
        backbone: Name of a backbone, several names joined by commas, or your own as
            `package.module:make`.
        lr: Peak learning rate, also of the head unless `train.head_lr` is given.
        folds: Cross-validate in this many folds instead of keeping pictures for validation, and
            train the model on all of them: takes about as long as `folds` + 1 trainings, or with a
            frozen backbone little longer than one.
        patience: Stop early after this many epochs without improvement.
        budget_s: Time limit in seconds for reading the pictures and training; the learning rate
            schedule is fitted to it.
        seed: Random seed of the run.
        device: Device to train on: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        devices: Number of processes that train together, each on its share of every batch.
        strategy: Train the head only (`frozen`), the head and then everything (`staged`),
            everything (`full`), or everything from random weights (`scratch`).
        allow_download: Download pretrained weights that are not on this machine.
        label_regex: Regular expression that finds the label in a file name: its group `text`, or
            else its first.
        finish_on_interrupt: When Ctrl-C stops the epochs, finish with the model trained so far.
            Otherwise the training stops, and `resume` continues it.
        resume_key: Resume the run in `out` that was started with the same key, or start one if
            there is none. For jobs that are restarted after a machine is lost.
        on: Where the epochs are trained: `ray:local` starts Ray on this machine, `ray:auto` joins
            the cluster that this process is in, None trains in this process on its `devices`. To
            run the whole training elsewhere, see `submit`.
        workers: Number of processes that train together on Ray.
        verbose: Whether to show the choices, the progress and the result, if no `progress` is
            given.
        progress: Receives the progress.

    Returns:
        The trained model; `.run` is the run directory.

    Raises:
        DataError: If the data cannot be used for training.
        RecipeError: If a key is unknown or a value out of range.
        UsageError: If an argument is unknown, or a setting is given twice.
        ParityError: If the answers of the exported network differ from those of the trained one.
        TrainingInterrupted: If Ctrl-C stopped the training; its `run` can be resumed.

    Example:
        >>> model = foveal.train("photos/", epochs=3)  # doctest: +SKIP
        >>> model("cat.jpg").label  # doctest: +SKIP
        'cat'
    """
    given = _recipe_of(locals())
    before = start_from.bundle.path if isinstance(start_from, Model) else start_from

    launch = _launch_of(on, workers)

    def work(to: Progress) -> Path:
        made: Path = load_training().run_training(
            data,
            given,
            out=out,
            name=name,
            progress=to,
            start_from=before,
            finish_on_interrupt=finish_on_interrupt,
            resume_key=resume_key,
            launch=launch,
        )
        return made

    return _followed(work, progress, verbose=verbose)


@spelled
def find_lr(
    data: str | Path,
    *,
    name: str | None = None,
    out: str | Path = "runs",
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    task: str | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    backbone: str | None = None,
    seed: int | None = None,
    device: str | None = None,
    devices: int | None = None,
    strategy: Literal["auto", "frozen", "staged", "full", "scratch"] | None = None,
    label_regex: str | None = None,
    verbose: bool = True,
    progress: Progress | None = None,
) -> LearningRates:
    """Find a learning rate with a range test of at most 100 steps.

    The learning rate rises while the loss is recorded (Cyclical Learning Rates for Training Neural
    Networks, 2017, https://arxiv.org/abs/1506.01186). All arguments are those of `train`. Only the
    plot is kept, in the folder for runs.

    Args:
        data: The pictures.
        name: Name of the run that the test is for; None takes that of the data.
        out: Folder for runs.
        recipe: Recipe or the path of a recipe file.
        overrides: Settings of the recipe, each as `key.path=value`.
        task: `classify`, `read` or `segment`.
        batch_size: Number of pictures in a training step.
        image_size: Size of the model input, in pixels.
        backbone: Backbone.
        seed: Random seed.
        device: Device to train on.
        devices: Number of processes that train together, each on its share of every batch.
        strategy: Which parts of the network are trained.
        label_regex: Regular expression that finds the label in a file name.
        verbose: Whether to show the choices and the progress, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        The suggested rate, the curve, and the path of the plot; a notebook shows the curve.

    Raises:
        DataError: If the data cannot be used for training.
        FovealError: If the loss does not fall at any learning rate.

    Example:
        >>> rates = foveal.find_lr("photos/")  # doctest: +SKIP
        >>> foveal.train("photos/", lr=rates.suggested)  # doctest: +SKIP
    """
    given = _recipe_of(locals())
    load_training()
    from foveal.workflow.find_lr import find_learning_rate
    from foveal.workflow.remote_run import Runs

    with shown_progress(progress, verbose=verbose) as to:
        return find_learning_rate(data, given, out=Runs.at(out).folder, name=name, progress=to)


@spelled
def resume(
    run: str | Path,
    *,
    data: str | Path | None = None,
    finish: bool = False,
    finish_on_interrupt: bool = False,
    on: str | None = None,
    workers: int = 1,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Continue an interrupted training from its last checkpoint.

    Args:
        run: Run directory or its URL.
        data: The new location of the pictures, if they have been moved; None if they have not.
        finish: Finish with the model trained so far instead of training further; the run can still
            be resumed later.
        finish_on_interrupt: As for `train`.
        on: As for `train`.
        workers: As for `train`.
        verbose: Whether to show the progress and the result, if no `progress` is given.
        progress: Receives the progress.

    Raises:
        BundleError: If there is no such run.
        DataError: If the pictures are not there, or are not those of the run.
        TrainingInterrupted: If Ctrl-C stopped the training.
        UsageError: If there is no checkpoint to `finish`.
    """

    launch = _launch_of(on, workers)

    def work(to: Progress) -> Path:
        made: Path = load_training().resume_training(
            run,
            progress=to,
            finish=finish,
            finish_on_interrupt=finish_on_interrupt,
            data=None if data is None else str(data),
            launch=launch,
        )
        return made

    return _followed(work, progress, verbose=verbose)


@spelled
def extend(
    run: str | Path,
    epochs: int,
    *,
    data: str | Path | None = None,
    finish_on_interrupt: bool = False,
    on: str | None = None,
    workers: int = 1,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Train a finished run for more epochs, from its final weights.

    Args:
        run: Directory or URL of the finished run; its model is replaced by the new one.
        epochs: Number of epochs to add.
        data: As for `resume`.
        finish_on_interrupt: As for `train`.
        on: As for `train`.
        workers: As for `train`.
        verbose: Whether to show the progress and the result, if no `progress` is given.
        progress: Receives the progress.
    """
    if epochs < 1:
        raise UsageError(f"Invalid epochs. Expected at least 1. Received: {epochs}.")

    launch = _launch_of(on, workers)

    def work(to: Progress) -> Path:
        made: Path = load_training().extend_training(
            run,
            epochs,
            progress=to,
            finish_on_interrupt=finish_on_interrupt,
            data=None if data is None else str(data),
            launch=launch,
        )
        return made

    return _followed(work, progress, verbose=verbose)


def _recipe_of(arguments: Mapping[str, Any]) -> Recipe:
    """Return the recipe made of `recipe`, `overrides` and the everyday settings."""
    from foveal.recipe import KNOBS, make_recipe

    knobs = {name: value for name, value in arguments.items() if name in KNOBS}
    return make_recipe(arguments["recipe"], arguments["overrides"], knobs)


def _followed(
    work: Callable[[Progress], Path], progress: Progress | None, *, verbose: bool
) -> Model:
    """Run `work` and return the model of its run.

    Unless a `progress` is given, the choices, the progress and the result are shown in the
    terminal, notebook or log.
    """
    if progress is not None or not verbose:
        return Model(work(progress or NoProgress()))
    from foveal.progress import followed

    with followed() as drawn:
        model = Model(work(drawn))
        drawn.finish()
        primary = model.bundle.task.primary_metric
        where = "on validation" if model.bundle.manifest.folds is None else "in cross-validation"
        logger.info("%s %s: %s", primary.replace("_", " "), where, model.metrics[primary])
        logger.info("report: %s", from_here(model.run or model.bundle.path) / "report.html")
        return model


def _launch_of(on: str | None, workers: int) -> Any:
    """Return the launcher that trains on Ray; None if `on` is None.

    Raises:
        UsageError: If the target only takes whole trainings; see `submit`.
    """
    if on is None:
        if workers != 1:
            raise UsageError(
                "'workers' starts processes on Ray, which needs 'on'.",
                hint=f'on="ray:local", workers={workers}; or devices={workers}',
            )
        return None
    target = Target.parse(on)
    if not target.is_joined:
        raise UsageError(
            f"A training cannot join {target}; it has to be sent there as a job.",
            hint=f'foveal.submit(data, on="{target}")',
        )
    load_training()
    from foveal.cluster.train import on_ray

    return on_ray(target, workers)


def load_training() -> Any:
    """Return the module that runs trainings.

    Raises:
        MissingExtraError: If torch is not installed.
    """
    # Threads that wait by spinning fight over the cores of a machine that does anything else
    # beside: with one other busy process two of them train at a tenth of the speed of sleeping
    # ones, which alone cost under a tenth. Read by OpenMP when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Training needs torch, which is not installed.", hint=install_extra("train")
        ) from error
    from foveal.workflow import train as training

    return training
