"""Connecting to Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from running_ray import RunningRay

from foveal.cluster.connect import connected
from foveal.errors import UsageError
from foveal.jobs import Target

pytestmark = pytest.mark.slow

_JOIN = """
from foveal.cluster.connect import connected
from foveal.jobs import Target

with connected(Target.parse("ray:auto")) as ray:
    print(ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


def test_a_process_of_the_cluster_joins_it(running_ray: RunningRay) -> None:
    joined = subprocess.run(
        [sys.executable, "-c", _JOIN],
        env={**os.environ, "RAY_ADDRESS": running_ray.address},
        capture_output=True,
        text=True,
        check=True,
    )
    assert joined.stdout == "42\n"


def test_a_process_that_is_connected_stays_so(running_ray: RunningRay) -> None:
    with connected(Target.parse("ray:local")) as ray:
        assert ray.get_runtime_context().gcs_address == running_ray.address
    assert ray.is_initialized()


def test_the_dashboard_asks_for_the_token(running_ray: RunningRay) -> None:
    request = urllib.request.Request(
        f"{running_ray.dashboard}/api/version",
        headers={"Authorization": f"Bearer {running_ray.token}"},
    )
    with urllib.request.urlopen(request) as response:
        assert json.load(response)["ray_version"]


def test_no_cluster_is_a_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    tried = subprocess.run(
        [sys.executable, "-c", _JOIN],
        env={**os.environ, "RAY_TMPDIR": str(tmp_path), "RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No Ray cluster answers at 127.0.0.1:1, the address in RAY_ADDRESS" in tried.stderr


def test_only_ray_is_connected_to() -> None:
    with (
        pytest.raises(UsageError, match="Cannot run on vertex"),
        connected(Target.parse("vertex:my-project/europe-west4")),
    ):
        pass
