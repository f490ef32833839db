"""Jobs on Vertex AI, which is a fake that holds requests to the documented shapes."""

import json
import os
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_vertex import CUSTOM_JOB, FakeVertex, Refused, check

import foveal
from foveal.errors import UsageError
from foveal.jobs import Job, JobOptions, JobState, Target, Work
from foveal.jobs.package import Package
from foveal.jobs.register import Register
from foveal.jobs.sdist import write_sdist
from foveal.jobs.submit import find_job, submit
from foveal.jobs.vertex.client import Vertex
from foveal.jobs.vertex.specs import custom_job
from foveal.jobs.work import OUTPUT
from foveal.mirror import read_state
from foveal.remote import open_url
from foveal.rest import ServiceError

pytestmark = pytest.mark.slow

TARGET = Target.parse("vertex:my-project/europe-west4")
IMAGE = "europe-docker.pkg.dev/my-project/foveal/train:1"
WRITING = """
import os, sys
import fsspec
import foveal
for i in range(20):
    print("line", i, flush=True)
assert foveal.__file__.startswith(os.getcwd()), "the foveal that sent the job"
with fsspec.open(sys.argv[1] + "/answer.txt", "w") as file:
    file.write(open("data/question.txt").read())
"""

Send = Callable[..., Job]


@pytest.fixture
def send(tmp_path: Path, vertex: FakeVertex, bucket: str) -> Send:
    """Return a function that sends a program to the cloud."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "question.txt").write_text("42")

    def send(code: str, *args: str, **options: object) -> Job:
        files = {"program.py": code.encode(), "data": tmp_path / "given"}
        given = JobOptions(**{"image": IMAGE, "bucket": f"{bucket}/team/", **options})
        work = Work("task", "program", args, files)
        return submit(work, TARGET, given, register=Register(tmp_path / "jobs"))

    return send


def test_a_job_is_sent_followed_and_fetched(send: Send, tmp_path: Path) -> None:
    job = send(WRITING, OUTPUT)
    # The pages of the log hold seven lines, and come late.
    assert list(job.logs(follow=True)) == [f"line {i}" for i in range(20)]
    assert job.state is JobState.SUCCEEDED
    out = job.fetch(tmp_path / "runs")
    assert (out / "answer.txt").read_text() == "42"
    found = find_job("task", Register(tmp_path / "jobs"))
    assert found.to_json()["resource"].startswith("projects/my-project/locations/europe-west4/")
    assert found.to_json()["output"].endswith("/output")


def test_a_job_is_what_was_asked_for(send: Send, vertex: FakeVertex) -> None:
    vertex.runs_jobs = False
    job = send(
        "pass",
        machine="n1-standard-8",
        accelerator="NVIDIA_TESLA_T4",
        accelerators=2,
        spot=True,
        service_account="a@b.iam.gserviceaccount.com",
        labels=("team=vision",),
        timeout_s=3600.0,
    )
    made = vertex.resources[job.to_json()["resource"]]
    spec = made["jobSpec"]
    (pool,) = spec["workerPoolSpecs"]
    assert pool["machineSpec"] == {
        "machineType": "n1-standard-8",
        "acceleratorType": "NVIDIA_TESLA_T4",
        "acceleratorCount": 2,
    }
    assert spec["scheduling"] == {"timeout": "3600s", "strategy": "SPOT"}
    assert spec["serviceAccount"] == "a@b.iam.gserviceaccount.com"
    assert made["labels"]["team"] == "vision"
    assert job.state is JobState.QUEUED
    made["state"] = "JOB_STATE_EXPIRED"
    assert job.state is JobState.FAILED


def test_a_training_uses_all_accelerators_of_its_machine(
    vertex: FakeVertex, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    vertex.runs_jobs = False
    job = foveal.submit(
        "gs://b/photos",
        on=str(TARGET),
        image=IMAGE,
        bucket=bucket,
        accelerator="NVIDIA_TESLA_T4",
        accelerators=4,
    )
    command = job.to_json()["command"]
    assert command[command.index("--devices") :] == ["--devices", "4"]


def test_a_training_whose_machine_is_taken_away_goes_on(
    vertex: FakeVertex, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    job = foveal.submit(
        "synth:letters?count=40&characters=ab",
        on=str(TARGET),
        image=IMAGE,
        bucket=bucket,
        spot=True,
        name="letters",
        epochs=60,
        backbone="cnn2",
        image_size=16,
        overrides=["data.fresh_every=0"],
    )
    remote = open_url(str(job.to_json()["output"])).child("classify/letters")
    while (state := read_state(remote)) is None or not any(
        name.startswith("checkpoints/") for name in state.files
    ):
        assert job.state is JobState.RUNNING, "\n".join(job.logs())
        time.sleep(0.05)
    vertex.lose_machine(job.to_json()["resource"])
    assert job.wait() is JobState.SUCCEEDED
    log = "\n".join(job.logs())
    assert "resumed after step" in log
    run = job.fetch(tmp_path / "runs")
    assert run.name == "letters"
    assert len((run / "results.csv").read_text().splitlines()) == 61


def test_stopping_and_failing(send: Send) -> None:
    job = send("import os; print('begun', flush=True); os.read(os.pipe()[0], 1)")
    assert next(job.logs(follow=True)) == "begun"
    job.stop()
    assert job.wait() is JobState.STOPPED
    failed = send("raise SystemExit(3)")
    assert failed.wait() is JobState.FAILED
    assert failed.why() == "The replica workerpool0-0 exited with a non-zero status of 3."


@pytest.mark.parametrize("failures", [[500], [0], [429, 503], [0, 500]])
def test_whatever_fails_in_between_one_job_is_made(
    send: Send, vertex: FakeVertex, failures: list[int]
) -> None:
    vertex.runs_jobs = False
    vertex.failures = failures
    job = send("pass")
    jobs = [name for name in vertex.resources if "/customJobs/" in name]
    assert jobs == [job.to_json()["resource"]]


def test_a_quota_and_a_missing_right_are_said(
    send: Send, vertex: FakeVertex, tmp_path: Path
) -> None:
    vertex.failures = [403]
    with pytest.raises(ServiceError, match="Vertex AI answered 403") as error:
        send("pass")
    assert "roles/aiplatform.user" in str(error.value.hint)
    vertex.failures = [429] * 6
    with pytest.raises(ServiceError, match="Vertex AI answered 429") as error:
        send("pass")
    assert "quota" in str(error.value.hint)
    assert Register(tmp_path / "jobs").names() == []


def test_a_job_is_found_although_its_sender_was_killed(send: Send, tmp_path: Path) -> None:
    job = send("pass")
    register = Register(tmp_path / "jobs")
    resource = job.to_json()["resource"]
    path = register.path("task") / "job.json"
    record = json.loads(path.read_text())
    del record["facts"]["resource"]
    path.write_text(json.dumps(record))
    assert find_job("task", register).wait() is JobState.SUCCEEDED
    assert register.read("task").facts["resource"] == resource


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": IMAGE}, "needs a bucket"),
        ({"image": IMAGE, "bucket": "s3://b"}, "needs a bucket"),
        ({"bucket": "gs://b"}, "--image is required"),
        ({"image": IMAGE, "bucket": "gs://b", "workers": 2}, "--workers has no effect on vertex"),
    ],
)
def test_what_is_missing_is_said(
    options: dict[str, object], said: str, vertex: FakeVertex, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        submit(Work("t", "m"), TARGET, JobOptions(**options), register=Register(tmp_path))
    assert Register(tmp_path).names() == []


def test_a_packaged_image_gets_a_source_archive_that_pip_can_read(tmp_path: Path) -> None:
    options = JobOptions(image="us-docker.pkg.dev/vertex-ai/training/pytorch-gpu.2-9:latest")
    body = custom_job(
        "t", "t-1", "gs://b/x.tar.gz", ("-m", "m"), options, base="gs://b", variables={}
    )
    check(body, CUSTOM_JOB)
    spec = body["jobSpec"]["workerPoolSpecs"][0]["pythonPackageSpec"]
    assert (spec["packageUris"], spec["pythonModule"]) == (["gs://b/x.tar.gz"], "foveal_job.task")

    program = (
        b"import foveal, os, sys\n"
        b"print(sys.argv[1:], foveal.__file__ == os.getcwd() + '/foveal/__init__.py')\n"
    )
    sent = Package.of(Work("t", "m", (), {"m.py": program}), limit_mb=1, where="")
    file = write_sdist(sent, tmp_path, extras=("train",), needs=())
    first = file.read_bytes()
    assert write_sdist(sent, tmp_path, extras=("train",), needs=()).read_bytes() == first
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    top = tmp_path / "out" / "foveal_job-1"
    project = tomllib.loads((top / "pyproject.toml").read_text())["project"]
    assert "torch>=2.9" in project["dependencies"]
    assert not [line for line in project["dependencies"] if "extra" in line]
    done = subprocess.run(
        [sys.executable, "-m", "foveal_job.task", "-m", "m", "a b"],
        cwd=top,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['a b'] True\n"


def test_credentials_go_to_google_or_nowhere() -> None:
    variables = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": "http://evil.example/"}
    with pytest.raises(UsageError, match=r"http://evil\.example of a Google API is not https"):
        Vertex.of(TARGET, variables)
    usual = Vertex.of(TARGET, {})
    assert usual.service.url == "https://europe-west4-aiplatform.googleapis.com/v1"
    assert usual.logging.url == "https://logging.googleapis.com/v2"


def test_the_fake_is_strict() -> None:
    pool = {"machineSpec": {"machineType": "x"}, "containerSpec": {"imageUri": "i"}}
    good = {"displayName": "t", "jobSpec": {"workerPoolSpecs": [pool]}}
    check(good, CUSTOM_JOB)
    for bad in (
        {"jobSpec": good["jobSpec"]},
        {**good, "surprise": 1},
        {**good, "labels": {"a": 1}},
        {"displayName": "t", "jobSpec": {"workerPoolSpecs": []}},
        {
            "displayName": "t",
            "jobSpec": {"workerPoolSpecs": [{"containerSpec": {"imageUri": "i"}}]},
        },
        {**good, "jobSpec": {**good["jobSpec"], "scheduling": {"timeout": "1h"}}},
    ):
        with pytest.raises(Refused):
            check(bad, CUSTOM_JOB)
