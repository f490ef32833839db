"""Search for a better recipe."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from foveal.api.training import load_training
from foveal.console import NoProgress, Progress
from foveal.errors import UsageError
from foveal.foreign import spelled

if TYPE_CHECKING:
    from foveal.recipe import Recipe
    from foveal.tune.result import Tuning

logger = logging.getLogger(__name__)


@spelled
def tune(
    data: str | Path | None = None,
    *,
    budget_s: float | None = None,
    trials: int | None = None,
    workers: int = 1,
    space: str | Path | None = None,
    on: str = "local",
    resume: str | Path | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    task: str | None = None,
    quality: Literal["fast", "good", "best"] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    image_size: int | None = None,
    backbone: str | None = None,
    lr: float | None = None,
    patience: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    strategy: Literal["auto", "frozen", "staged", "full", "scratch"] | None = None,
    allow_download: bool | None = None,
    label_regex: str | None = None,
    verbose: bool = True,
    progress: Progress | None = None,
) -> Tuning:
    """Search for a better recipe within a budget, and compare it with the default one.

    The first trial is the recipe that `train` would use. Optuna proposes the others, which are
    trained in rungs of increasing budget and pruned when they fall behind. At the end, the default
    recipe and the best other one are trained with three seeds each; the default may win. All trials
    share one split, whose test part is never used. Repeating an interrupted call continues the
    study.

    Args:
        data: Folder, archive, table, array file or URL; see the page of each task for the layouts.
        budget_s: Wall-clock budget of the whole study in seconds, including the comparison at the
            end.
        trials: Largest number of recipes to try.
        workers: Number of parallel trainings, each in its own process.
        space: YAML file that narrows the search space; `foveal tune DATA --show-space` prints it.
        on: Where the workers run: `local`, `ray:local` or `ray:auto`; see `train`.
        resume: Folder or URL of a study to continue, with its original settings; the budget and the
            number of trials may be raised.
        name: Name of the study; None takes that of the data.
        out: Folder or fsspec URL for runs; the study is written to `tune/<task>/<name>` there.
        recipe: Recipe or the path of a recipe file, from which the default recipe is made.
        overrides: Settings of the recipe, each as `key.path=value`. These and the settings below
            are fixed, not searched.
        task: `classify`, `read` or `segment`.
        quality: How thoroughly to train, where other arguments leave it open: `fast` (a first
            answer), `good`, or `best` (everything, for twice the epochs, on larger pictures); None
            takes `good`.
        epochs: Number of epochs of each training.
        batch_size: Number of pictures in a training step.
        image_size: Size of the model input, in pixels; see `train`.
        backbone: Backbone; see `train`.
        lr: Peak learning rate.
        patience: Number of epochs without improvement after which a training stops early.
        seed: Random seed of the trials; the comparison uses the three following seeds.
        device: Device to train on.
        strategy: Which parts of the network are trained.
        allow_download: Download pretrained weights that are not on this machine.
        label_regex: Regular expression that finds the label in a file name.
        verbose: Whether to show the trials, the progress and the result, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        The verdict, the trials and the resulting recipe; after Ctrl-C, the results so far, with
        `interrupted` set.

    Raises:
        DataError: If the data cannot be used for training.
        MissingExtraError: If Optuna is not installed.
        RecipeError: If a key is unknown, or the space is not part of the full search space.
        UsageError: If the budget is too short for a single comparison, or another process is
            working on the study.

    Example:
        >>> found = foveal.tune("photos/", budget_s=3600)  # doctest: +SKIP
        >>> found.sentence  # doctest: +SKIP
        'the best recipe is better by +1.20 points (+0.31 to +2.09)'
        >>> model = foveal.train("photos/", recipe=found.recipe)  # doctest: +SKIP
    """
    given, fixed = _given(locals())
    load_training()
    from foveal.jobs.target import Target
    from foveal.tune.run import Asked, resume_tuning, run_tuning

    asked = Asked(budget_s, trials, workers, Target.parse(on))

    def work(to: Progress) -> Tuning:
        if resume is not None:
            return resume_tuning(resume, asked, progress=to)
        if data is None:
            raise UsageError("data is missing.", hint='foveal.tune("photos", budget_s=3600)')
        return run_tuning(
            data,
            given,
            asked,
            fixed=fixed,
            space_file=None if space is None else Path(space),
            out=out,
            name=name,
            progress=to,
        )

    if progress is not None or not verbose:
        return work(progress or NoProgress())
    from foveal.progress import followed

    with followed() as drawn:
        found = work(drawn)
        drawn.finish()
        logger.info("%s", found.sentence)
        logger.info("report: %s/report.html", found.place)
        return found


def search_space(data: str | Path, **about: Any) -> str:
    """Return the space that `tune` would search, as YAML; `about` holds its arguments."""
    given, fixed = _given({"recipe": None, "overrides": (), **about})
    load_training()
    from foveal.tune.run import show_space
    from foveal.tune.spacefile import space_yaml

    return space_yaml(show_space(data, given, fixed=fixed))


def _given(arguments: Mapping[str, Any]) -> tuple[Recipe, frozenset[str]]:
    """Return the recipe made of the arguments, and the keys that were given individually."""
    from foveal.recipe import KNOBS, make_recipe
    from foveal.recipe.knobs import override_keys

    knobs = {
        name: value
        for name, value in arguments.items()
        # A study's budget is not that of one training.
        if name in KNOBS and name != "budget_s" and value is not None
    }
    recipe = make_recipe(arguments["recipe"], arguments["overrides"], knobs)
    keys = {KNOBS[name].key for name in knobs} | override_keys(arguments["overrides"])
    return recipe, frozenset(keys)
