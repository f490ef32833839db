"""Train: from pictures to a model."""

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
    epochs: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    backbone: str | None = None,
    lr: float | None = None,
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

    What is None is chosen from the data and the machine; every choice is shown with its reason.

    Args:
        data: A folder, archive, table, array file or URL; see the page of each task for layouts.
        name: Name of the run; None takes that of the data.
        out: Folder for runs, or an fsspec URL such as `s3://bucket/runs`: then the run goes there
            while it is trained, checkpoints too, and can be resumed from any machine.
        recipe: A recipe or the path of a recipe file; None chooses everything from the data.
        overrides: Each `key.path=value`, as after `--set`; any key of the recipe.
        start_from: Trained model whose weights are the first ones: a run, a bundle, or a name in
            the store. Its backbone and its pre-processing are taken; labels that it knows keep what
            was learnt, others are added or dropped. None begins with new weights.
        task: `classify`, `read` or `segment`; None takes `classify`, or what `synth:KIND` is for.
        epochs: Epochs of training the whole network; of the head, if the backbone stays frozen.
        batch_size: Pictures in a training step.
        image_size: Model input in pixels: side of the square (classify) or of a tile (segment),
            height of a line (read).
        backbone: Backbone, several joined by commas, or your own as `package.module:make`.
        lr: Peak learning rate; also the head's, unless `train.head_lr` is given.
        patience: Stop early after this many epochs without improvement.
        budget_s: Time limit in seconds of reading the pictures and training; the learning rates are
            planned for it.
        seed: Random seed of the run.
        device: Where to train: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        devices: Processes that train together, each on its share of every batch.
        strategy: Train the head only (`frozen`), the head and then everything (`staged`),
            everything (`full`), or everything from random weights (`scratch`).
        allow_download: Download pretrained weights that are not on this machine.
        label_regex: Regular expression that finds the label in a file name: its group `text`, or
            else its first.
        finish_on_interrupt: When Ctrl-C stops the epochs, make the model of what was learnt so
            far; otherwise stop, and `resume` continues.
        resume_key: Go on with the run that was begun with the same key, if `out` has one, as
            `resume` does; else begin it. For programs that are started again after a machine was
            lost.
        on: Where the epochs are trained: `ray:local` starts Ray on this machine, `ray:auto` uses
            the cluster that this process is in; None is this process and its `devices`. To send
            the whole training elsewhere, see `submit`.
        workers: Processes that train together on Ray.
        verbose: Whether choices, progress and the result are shown, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        The trained model; `.run` is the run directory.

    Raises:
        DataError: If the data cannot be trained on.
        RecipeError: For an unknown key or a value out of range.
        UsageError: For an unknown argument, or a setting that is given twice.
        ParityError: If the exported network does not answer like the trained one.
        TrainingInterrupted: If Ctrl-C stopped it; its `run` can be resumed.

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
    """Look for a learning rate: train at most 100 steps while it rises, and see the loss fall.

    All arguments are those of `train`. Nothing is kept but the plot, in the folder for runs.

    Args:
        data: The pictures.
        name: Name of the run to be.
        out: Folder for runs.
        recipe: A recipe or the path of a recipe file.
        overrides: Each `key.path=value`.
        task: `classify`, `read` or `segment`.
        batch_size: Pictures in a training step.
        image_size: Model input in pixels.
        backbone: Backbone.
        seed: Random seed.
        device: Where to train.
        devices: Processes that train together, each on its share of every batch.
        strategy: What of the network is trained.
        label_regex: Regular expression that finds the label in a file name.
        verbose: Whether choices and progress are shown, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        The suggestion, the curve, and the path of the plot; renders in a notebook as the curve.

    Raises:
        DataError: If the data cannot be trained on.
        FovealError: If the loss falls at no learning rate.

    Example:
        >>> rates = foveal.find_lr("photos/")  # doctest: +SKIP
        >>> foveal.train("photos/", lr=rates.suggested)  # doctest: +SKIP
    """
    given = _recipe_of(locals())
    load_training()
    from foveal.workflow.find_lr import find_learning_rate
    from foveal.workflow.remote_run import Runs

    to = shown_progress(progress, verbose=verbose)
    try:
        return find_learning_rate(data, given, out=Runs.at(out).folder, name=name, progress=to)
    finally:
        to.finish()


