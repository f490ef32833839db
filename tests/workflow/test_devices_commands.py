"""What a user does to a training in two processes: stop it, go on, extend it, start from it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import foveal
from foveal.train.checkpoint import CheckpointStore
from foveal.workflow.rundir import RunDirectory

pytestmark = pytest.mark.slow

LETTERS = "synth:letters?count=40&characters=abcd"
# What two processes compute in another order than one stays as small as it is; see test_devices.
EXACT = ("train.optimizer=sgd", "model.dropout=0", "train.precision=fp32", "train.lr=0.002")
SMALL = ("data.fresh_every=0", "train.batch_size=16", "model.backbone=cnn2")
EPOCHS = 30


def trained(out: Path, *settings: str, **knobs: Any) -> foveal.Model:
    given = {"epochs": EPOCHS, "image_size": 32, "device": "cpu", "devices": 2, **knobs}
    overrides = (*EXACT, *SMALL, *settings)
    return foveal.train(
        LETTERS, name="letters", out=out, overrides=overrides, verbose=False, **given
    )


def weights(run: Path) -> dict[str, Any]:
    return dict(load_file(run / "bundle" / "weights.safetensors"))


def processes_of(run: Path) -> list[int]:
    """Return the processes that have the prepared pictures of a run open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(each.readlink()) for each in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(str(run / "cache") in each for each in opened):
            found.append(int(process.name))
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an undisturbed run in two processes."""
    run = trained(tmp_path_factory.mktemp("whole")).run
    assert run is not None
    return run


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_ends_all_processes_and_the_resumed_run_is_the_undisturbed_one(
    whole: Path, tmp_path: Path
) -> None:
    args = ["train", LETTERS, "--name", "letters", "--out", str(tmp_path), "--image-size", "32"]
    args += ["--epochs", str(EPOCHS), "--device", "cpu", "--devices", "2"]
    args += [word for setting in (*EXACT, *SMALL) for word in ("--set", setting)]
    run = RunDirectory(tmp_path / "classify" / "letters")
    with subprocess.Popen(
        [sys.executable, "-m", "foveal", *args], stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        while not run.results.is_file() or len(run.results.read_text().splitlines()) < 3:
            assert process.poll() is None, "it ended before it was interrupted"
            threading.Event().wait(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert f"to continue: foveal train --resume {run.path}" in said
    assert processes_of(run.path) == []
    assert len(run.results.read_text().splitlines()) < EPOCHS + 1
    foveal.resume(run.path, verbose=False)
    found, wanted = weights(run.path), weights(whole)
    assert all(np.array_equal(found[name], value) for name, value in wanted.items())


def test_patience_ends_both_after_the_same_epoch(tmp_path: Path) -> None:
    # With a rate of almost nothing, nothing improves.
    still = {"patience": 2, "epochs": 12}
    lengths = [
        len(trained(tmp_path / str(n), "train.lr=1e-9", devices=n, **still).history())
        for n in (1, 2)
    ]
    assert lengths[0] == lengths[1] < 12


def test_a_run_is_extended_by_two_processes(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "classify" / "letters"
    shutil.copytree(whole, run)
    model = foveal.extend(run, 2, verbose=False)
    assert len(model.history()) == EPOCHS + 2
    before, after = (CheckpointStore(each / "checkpoints").load() for each in (whole, run))
    assert before is not None and after is not None
    assert any(
        not torch.equal(after.tensors["model"][name], value)
        for name, value in before.tensors["model"].items()
    )


def test_two_processes_start_from_a_model_whose_labels_grow(whole: Path, tmp_path: Path) -> None:
    more = "synth:letters?count=40&characters=abcde"
    model = foveal.train(
        more,
        start_from=whole,
        out=tmp_path,
        epochs=1,
        devices=2,
        device="cpu",
        overrides=("data.fresh_every=0", "train.batch_size=16"),
        verbose=False,
    )
    assert model.labels == tuple("abcde")
    assert model.run is not None
    assert (model.run / "before.json").is_file()
