"""Training in two processes of this machine: what comes out, and what happens when one dies."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import torch
from discs import draw_disc_folder
from drawing import DrawFolder

from foveal.console import NoProgress
from foveal.errors import DataError, FovealError, RecipeError
from foveal.recipe import make_recipe
from foveal.train.checkpoint import CheckpointStore
from foveal.train.distributed import Group
from foveal.workers import started
from foveal.workflow import processes
from foveal.workflow.broadcast import Broadcast
from foveal.workflow.fitting import Fit, learnt
from foveal.workflow.prepare import Prepared, prepare
from foveal.workflow.processes import RunToTrain, check_devices, train_here
from foveal.workflow.resolve import resolve_recipe
from foveal.workflow.rundir import RunDirectory
from foveal.workflow.state import write_state
from foveal.workflow.units import Units

pytestmark = pytest.mark.slow

# What one process computes in another order grows under an optimizer that divides by small
# numbers; momentum alone leaves it as small as it is.
EXACT = ("train.optimizer=sgd", "model.dropout=0", "train.precision=fp32", "train.lr=0.002")
LETTERS = "synth:letters?count=80&characters=abcd"


def begun(
    folder: Path, data: str, *settings: str, devices: int = 2, **knobs: Any
) -> tuple[RunToTrain, Prepared]:
    """Return a run that is prepared and not trained."""
    options = {"epochs": 3, "batch_size": 12, "device": "cpu", "devices": devices, **knobs}
    source, recipe = resolve_recipe(data, make_recipe(None, (*EXACT, *settings), options))
    run = RunDirectory.create(folder, recipe.task, f"in-{devices}")
    run.recipe.write_text(recipe.to_yaml(), encoding="utf-8")
    write_state(run, data, ())
    prepared = prepare(source, recipe, run, NoProgress())
    return RunToTrain(run, recipe, (), monotonic()), prepared


def trained(task: RunToTrain) -> None:
    with Broadcast(NoProgress(), task.run) as progress:
        train_here(task, progress)


def rows(run: RunDirectory) -> list[dict[str, float]]:
    """Return what `results.csv` says, but for times."""
    with run.results.open(encoding="utf-8") as file:
        return [
            {k: float(v) for k, v in row.items() if v and k not in ("stage", "seconds")}
            for row in csv.DictReader(file)
        ]


def close(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> None:
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        for name in theirs.keys() - {"pictures_per_s"}:
            assert mine[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-4, nan_ok=True), name


def final(run: RunDirectory) -> dict[str, torch.Tensor]:
    checkpoint = CheckpointStore(run.checkpoints).load()
    assert checkpoint is not None
    weights: dict[str, torch.Tensor] = checkpoint.tensors["model"]
    return weights


@contextmanager
def disturbed(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[list[subprocess.Popen[bytes]]], None]
) -> Iterator[list[int]]:
    """Call `act` from a thread with the processes of the first attempt; give what was started."""
    attempts: list[int] = []

    @contextmanager
    def watched(module: str, orders: list[Any]) -> Iterator[list[subprocess.Popen[bytes]]]:
        with started(module, orders) as found:
            attempts.append(len(orders))
            if len(attempts) == 1:
                threading.Thread(target=act, args=(found,), daemon=True).start()
            yield found

    monkeypatch.setattr(processes, "started", watched)
    yield attempts


def when(run: RunDirectory, epochs: int) -> None:
    """Wait until so many epochs are recorded."""
    while not run.results.is_file() or len(rows(run)) < epochs:
        threading.Event().wait(0.01)


CASES = {
    "drawn": (LETTERS, ("data.fresh_every=1",), {"strategy": "scratch"}),
    "weights": (
        LETTERS,
        ("data.fresh_every=0", "train.balance=weights", "train.mixup=0.3", "train.ema=0.9"),
        {"strategy": "scratch"},
    ),
    "text": (
        "synth:captcha?count=60&length=2&alphabet=01",
        ("data.fresh_every=0",),
        # The loss of a sequence falls so steeply that later epochs magnify the order of sums.
        {"strategy": "scratch", "epochs": 1},
    ),
    "masks": ("discs", (), {"strategy": "scratch", "backbone": "fovea", "image_size": 64}),
    "features": (
        "shapes",
        (),
        {"strategy": "frozen", "backbone": "efficientnet_lite0", "image_size": 32, "epochs": 2},
    ),
    "fitted": (
        "shapes",
        ("train.head_solver=lbfgs",),
        {"strategy": "frozen", "backbone": "efficientnet_lite0", "image_size": 32},
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_two_processes_record_what_one_records(
    case: str, tmp_path: Path, draw_folder: DrawFolder
) -> None:
    data, settings, knobs = CASES[case]
    if data == "discs":
        data = str(draw_disc_folder(tmp_path / "data", 8))
        knobs = {**knobs, "task": "segment"}
    elif data == "shapes":
        data = str(draw_folder(tmp_path / "data", n=20, size=32))
    task, _ = begun(tmp_path, data, *settings, **knobs)
    trained(task)
    alone, prepared = begun(tmp_path, data, *settings, devices=1, **knobs)
    fit = Fit(alone.run, (), monotonic(), True, Group(), lambda stop: None)
    fit(prepared, Units(prepared), NoProgress())
    close(rows(task.run), rows(alone.run))
    answered = [p.name for p in alone.run.watch.glob("epoch-*.json")]
    assert sorted(p.name for p in task.run.watch.glob("epoch-*.json")) == sorted(answered)
    for part in (alone, task):
        assert not list(part.run.path.rglob(".tmp-*"))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_changes_nothing_to_the_bit(
    rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole, _ = begun(tmp_path / "whole", LETTERS, "data.fresh_every=1", strategy="scratch")
    trained(whole)
    task, prepared = begun(tmp_path / "killed", LETTERS, "data.fresh_every=1", strategy="scratch")

    def kill(found: list[subprocess.Popen[bytes]]) -> None:
        when(task.run, 1)
        os.kill(found[rank].pid, signal.SIGKILL)

    with disturbed(monkeypatch, kill) as attempts:
        trained(task)
    assert len(attempts) == 2
    assert f"training process {rank} was ended by SIGKILL" in caplog.text
    wanted, found = final(whole.run), final(task.run)
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    close(rows(task.run), rows(whole.run))
    network, result = learnt(prepared, Units(prepared), task.run)
    assert result.stopped == "finished"
    assert len(result.history) == 3
    assert not network.training


def test_a_process_that_stands_still_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    task, _ = begun(
        tmp_path,
        LETTERS,
        "data.fresh_every=0",
        "train.devices_timeout_s=20",
        strategy="scratch",
        epochs=2,
    )

    def stop(found: list[subprocess.Popen[bytes]]) -> None:
        when(task.run, 1)
        os.kill(found[1].pid, signal.SIGSTOP)

    with disturbed(monkeypatch, stop) as attempts:
        trained(task)
    assert len(attempts) == 2
    assert "a training process did not respond in time" in caplog.text
    assert len(rows(task.run)) == 2


def test_processes_that_die_again_and_again_are_an_error_that_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, _ = begun(tmp_path, LETTERS, "data.fresh_every=0", strategy="scratch")
    monkeypatch.setattr(processes, "RESTARTS", 1)

    @contextmanager
    def killed(module: str, orders: list[Any]) -> Iterator[list[subprocess.Popen[bytes]]]:
        with started(module, orders) as found:
            found[1].kill()
            yield found

    monkeypatch.setattr(processes, "started", killed)
    with pytest.raises(FovealError, match="ended by SIGKILL") as caught:
        trained(task)
    assert caught.value.hint == f"foveal train --resume {task.run.path}"


def test_an_error_in_a_process_is_told_as_it_is(tmp_path: Path) -> None:
    task, prepared = begun(tmp_path, LETTERS, "data.fresh_every=0", strategy="scratch")
    prepared.cache.close()
    (task.run.cache / "header.json").unlink()
    with pytest.raises(DataError, match="prepared pictures of the run are not in"):
        trained(task)


def test_a_request_to_stop_is_heard_by_all(tmp_path: Path) -> None:
    task, prepared = begun(tmp_path, LETTERS, "data.fresh_every=0", strategy="scratch", epochs=500)
    with Broadcast(NoProgress(), task.run) as progress:
        asked = threading.Thread(target=lambda: (when(task.run, 1), task.run.stop_request.touch()))
        asked.start()
        train_here(task, progress)
        asked.join()
    _, result = learnt(prepared, Units(prepared), task.run)
    assert result.stopped == "asked"
    assert len(rows(task.run)) < 500


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("train.batch_size=1",), "is too small for 2 processes"),
        (("train.compile=true", "train.batch_size=4"), "works in a single process only"),
    ],
)
def test_what_cannot_be_shared_is_refused_beforehand(
    settings: tuple[str, ...], message: str
) -> None:
    recipe = make_recipe(None, settings, {"devices": 2, "device": "cpu"})
    with pytest.raises(RecipeError, match=message):
        check_devices(recipe)
