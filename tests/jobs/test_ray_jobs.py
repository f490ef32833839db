"""Jobs on a Ray cluster, through a dashboard that is a fake; tests/cluster has a real one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_ray import TOKEN, FakeRay, fake_ray

from foveal import rest
from foveal.errors import UsageError
from foveal.jobs import Job, JobOptions, JobState, Target, Work, ray_jobs
from foveal.jobs.package import Package
from foveal.jobs.ray_jobs import dashboard
from foveal.jobs.received import unpack
from foveal.jobs.register import Register
from foveal.jobs.send import BEGIN, END
from foveal.jobs.submit import find_job, submit
from foveal.jobs.work import OUTPUT
from foveal.rest import Service, ServiceError

pytestmark = pytest.mark.slow

WRITING = """
import os, sys
print("é " + sys.argv[1], flush=True)
os.makedirs(os.environ["FOVEAL_OUTPUT"])
open(os.environ["FOVEAL_OUTPUT"] + "/answer.txt", "w").write(open("data/question.txt").read())
"""

Send = Callable[..., Job]


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    """Return a dashboard, whose token this process has."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setattr(ray_jobs, "_RESULTS", str(tmp_path / "on-the-head"))
    monkeypatch.setattr(rest, "_FIRST_WAIT_S", 0.01)
    (tmp_path / "cluster").mkdir()
    with fake_ray(tmp_path / "cluster") as running:
        yield running


