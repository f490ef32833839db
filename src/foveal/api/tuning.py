"""Tune: look for a better recipe."""

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
    """Look for a better recipe within a budget, and prove it against the default one.

    The first trial is the recipe that `train` would take. Others are drawn by Optuna, trained rung
    by rung and given up where they fall behind. At the end the default recipe and the best other
    one are trained on three seeds each; that the default stays is a result too. All have one
    split, and its test side is never looked at. The same call goes on with a study that was
    stopped, at whatever moment.

    Args:
        data: A folder, archive, table, array file or URL; see the page of each task for layouts.
        budget_s: Wall-clock seconds of the whole study, the comparison at its end included.
        trials: How many recipes are tried at most.
        workers: How many trainings at a time, each in a process of its own.
        space: YAML file that narrows the search space; `foveal tune DATA --show-space` prints it.
        on: Where the workers run: `local`, `ray:local` or `ray:auto`.
        resume: Go on with the study in this folder or at this URL, with what it was begun with; a
            larger budget or more trials may be given.
        name: Name of the study; None takes that of the data.
        out: Folder for runs, or an fsspec URL; the study is in `tune/<task>/<name>` there.
        recipe: A recipe or the path of a recipe file that the default recipe is made from.
        overrides: Each `key.path=value`; these and the settings below are fixed, not searched.
        task: `classify`, `read` or `segment`.
        epochs: Epochs of each training.
        batch_size: Pictures in a training step.
        image_size: Model input in pixels.
        backbone: Backbone.
        lr: Peak learning rate.
        patience: Stop a training early after this many epochs without improvement.
        seed: Random seed of the trials; the comparison takes the three that follow it.
        device: Where to train.
        strategy: What of the network is trained.
        allow_download: Download pretrained weights that are not on this machine.
        label_regex: Regular expression that finds the label in a file name.
        verbose: Whether trials, progress and the result are shown, if no `progress` is given.
        progress: Receives the progress.

    Returns:
        The verdict, the trials and the recipe that came out; after Ctrl-C what there is, and
        `interrupted`.

    Raises:
        DataError: If the data cannot be trained on.
        MissingExtraError: If Optuna is not installed.
        RecipeError: For an unknown key, or a space that is not within the whole one.
        UsageError: For a budget that is too short for a single comparison, or when another process
            works on the study.

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
    """Return what `tune` would search for some data, as YAML; `about` is what it would be given."""
    given, fixed = _given({"recipe": None, "overrides": (), **about})
    load_training()
    from foveal.tune.run import show_space
    from foveal.tune.spacefile import space_yaml

    return space_yaml(show_space(data, given, fixed=fixed))


def _given(arguments: Mapping[str, Any]) -> tuple[Recipe, frozenset[str]]:
    """Return the recipe that is given by arguments, and the keys that were given one by one."""
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
