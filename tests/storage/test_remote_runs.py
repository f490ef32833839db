"""Runs behind URLs: trained there, killed, resumed on an empty machine, and used from anywhere."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import DrawFolder
from failing import FailingProxy
from safetensors.numpy import load_file

import foveal
import foveal.workflow.followed
import foveal.workflow.lease
import foveal.workflow.remote_run
from foveal.bundle import Bundle
from foveal.cli.main import run as run_command
from foveal.errors import BundleError, RemoteError, StoreError, TrainingInterrupted, UsageError
from foveal.listing import names_below
from foveal.mirror import PARTS, Upload, read_state, sync_up
from foveal.remote import open_url
from foveal.train.callbacks import ProgressReport
from foveal.train.records import StepRecord
from foveal.urls import MANIFEST_NAME
from foveal.workflow.fetched import fetched
from foveal.workflow.followed import followed
from foveal.workflow.keeper import STOP_NAME
from foveal.workflow.lease import LEASE_NAME, Lease
from foveal.workflow.locate import find_model
from foveal.workflow.remote_run import at_hand
from foveal.workflow.rundir import kept_at

pytestmark = pytest.mark.slow

SMALL = ("train.batch_size=16", "pipeline.image_size=16", "model.backbone=cnn2")
EPOCHS = 8


@pytest.fixture(autouse=True)
def _another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Begin with an empty cache; called, go on with another empty one."""
    monkeypatch.setattr(foveal.workflow.lease, "DIES_AFTER_S", 0.2)
    monkeypatch.setattr(foveal.workflow.followed, "LOOK_S", 0.02)

    def leave() -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / uuid.uuid4().hex))

    leave()
    return leave


@pytest.fixture(scope="module")
def bucket_of_module(s3_proxy: FailingProxy) -> Iterator[str]:
    import s3fs

    s3_proxy.heal()
    name = f"b-{uuid.uuid4().hex[:16]}"
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    yield f"s3://{name}"


@pytest.fixture(scope="module")
def photos(
    bucket_of_module: str, tmp_path_factory: pytest.TempPathFactory, draw_folder: DrawFolder
) -> str:
    """Return the URL of pictures."""
    folder = draw_folder(tmp_path_factory.mktemp("data") / "photos", n=40)
    sync_up(folder, f"{bucket_of_module}/photos")
    return f"{bucket_of_module}/photos"


@pytest.fixture(scope="module")
def trained(bucket_of_module: str, photos: str) -> str:
    """Return the URL of a run that was trained there, undisturbed."""
    foveal.train(photos, out=f"{bucket_of_module}/runs", epochs=EPOCHS, overrides=SMALL)
    return f"{bucket_of_module}/runs/classify/photos"


def _weights(run: Path) -> dict[str, Any]:
    return dict(load_file(run / "bundle" / "weights.safetensors"))


def _are_same(one: Path, other: Path) -> bool:
    first, second = _weights(one), _weights(other)
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


def test_a_run_at_a_url_has_everything_under_its_own_name(trained: str) -> None:
    remote = open_url(trained)
    names = set(names_below(remote))
    assert {"recipe.yaml", "results.csv", "bundle/bundle.json", "report.html"} <= names
    assert not any(name.startswith((PARTS, "cache/")) for name in names)
    assert not {LEASE_NAME, "remote.json", "run.lock"} & names
    state = read_state(remote)
    assert state is not None and state.is_final


