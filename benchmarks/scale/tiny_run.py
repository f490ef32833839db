"""A prepared run on drawn letters, trained in one process or in several; nothing is shipped."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from time import monotonic
from typing import Any

from foveal.console import NoProgress
from foveal.recipe import Recipe, make_recipe
from foveal.train.distributed import Group
from foveal.workflow.broadcast import Broadcast
from foveal.workflow.fitting import Fit
from foveal.workflow.prepare import prepare, reopen
from foveal.workflow.processes import RunToTrain, train_here
from foveal.workflow.resolve import resolve_recipe
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.sources import open_for
from foveal.workflow.state import read_state, write_state
from foveal.workflow.units import Units


def prepared_run(folder: Path, data: str, settings: tuple[str, ...], knobs: dict[str, Any]) -> Path:
    """Decode the pictures and return the run directory, in which nothing is trained yet."""
    source, recipe = resolve_recipe(data, make_recipe(None, settings, knobs))
    run = RunDirectory(folder)
    folder.mkdir(parents=True)
    run.recipe.write_text(recipe.to_yaml(), encoding="utf-8")
    write_state(run, data, ())
    prepare(source, recipe, run, NoProgress()).cache.close()
    return folder


def copied(run: Path, to: Path, devices: int) -> RunToTrain:
    """Return a copy of a prepared run as something to train in so many processes."""
    shutil.copytree(run, to)
    copy = RunDirectory(to)
    recipe = Recipe.load(copy.recipe)
    text = copy.recipe.read_text(encoding="utf-8").replace(
        f"devices: {recipe.train.devices}", f"devices: {devices}"
    )
    copy.recipe.write_text(text, encoding="utf-8")
    return RunToTrain(copy, Recipe.load(copy.recipe), (), monotonic())


def train_in_several(task: RunToTrain) -> None:
    """Train in the processes that the recipe names."""
    with Broadcast(NoProgress(), task.run) as progress:
        train_here(task, progress)


def train_in_one(folder: Path) -> None:
    """Train in this process."""
    run = RunDirectory(folder)
    recipe = Recipe.load(run.recipe)
    prepared = reopen(open_for(read_state(run)["data"], recipe), recipe, run, None)
    fit = Fit(run, (), monotonic(), True, Group(), lambda stop: None)
    fit(prepared, Units(prepared), NoProgress())


def rates(run: Path) -> list[float]:
    """Return the pictures a second of every epoch."""
    with (run / "results.csv").open(encoding="utf-8") as file:
        return [float(row["pictures_per_s"]) for row in csv.DictReader(file)]
