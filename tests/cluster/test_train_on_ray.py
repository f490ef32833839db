"""Training on Ray: what two workers leave, and what happens when one is killed."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from running_ray import RunningRay

pytest.importorskip("ray", reason="ray is not installed: pip install 'foveal[ray]'")

import torch

from foveal.cluster.train import on_ray
from foveal.console import NoProgress
from foveal.errors import DataError, RecipeError
from foveal.jobs.target import Target
from foveal.recipe import make_recipe
from foveal.train.checkpoint import CheckpointStore
from foveal.workflow.broadcast import Broadcast
from foveal.workflow.prepare import prepare
from foveal.workflow.processes import RunToTrain
from foveal.workflow.resolve import resolve_recipe
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.state import write_state

# Ray itself uses what it calls deprecated, and closes sockets late.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LETTERS = "synth:letters?count=80&characters=abcd"
AUTO = Target("ray", address="auto")


def begun(folder: Path, **knobs: Any) -> RunToTrain:
    """Return a run that is prepared and not trained."""
    settings = ("data.fresh_every=1", "model.dropout=0", "train.precision=fp32")
    options = {"epochs": 3, "batch_size": 12, "device": "cpu", "strategy": "scratch", **knobs}
    source, recipe = resolve_recipe(LETTERS, make_recipe(None, settings, options))
    run = RunDirectory.create(folder, recipe.task, "letters")
    run.recipe.write_text(recipe.to_yaml(), encoding="utf-8")
    write_state(run, LETTERS, ())
    prepare(source, recipe, run, NoProgress()).cache.close()
    return RunToTrain(run, recipe, (), monotonic())


def trained(task: RunToTrain, workers: int = 2) -> None:
    with Broadcast(NoProgress(), task.run) as progress:
        on_ray(AUTO, workers)(task, progress)


def final(run: RunDirectory) -> dict[str, torch.Tensor]:
    checkpoint = CheckpointStore(run.checkpoints).load()
    assert checkpoint is not None
    weights: dict[str, torch.Tensor] = checkpoint.tensors["model"]
    return weights


def workers_of(task: RunToTrain) -> list[int]:
    """Return the process ids of the Ray workers that have the run's cache open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(each.readlink()) for each in (process / "fd").iterdir()]
        except OSError:
            continue
        if int(process.name) != os.getpid() and any(str(task.run.cache) in o for o in opened):
            found.append(int(process.name))
    return found


def kill_one(task: RunToTrain) -> None:
    # The first follows the first epoch, and the row of that in results.csv.
    while not CheckpointStore(task.run.checkpoints, sweeps=False).names():
        threading.Event().wait(0.05)
    while not (found := workers_of(task)):
        threading.Event().wait(0.05)
    os.kill(found[-1], signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to find a worker")
def test_a_killed_worker_changes_nothing_to_the_bit(
    running_ray: RunningRay, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="foveal")
    whole, task = begun(tmp_path / "whole"), begun(tmp_path / "killed")
    trained(whole)
    killer = threading.Thread(target=kill_one, args=(task,), daemon=True)
    killer.start()
    trained(task)
    killer.join()
    wanted, found = final(whole.run), final(task.run)
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert len(task.run.results.read_text().splitlines()) == 4
    # Said by the workers that Ray started after the kill.
    assert "resumed after step" in caplog.text


def test_more_workers_than_the_cluster_has_cores_are_refused(
    running_ray: RunningRay, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="Expected at least 9, one for each worker"):
        trained(begun(tmp_path), workers=9)


def test_an_error_of_a_worker_is_not_tried_again(running_ray: RunningRay, tmp_path: Path) -> None:
    task = begun(tmp_path)
    (task.run.cache / "header.json").unlink()
    with pytest.raises(DataError, match="prepared pictures of the run are not in"):
        trained(task)