@spelled
def resume(
    run: str | Path,
    *,
    finish: bool = False,
    finish_on_interrupt: bool = False,
    on: str | None = None,
    workers: int = 1,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Continue an interrupted training from its last checkpoint.

    Args:
        run: The run directory, or its URL.
        finish: Train no more, but make the model of what was learnt so far; the run can still be
            continued.
        finish_on_interrupt: As for `train`.
        on: As for `train`.
        workers: As for `train`.
        verbose: Whether progress and the result are shown, if no `progress` is given.
        progress: Receives the progress.

    Raises:
        BundleError: If there is no such run.
        TrainingInterrupted: If Ctrl-C stopped it.
        UsageError: If there is no checkpoint to `finish`.
    """

    launch = _launch_of(on, workers)

    def work(to: Progress) -> Path:
        made: Path = load_training().resume_training(
            run,
            progress=to,
            finish=finish,
            finish_on_interrupt=finish_on_interrupt,
            launch=launch,
        )
        return made

    return _followed(work, progress, verbose=verbose)


@spelled
def extend(
    run: str | Path,
    epochs: int,
    *,
    finish_on_interrupt: bool = False,
    on: str | None = None,
    workers: int = 1,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Model:
    """Train a finished run for more epochs, from its final weights.

    Args:
        run: Directory or URL of the finished run, which then has the new model.
        epochs: Number of epochs to add.
        finish_on_interrupt: As for `train`.
        on: As for `train`.
        workers: As for `train`.
        verbose: Whether progress and the result are shown, if no `progress` is given.
        progress: Receives the progress.
    """
    if epochs < 1:
        raise UsageError(f"Invalid epochs. Expected at least 1. Received: {epochs}.")

    launch = _launch_of(on, workers)

    def work(to: Progress) -> Path:
        made: Path = load_training().extend_training(
            run, epochs, progress=to, finish_on_interrupt=finish_on_interrupt, launch=launch
        )
        return made

    return _followed(work, progress, verbose=verbose)


def _recipe_of(arguments: Mapping[str, Any]) -> Recipe:
    """Return the recipe that is given by the arguments of a function that takes one and knobs."""
    from foveal.recipe import KNOBS, make_recipe

    knobs = {name: value for name, value in arguments.items() if name in KNOBS}
    return make_recipe(arguments["recipe"], arguments["overrides"], knobs)


def _followed(
    work: Callable[[Progress], Path], progress: Progress | None, *, verbose: bool
) -> Model:
    """Return the model of the run that `work` gives.

    Unless someone else listens, a terminal, a notebook or a log sees what was chosen, how far the
    work is, and what came out.
    """
    if progress is not None or not verbose:
        return Model(work(progress or NoProgress()))
    from foveal.progress import followed

    with followed() as drawn:
        model = Model(work(drawn))
        drawn.finish()
        primary = model.bundle.task.primary_metric
        logger.info("%s on validation: %s", primary.replace("_", " "), model.metrics[primary])
        logger.info("report: %s", (model.run or model.bundle.path) / "report.html")
        return model


def _launch_of(on: str | None, workers: int) -> Any:
    """Return what trains on Ray; None where nothing was said of it.

    Raises:
        UsageError: For a target that a training is sent to as a whole.
    """
    if on is None:
        if workers != 1:
            raise UsageError(
                "workers are processes on Ray and need a target.",
                hint=f'on="ray:local", workers={workers}; or devices={workers}',
            )
        return None
    target = Target.parse(on)
    if not target.is_joined:
        raise UsageError(
            f"A training is sent to {target} as a whole.",
            hint=f'foveal.submit(data, on="{target}")',
        )
    load_training()
    from foveal.cluster.train import on_ray

    return on_ray(target, workers)


def load_training() -> Any:
    """Return the module that trains.

    Raises:
        MissingExtraError: When torch is not installed.
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
