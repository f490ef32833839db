"""Serving on Ray Serve: the whole command in a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from drawing import brightness_model, draw_shape, tiny_manifest
from running_ray import RunningRay

import foveal
from foveal.bundle import Bundle
from foveal.render import encode_png

pytestmark = pytest.mark.slow

PICTURE = encode_png(np.asarray(draw_shape("circle", np.random.default_rng(0), 16)))


# `foveal`, with replicas that are added and removed after a second instead of minutes.
HASTY = """
import sys
import foveal.cluster.serve as serve
from foveal.cli.main import run

serve._ADD_AFTER_S = serve._REMOVE_AFTER_S = serve._AVERAGED_S = 1.0
sys.exit(run(sys.argv[1:]))
"""


@contextmanager
def serving(
    running_ray: RunningRay, *args: str, log: Path, program: tuple[str, str] = ("-m", "foveal")
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `foveal serve --on ray:auto`; give its URL and the process, and end it by SIGTERM."""
    command = [sys.executable, *program, "serve", *args, "--on", "ray:auto", "--port", "0"]
    command += ["--drain-delay", "0", "--json"]
    environment = {**os.environ, "RAY_ADDRESS": running_ray.address}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            line = process.stdout.readline() if process.stdout else ""
            assert line, log.read_text()
            yield json.loads(line)["url"], process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0, log.read_text()


class Asking(threading.Thread):
    """Asks without pause until it is told to stop, and notes what is not a good answer."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._ending = threading.Event()
        self.failed: list[str] = []
        self.versions: list[str] = []
        self.answered_by: set[str] = set()

    def run(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._ending.is_set():
                try:
                    answer = client.post(f"{self._url}/predict/cats", content=PICTURE)
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                    continue
                if answer.status_code != 200:
                    self.failed.append(f"{answer.status_code} {answer.text}")
                    continue
                self.versions.append(answer.headers["x-model-version"])

    def end(self) -> None:
        self._ending.set()
        self.join()


def test_replicas_follow_the_store_and_are_replaced_without_a_failed_request(
    running_ray: RunningRay, tmp_path: Path
) -> None:
    store = foveal.open_store(tmp_path / "store")
    for number in (1, 2):
        bundle = Bundle.write(
            tmp_path / f"cats-{number}",
            tiny_manifest(name=f"cats-{number}"),
            {"model.onnx": brightness_model()},
        )
        store.push(bundle, "cats")
    store.promote("cats:1", "live")
    log = tmp_path / "log"
    with serving(
        running_ray, "cats@live", "--store", str(store.location), "--replicas", "2", log=log
    ) as (url, process):
        asking = Asking(url)
        asking.start()
        try:
            while asking.versions.count("1") < 5 and not asking.failed:
                asking.join(0.05)
            store.promote("cats:2", "live")
            # Either replica may be asked: both have it once it has answered often enough.
            while asking.versions[-20:].count("2") < 20 and not asking.failed:
                asking.join(0.05)
            before = len(asking.versions)
            process.send_signal(signal.SIGHUP)
            while len(asking.versions) < before + 50 and not asking.failed:
                asking.join(0.05)
        finally:
            asking.end()
        assert not asking.failed
        assert set(asking.versions) == {"1", "2"}

        metrics = httpx.get(f"{url}/metrics").text
        assert 'foveal_requests_total{route="predict",status="200"}' in metrics
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert "x-request-id" in httpx.get(f"{url}/models").headers


def test_replicas_are_added_under_load_and_removed_after_it(
    running_ray: RunningRay, tmp_path: Path
) -> None:
    serve = pytest.importorskip("ray.serve")
    bundle = Bundle.write(
        tmp_path / "cats", tiny_manifest(name="cats"), {"model.onnx": brightness_model()}
    )
    given = (str(bundle.path), "--replicas", "1:2")
    waiting = threading.Event()

    def running() -> int:
        waiting.wait(0.1)
        return int(
            serve.status()
            .applications["foveal"]
            .deployments["server"]
            .replica_states.get("RUNNING", 0)
        )

    with serving(running_ray, *given, log=tmp_path / "log", program=("-c", HASTY)) as (url, _):
        assert running() == 1
        # Twice as many requests in flight as one replica is to have.
        asking = [Asking(url) for _ in range(16)]
        for each in asking:
            each.start()
        try:
            while running() < 2:
                assert not any(each.failed for each in asking)
        finally:
            for each in asking:
                each.end()
        while running() > 1:
            assert httpx.get(f"{url}/readyz").status_code == 200
        assert not [text for each in asking for text in each.failed]


def test_the_limits_are_those_of_foveal_serve(
    running_ray: RunningRay, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    given = (str(tiny_bundle.path), "--max-body-mb", "1", "--keys")
    keys = tmp_path / "keys.json"
    create = ["keys", "create", "shop", "--keys", str(keys), "--rate", "3/h", "--json"]
    made = subprocess.run(
        [sys.executable, "-m", "foveal", *create], capture_output=True, text=True, check=True
    )
    key = {"authorization": f"Bearer {json.loads(made.stdout)['key']}"}
    with serving(running_ray, *given, str(keys), "--replicas", "2", log=tmp_path / "log") as (
        url,
        _,
    ):
        ask = f"{url}/predict/tiny"
        assert httpx.post(ask, content=PICTURE).status_code == 401
        assert httpx.post(ask, content=bytes(2**20 + 1), headers=key).status_code == 413
        counted = [httpx.post(ask, content=PICTURE, headers=key).status_code for _ in range(4)]
        # The rate is counted over the replicas of a machine; what was too large counts too.
        assert counted == [200, 200, 429, 429]
