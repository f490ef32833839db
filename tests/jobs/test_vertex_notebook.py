"""Cells of a notebook in Vertex AI: from a real kernel to the fake cloud and back."""

from pathlib import Path

import pytest
from fake_vertex import FakeVertex
from in_kernel import error, printed, run_cells, running_kernel, shown

pytestmark = [
    pytest.mark.slow,
    # nbclient 0.11 and jupyter_client 8 still ask asyncio and zmq for what Python will drop.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

IMAGE = "europe-docker.pkg.dev/my-project/foveal/train:1"
DATA = "%%foveal_code data\nnumbers = [1, 2, 3]"
TRAIN = """\
import os
import fsspec
print("sum", sum(numbers))
with fsspec.open(os.environ["FOVEAL_OUTPUT"] + "/sum.txt", "w") as file:
    file.write(str(sum(numbers)))"""


def test_cells_run_in_the_cloud_and_what_they_write_comes_back(
    vertex: FakeVertex, bucket: str, tmp_path: Path
) -> None:
    with running_kernel() as kernel:
        *_, sent, failed, old_init, _, old = run_cells(
            kernel,
            tmp_path,
            f"%foveal_init --on vertex:my-project/europe-west4 --bucket {bucket} --image {IMAGE} "
            "--machine n1-standard-8",
            DATA,
            f"%%foveal_run --name sums --wait\n{TRAIN}",
            "%%foveal_run --name wrong --wait\nraise ValueError('no good')",
            f"%%ml_init -projectId my-project -bucket {bucket} -region europe-west4 -image {IMAGE}"
            "\n{'install_requires': ['h5py']}",
            "%%ml_code\nword = 'old'",
            "%%ml_run cloud\nprint(word, numbers)",
        )
    assert "sums on vertex:my-project/europe-west4: succeeded\nsum 6" in shown(sent)
    assert (tmp_path / "jobs" / "sums" / "sum.txt").read_text() == "6"
    assert "The job wrong on vertex:my-project/europe-west4 failed" in error(failed)
    assert "ValueError: no good" in shown(failed)
    assert printed(old_init).startswith("%%ml_init is now: %foveal_init --project my-project")
    assert printed(old).startswith(
        "%%ml_run cloud is now: %%foveal_run --on vertex:my-project/europe-west4\n"
    )
    jobs = {r["displayName"]: r for name, r in vertex.resources.items() if "/customJobs/" in name}
    assert len(jobs) == 3
    (pool,) = jobs["sums"]["jobSpec"]["workerPoolSpecs"]
    assert pool["machineSpec"] == {"machineType": "n1-standard-8"}
    assert pool["containerSpec"]["imageUri"] == IMAGE