@pytest.fixture
def send(tmp_path: Path, ray: FakeRay) -> Send:
    """Return a function that sends a program to the cluster."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "question.txt").write_text("42")

    def send(code: str, *args: str) -> Job:
        files = {"program.py": code.encode(), "data": tmp_path / "given"}
        work = Work("task", "program", args, files)
        target = Target.parse(f"ray://{ray.address}")
        return submit(work, target, register=Register(tmp_path / "jobs"))

    return send


def test_a_job_is_sent_followed_and_fetched(send: Send, ray: FakeRay, tmp_path: Path) -> None:
    job = send(WRITING, "it's; $HOME")
    assert list(job.logs(follow=True)) == ["é it's; $HOME"]
    assert job.state is JobState.SUCCEEDED
    out = job.fetch(tmp_path / "runs")
    assert (out / "answer.txt").read_text() == "42"
    # What brought it is gone again.
    assert [name.startswith("foveal-task-") for name in ray.jobs] == [True]
    found = find_job("task", Register(tmp_path / "jobs"))
    assert found.fetch(tmp_path / "runs") == out
    assert TOKEN not in str(found.to_json())


def test_the_same_package_is_uploaded_once(send: Send, ray: FakeRay) -> None:
    for _ in range(2):
        send("pass", OUTPUT).wait()
    assert sum(request.startswith("PUT") for request in ray.requests) == 1


def test_what_fails_in_passing_is_tried_again(send: Send, ray: FakeRay) -> None:
    ray.failures = [503, 429, 500]
    assert send("pass").wait() is JobState.SUCCEEDED
    assert len(ray.jobs) == 1


def test_a_request_whose_answer_is_lost_starts_one_job(
    send: Send, ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ray.start

    def start(body: dict[str, object]) -> None:
        original(body)
        ray.lost = 1

    monkeypatch.setattr(ray, "start", start)
    assert send("pass").wait() is JobState.SUCCEEDED
    assert len(ray.jobs) == 1


def test_stopping_and_failing(send: Send) -> None:
    job = send("import os; print('begun', flush=True); os.read(os.pipe()[0], 1)")
    next(job.logs(follow=True))
    job.stop()
    assert job.wait() is JobState.STOPPED
    failed = send("raise SystemExit(3)")
    assert failed.wait() is JobState.FAILED
    assert "exit code 3" in failed.why()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('begun'); import no_such_module", "No module named 'no_such_module'"),
        ("import sys; sys.exit('error: no pictures\\nhint: look')", "error: no pictures"),
    ],
)
def test_a_failed_job_says_why_in_one_line(send: Send, program: str, said: str) -> None:
    failed = send(program)
    assert failed.wait() is JobState.FAILED
    assert failed.why().startswith("Job entrypoint command failed with exit code 1: ")
    assert failed.why().endswith(said)


def test_nothing_can_be_fetched_where_nothing_came_of_it(
    send: Send, ray: FakeRay, tmp_path: Path
) -> None:
    job = send("pass")
    job.wait()
    with pytest.raises(UsageError, match="The job task has no results yet") as caught:
        job.fetch(tmp_path / "runs")
    # What a notebook passes over.
    assert caught.value.error_code == "job_nothing_yet"
    # What looked for them is gone again.
    assert [name.startswith("foveal-task-") for name in ray.jobs] == [True]


def test_where_no_cluster_answers_nothing_is_sent_and_nothing_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rest, "_FIRST_WAIT_S", 0.01)
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        submit(Work("task", "m"), Target.parse("ray://127.0.0.1:1"), register=Register(tmp_path))
    assert "ray start --head" in str(caught.value.hint)
    assert Register(tmp_path).names() == []
    assert caplog.records == []


def test_a_wrong_token_is_said_and_nothing_is_registered(
    send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    with pytest.raises(ServiceError, match="answered 401: Unauthorized"):
        send("pass")
    assert Register(tmp_path / "jobs").names() == []


def test_a_job_that_the_cluster_forgot_is_said(send: Send, ray: FakeRay) -> None:
    job = send("pass")
    job.wait()
    ray.jobs.clear()
    with pytest.raises(UsageError, match="does not know the job"):
        str(job.state)
    assert "unknown" in repr(job)


def test_too_much_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(2_000_000))
    work = Work("task", "m", (), {"data/photos": tmp_path})
    with pytest.raises(
        UsageError, match="photos has 2 MB; a Ray cluster takes at most 1 MB"
    ) as error:
        Package.of(work, limit_mb=1, where="a Ray cluster")
    assert "gs://" in str(error.value.hint)


def test_a_package_is_the_same_for_the_same_contents(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"a")
    (tmp_path / "photos" / ".hidden").write_bytes(b"b")
    work = Work("task", "m", (), {"data/photos": tmp_path / "photos"})
    first, before = Package.of(work, limit_mb=1, where=""), Package.of(work, limit_mb=1, where="")
    digest = before.digest()
    assert first.digest() == digest
    assert "data/photos/a.png" in first.contents
    assert "data/photos/.hidden" not in first.contents
    assert "foveal/__main__.py" in first.contents
    (tmp_path / "photos" / "a.png").write_bytes(b"c")
    assert Package.of(work, limit_mb=1, where="").digest() != digest


@pytest.mark.parametrize(
    ("target", "variables", "url"),
    [
        ("ray://head", {}, "http://head:8265"),
        ("ray://head:8266", {}, "http://head:8266"),
        # The port of Ray's own client, which people have in their fingers.
        ("ray://head:10001", {}, "http://head:8265"),
        ("ray://[::1]", {}, "http://[::1]:8265"),
        ("ray://head", {"RAY_API_SERVER_ADDRESS": "https://head/ray/"}, "https://head/ray"),
        ("ray://head", {"RAY_API_SERVER_ADDRESS": "https://other"}, "http://head:8265"),
    ],
)
def test_where_the_dashboard_is(target: str, variables: dict[str, str], url: str) -> None:
    assert dashboard(Target.parse(target), variables).url == url


def test_the_token_is_where_ray_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    kept = {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    target = Target.parse("ray://head")
    assert dashboard(target, kept).headers() == {"Authorization": "Bearer secret"}
    assert dashboard(target, kept | {"RAY_AUTH_MODE": "disabled"}).headers() == {}
    given = dashboard(target, kept | {"RAY_AUTH_TOKEN": "other"})
    assert given.headers() == {"Authorization": "Bearer other"}
    assert "secret" not in repr(dashboard(target, kept))


def test_machines_cannot_be_chosen_on_ray() -> None:
    with pytest.raises(UsageError, match="--machine has no effect on ray://head"):
        submit(Work("task", "m"), Target.parse("ray://head"), JobOptions(machine="n1"))


def test_a_cluster_that_is_not_there_is_said() -> None:
    service = Service("http://127.0.0.1:1", "The Ray cluster head", wait=lambda _: None)
    with pytest.raises(ServiceError, match="The Ray cluster head cannot be reached"):
        service.get("/api/version")


def test_results_that_lack_a_part_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="came back incomplete"):
        unpack([f"{BEGIN} 4", "AAAA", f"{END} 00"], tmp_path / "x", "task")
    with pytest.raises(Exception, match="came back incomplete"):
        unpack(["Traceback"], tmp_path / "x", "task")
