"""Google's own SDK against the fake: what it takes from foveal, the real one takes from the SDK."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from fake_vertex import fake_vertex

SDK = os.environ.get("FOVEAL_VERTEX_SDK")


@pytest.mark.slow
@pytest.mark.skipif(
    SDK is None, reason="FOVEAL_VERTEX_SDK names no Python that has google-cloud-aiplatform"
)
def test_the_sdk_makes_a_job_a_model_and_an_endpoint(tmp_path: Path) -> None:
    with fake_vertex(tmp_path) as vertex:
        vertex.polls = 2
        done = subprocess.run(
            [str(SDK), Path(__file__).with_name("sdk_calls.py"), vertex.url],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    del found["sdk"]
    assert found == {
        "job": "JOB_STATE_SUCCEEDED",
        "labels": {"team": "vision"},
        "versions": ["1", "2"],
        # The SDK makes each version the default one.
        "aliases": ["live", "default"],
        "endpoints": 1,
        "predictions": [{"b64": "aGVsbG8="}],
        "answered_by": "2",
        "deployed": 0,
        "batch": "JOB_STATE_SUCCEEDED",
    }
