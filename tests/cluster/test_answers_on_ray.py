"""Predicting and evaluating on Ray, also when processes are killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from drawing import DrawFolder
from running_ray import RunningRay

import foveal
from foveal.bundle import Bundle
from foveal.console import NoProgress
from foveal.types import JsonObject

pytestmark = pytest.mark.slow

N = 200


@pytest.fixture(scope="module")
def pictures(draw_folder: DrawFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = draw_folder(tmp_path_factory.mktemp("many"), n=N)
    (root / "circle" / "damaged.png").write_bytes(b"no picture")
    return root


class Watching(NoProgress):
    """Calls a function when the first pictures are done, and not all."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._total = 0
        self.called = False

    def start(self, title: str, total: int | None) -> None:
        self._total = total or 0

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        if not self.called and done < self._total:
            self.called = True
            self._call()


def kill_an_actor() -> None:
    for process in psutil.process_iter(["name", "cmdline"]):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "MapBatches(_Actor)" in " ".join(process.info["cmdline"] or ()):
                process.kill()
                return
    raise AssertionError("no actor runs")


def said(records: list[JsonObject]) -> list[JsonObject]:
    """Return the records without how long each took."""
    return [{key: value for key, value in r.items() if key != "ms"} for r in records]


def test_a_killed_actor_loses_and_doubles_nothing(
    running_ray: RunningRay, tiny_bundle: Bundle, pictures: Path, tmp_path: Path
) -> None:
    model = foveal.load(tiny_bundle.path)
    watching = Watching(kill_an_actor)
    files = model.predict_on("ray:local", pictures, tmp_path / "out", workers=2, progress=watching)
    assert watching.called
    here = model.predict(str(pictures), verbose=False)
    assert said(list(files.records())) == said([answer.record for answer in here])
    assert (files.pictures, files.failed) == (2 * N + 1, 1)


def test_a_killed_command_goes_on_where_it_ended(
    running_ray: RunningRay, tiny_bundle: Bundle, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.parquet"
    command = [sys.executable, "-m", "foveal", "predict", str(tiny_bundle.path), str(pictures)]
    command += ["--on", "ray:auto", "--workers", "1", "--out", str(out)]
    environment = {**os.environ, "RAY_ADDRESS": running_ray.address}
    with subprocess.Popen(command, env=environment) as process:
        while process.poll() is None and not list(out.glob("part-*")):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finished = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert finished

    model = foveal.load(tiny_bundle.path)
    files = model.predict_on("ray:local", str(pictures), out, workers=2, verbose=False)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    sources = [record["source"] for record in files.records()]
    assert len(sources) == len(set(sources)) == 2 * N + 1
    assert not list(out.glob(".tmp-*"))


def test_an_evaluation_on_ray_is_the_one_made_here(
    running_ray: RunningRay, tiny_bundle: Bundle, pictures: Path
) -> None:
    model = foveal.load(tiny_bundle.path)
    there = model.evaluate(pictures, on="ray:local", workers=2, verbose=False)
    here = model.evaluate(pictures, verbose=False)
    assert there.samples == here.samples == 2 * N
    assert [f.sample for f in there.failures] == [f.sample for f in here.failures]
    np.testing.assert_array_equal(there.measured.rows, here.measured.rows)
    ours, theirs = here.to_json(), there.to_json()
    for values in (ours, theirs):
        values.pop("latency")
    assert json.dumps(theirs) == json.dumps(ours)