def test_it_is_loaded_evaluated_and_exported_from_there(
    trained: str, bucket_of_module: str, photos: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = foveal.load(trained)
    assert model.run is not None and kept_at(model.run) == trained
    assert not (model.run / "checkpoints").exists()
    assert run_command(["evaluate", trained, photos, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 80
    out = f"{bucket_of_module}/exports/photos.onnx"
    assert run_command(["export", trained, "--to", "onnx", "-o", out, "--quiet"]) == 0
    assert open_url(out).kind() == "file"


def test_runs_at_urls_are_compared(
    trained: str, bucket_of_module: str, photos: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"{bucket_of_module}/shorter"
    foveal.train(photos, out=out, epochs=1, overrides=SMALL)
    other = f"{out}/classify/photos"
    assert run_command(["compare", trained, other, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in values["runs"]] == [trained, other]
    assert [run["recipe"] for run in values["runs"]] == [
        {"train.epochs": epochs} for epochs in (EPOCHS, 1)
    ]
    assert values["tests"][0]["common"] > 0
    with pytest.raises(StoreError, match="nothing"):
        foveal.compare(trained, f"{out}/classify/nothing")


def test_a_bundle_and_a_file_of_one_at_urls_are_models(
    bucket: str, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    remote = open_url(f"{bucket}/models")
    for file in tiny_bundle.path.iterdir():
        remote.put(file, f"plain/{file.name}")
    packed = tmp_path / "tiny.foveal"
    tiny_bundle.pack(packed)
    remote.put(packed, "tiny.foveal")
    for url in (f"{bucket}/models/plain", f"{bucket}/models/tiny.foveal", f"{bucket}/models"):
        found = fetched(url)
        assert found is not None
        assert Bundle.open(found).version == tiny_bundle.version
        assert fetched(url) == found
    assert find_model(f"{bucket}/models/plain").bundle.version == tiny_bundle.version
    assert fetched(f"{bucket}/nothing") is None


def test_a_damaged_bundle_is_not_kept(bucket: str, tiny_bundle: Bundle) -> None:
    remote = open_url(f"{bucket}/plain")
    for file in tiny_bundle.path.iterdir():
        remote.put(file, file.name)
    remote.write(b"x", "model.onnx")
    for _ in range(2):
        with pytest.raises(BundleError):
            fetched(f"{bucket}/plain")
    remote.put(tiny_bundle.path / "model.onnx", "model.onnx")
    assert fetched(f"{bucket}/plain") is not None


# Trains with the arguments of `foveal`, and is killed at the second state that has a checkpoint:
# when all its objects are there, before or after its manifest is.
TRAIN_AND_DIE = """
import os, signal, sys
import foveal.workflow.keeper
from foveal.cli.main import run
from foveal.remote import Remote
from foveal.urls import MANIFEST_NAME

foveal.workflow.keeper.LOOK_S = 0.01
when, *arguments = sys.argv[1:]
real, states = Remote.write, 0

def write(self, content, name="", **more):
    global states
    if name == MANIFEST_NAME and b"checkpoints/" in content:
        states += 1
        if states == 2 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        real(self, content, name, **more)
        if states == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        real(self, content, name, **more)

Remote.write = write
sys.exit(run(arguments))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_and_resumed_on_an_empty_machine_it_ends_with_the_same_weights(
    trained: str,
    bucket_of_module: str,
    photos: str,
    when: str,
    _another_machine: Callable[[], None],
) -> None:
    out = f"{bucket_of_module}/killed-{when}"
    url = f"{out}/classify/photos"
    command = [sys.executable, "-c", TRAIN_AND_DIE, when, "train", photos, "--out", out]
    command += ["--epochs", str(EPOCHS), "--quiet", *(w for s in SMALL for w in ("--set", s))]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with pytest.raises(BundleError, match="has not finished"):
        foveal.load(url)

    _another_machine()
    model = foveal.resume(url)
    assert model.run is not None
    assert len(model.history()) == EPOCHS
    assert _are_same(model.run, at_hand(trained))
    state = read_state(open_url(url))
    assert state is not None and state.is_final
    names = names_below(open_url(url))
    assert LEASE_NAME not in names
    assert not any(name.startswith(PARTS) for name in names)


def test_the_same_command_goes_on_with_the_run_of_its_key_on_another_machine(
    trained: str, bucket_of_module: str, photos: str, _another_machine: Callable[[], None]
) -> None:
    out = f"{bucket_of_module}/spot"
    lost = foveal.workflow.remote_run.Runs.at(out).create("classify", "photos")
    shutil.rmtree(lost.path)
    asked = ["train", photos, "--out", out, "--resume-key", "job-1", "--quiet"]
    asked += ["--epochs", str(EPOCHS), *(w for s in SMALL for w in ("--set", s))]
    command = [sys.executable, "-c", TRAIN_AND_DIE, "after", *asked]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()

    _another_machine()
    assert run_command(asked) == 0
    _another_machine()
    # The first name was taken by a start that was lost before it had brought anything there.
    run = at_hand(f"{out}/classify/photos-2")
    assert len((run / "results.csv").read_text().splitlines()) == EPOCHS + 1
    assert "resumed after step" in (run / "train.log").read_text()
    assert _are_same(run, at_hand(trained))
    names = names_below(open_url(out))
    assert not [name for name in names if name.startswith("classify/photos-3")]
    # Once more, nothing is left to do; with another key it is another run.
    before = read_state(open_url(f"{out}/classify/photos-2"))
    assert run_command(asked) == 0
    assert read_state(open_url(f"{out}/classify/photos-2")) == before
    other = ["job-2" if word == "job-1" else word for word in asked]
    assert run_command([*other, "--epochs", "1"]) == 0
    assert read_state(open_url(f"{out}/classify/photos-3")) is not None


def test_ctrl_c_names_the_url_and_the_run_goes_on(
    bucket_of_module: str,
    photos: str,
    trained: str,
    monkeypatch: pytest.MonkeyPatch,
    _another_machine: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = ProgressReport.step_done

    def stop(self: ProgressReport, step: StepRecord) -> None:
        real(self, step)
        if step.step == 20:
            raise KeyboardInterrupt

    url = f"{bucket_of_module}/stopped/classify/photos"
    with monkeypatch.context() as patch:
        patch.setattr(ProgressReport, "step_done", stop)
        with pytest.raises(TrainingInterrupted) as stopped:
            foveal.train(photos, out=f"{bucket_of_module}/stopped", epochs=EPOCHS, overrides=SMALL)
    assert str(stopped.value.run) == url
    _another_machine()
    assert run_command(["train", "--resume", url, "--quiet"]) == 0
    _another_machine()
    assert _are_same(at_hand(url), at_hand(trained))
    # A finished run is longer trained, too, and every state of it is whole.
    assert run_command(["train", "--continue", url, "--epochs", "+1", "--quiet"]) == 0
    assert len(foveal.load(url).history()) == EPOCHS + 1


def test_a_run_that_fails_at_once_leaves_nothing(
    bucket: str, draw_folder: DrawFolder, tmp_path: Path
) -> None:
    data = draw_folder(tmp_path / "one", classes=("circle",), n=4)
    with pytest.raises(foveal.errors.FovealError):
        foveal.train(data, out=f"{bucket}/runs", epochs=1, overrides=SMALL)
    assert not names_below(open_url(f"{bucket}/runs"))


def test_what_cannot_be_brought_to_the_url_stays_here_and_goes_there_later(
    bucket_of_module: str, photos: str, s3_proxy: FailingProxy
) -> None:
    out = f"{bucket_of_module}/cut"
    real = Upload.send

    def send(self: Upload, *, final: bool = False, **more: Any) -> Any:
        if final:
            s3_proxy.fail(*[503] * 10_000, only="PUT")
        return real(self, final=final, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Upload, "send", send)
        with pytest.raises(
            RemoteError, match=r"The run is complete in .*, but could not be copied"
        ) as raised:
            foveal.train(photos, out=out, epochs=2, overrides=SMALL)
    s3_proxy.heal()
    assert raised.value.hint == f"foveal train --resume {out}/classify/photos"
    foveal.resume(f"{out}/classify/photos")
    state = read_state(open_url(f"{out}/classify/photos"))
    assert state is not None and state.is_final and "bundle/bundle.json" in state.files


def test_names_that_are_taken_get_the_next_number(bucket: str, tmp_path: Path) -> None:
    runs = foveal.workflow.remote_run.Runs.at(f"{bucket}/runs")
    first, second = (runs.create("classify", "ants") for _ in range(2))
    assert (first.place, second.place) == (
        f"{bucket}/runs/classify/ants",
        f"{bucket}/runs/classify/ants-2",
    )
    # On another machine, too, where the folder is not there.
    shutil.rmtree(first.path)
    assert runs.create("classify", "ants").place == f"{bucket}/runs/classify/ants-3"


def _lease(bucket: str, folder: Path) -> Lease:
    return Lease(open_url(f"{bucket}/run"), folder)


def test_one_machine_at_a_time_has_a_run(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = _lease(bucket, tmp_path / "one"), _lease(bucket, tmp_path / "other")
    assert one.claim()
    assert not other.claim()
    assert one.renew()

    def sleep(seconds: float) -> None:
        assert one.renew()

    monkeypatch.setattr(foveal.workflow.lease.time, "sleep", sleep)
    with pytest.raises(UsageError, match=r"Another process .* is working on the run") as raised:
        other.take()
    assert raised.value.error_code == "run_busy"
    monkeypatch.undo()


def test_the_run_of_a_dead_machine_is_taken_and_it_hears_of_it(bucket: str, tmp_path: Path) -> None:
    one, other = _lease(bucket, tmp_path / "one"), _lease(bucket, tmp_path / "other")
    assert one.claim()
    other.take()
    assert not one.renew()
    one.release()
    assert other.is_ours()
    other.release()
    one.take()
    # The same folder again: its lock says that the process before is dead.
    _lease(bucket, tmp_path / "one").take()


def test_a_watcher_follows_and_asks_to_stop(
    bucket: str, tmp_path: Path, tiny_bundle: Bundle
) -> None:
    folder = tmp_path / "run"
    (folder / "watch").mkdir(parents=True)
    (folder / "recipe.yaml").write_text("task: classify\n")
    upload = Upload(folder, open_url(f"{bucket}/run"))
    upload.send()
    with followed(f"{bucket}/run") as path:
        assert (path / "recipe.yaml").is_file()
        (folder / "results.csv").write_text("epoch\n1\n")
        upload.send()
        (path / "watch").mkdir(exist_ok=True)
        (path / "watch" / "stop").touch()
        while not (path / "results.csv").is_file():
            time.sleep(0.01)
        while open_url(f"{bucket}/run").kind(STOP_NAME) != "file":
            time.sleep(0.01)
    with pytest.raises(BundleError, match="There is no run at"), followed(f"{bucket}/nothing"):
        pass


def test_a_run_at_a_url_that_has_not_finished_is_named_by_its_url(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("task: classify\n")
    url = f"{bucket}/runs/classify/photos"
    sync_up(tmp_path / "run", url)
    with pytest.raises(BundleError, match=f"There is no bundle in {url} yet") as caught:
        find_model(url)
    assert caught.value.hint == f"foveal train --resume {url}"


def test_a_url_without_a_run_is_said(bucket: str) -> None:
    with pytest.raises(BundleError, match=f"has no {MANIFEST_NAME}"):
        foveal.resume(f"{bucket}/runs/classify/nothing")
