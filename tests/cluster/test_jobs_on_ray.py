"""Jobs through the dashboard of a real Ray, without importing ray."""

import json
from pathlib import Path

import numpy as np
import pytest
from drawing import DrawFolder
from running_ray import RunningRay

import foveal
from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.jobs import JobState, Target, Work
from foveal.jobs.register import Register
from foveal.jobs.submit import submit
from foveal.rest import ServiceError

pytestmark = pytest.mark.slow


def on(ray: RunningRay) -> str:
    return ray.dashboard.replace("http://", "ray://")


@pytest.fixture(autouse=True)
def own_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the jobs of a test apart from the user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def test_a_training_comes_back_from_a_cluster(
    running_ray: RunningRay,
    draw_folder: DrawFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw_folder(tmp_path / "photos", n=12, size=32)
    quick = ["--backbone", "cnn2", "--epochs", "1", "--image-size", "32"]
    assert run(["train", "photos", "--on", on(running_ray), *quick]) == 0
    printed = capsys.readouterr()
    assert "the exported model answers like the trained one" in printed.err
    assert "accuracy" in printed.out
    assert printed.err.count("report  runs/classify/photos/report.html") == 1
    model = foveal.load("runs/classify/photos")
    assert model.labels == ("circle", "square")
    (job,) = foveal.jobs()
    assert job.state is JobState.SUCCEEDED
    # Data that were sent along are those that are here.
    assert (tmp_path / "runs/classify/photos/run.json").is_file()


def test_answers_are_made_by_a_cluster_that_this_machine_is_no_part_of(
    running_ray: RunningRay,
    tiny_bundle: Bundle,
    draw_folder: DrawFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw_folder(tmp_path / "photos", n=3, size=16)
    (tmp_path / "photos" / "circle" / "broken.png").write_bytes(b"no picture")
    # A file system that the machines share, as they would a bucket.
    pictures, out = f"local://{tmp_path}/photos", f"local://{tmp_path}/answers"
    given = ["predict", str(tiny_bundle.path), pictures, "--on", on(running_ray), "--out", out]
    # As here, a picture that cannot be read gives the exit status 1; the job has ended well.
    assert run([*given, "--workers", "2", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["out"], found["pictures"], found["failed"]) == (out, 7, 1)
    files = foveal.load(tiny_bundle.path).predict_on(on(running_ray), pictures, out)
    records = list(files.records())
    assert [record["source"] for record in records if "error" in record] == [
        f"{pictures}/circle/broken.png"
    ]
    good = [record for record in records if "error" not in record]
    assert {record["version"] for record in good} == {tiny_bundle.version}
    assert len(good) == 6

    assert run([*given[:2], str(tmp_path / "photos"), *given[3:]]) == 2
    assert "cannot access folders of this machine" in capsys.readouterr().err


def test_a_cluster_elsewhere_evaluates_as_this_machine_does(
    running_ray: RunningRay,
    tiny_bundle: Bundle,
    draw_folder: DrawFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draw_folder(tmp_path / "photos", n=6, size=16)
    (tmp_path / "photos" / "circle" / "broken.png").write_bytes(b"no picture")
    pictures = f"local://{tmp_path}/photos"
    model = foveal.load(tiny_bundle.path)
    here = model.evaluate(pictures, verbose=False)
    there = model.evaluate(pictures, on=on(running_ray), workers=2, verbose=False)
    np.testing.assert_array_equal(there.measured.rows, here.measured.rows)
    assert there.confidence.tolist() == here.confidence.tolist()
    ours, theirs = here.to_json(), there.to_json()
    for values in (ours, theirs):
        values.pop("latency")
    assert json.dumps(theirs) == json.dumps(ours)

    given = ["evaluate", str(tiny_bundle.path), "--on", on(running_ray)]
    assert run([*given, pictures, "--out", "report"]) == 0
    assert "12 pictures" in capsys.readouterr().out
    assert (tmp_path / "report" / "report.html").is_file()
    assert run([*given, str(tmp_path / "photos")]) == 2
    assert "cannot access folders of this machine" in capsys.readouterr().err
    assert run([*given, f"local://{tmp_path}/photos/circle/broken.png"]) != 0


def test_a_job_is_stopped_and_its_failure_is_said(running_ray: RunningRay) -> None:
    register = Register()
    target = Target.parse(on(running_ray))
    waiting = b"import os; print('begun', flush=True); os.read(os.pipe()[0], 1)"
    job = submit(Work("wait", "program", (), {"program.py": waiting}), target, register=register)
    assert "begun" in next(line for line in job.logs(follow=True) if line == "begun")
    assert job.state is JobState.RUNNING
    job.stop()
    assert job.wait() is JobState.STOPPED
    failing = Work("fail", "program", (), {"program.py": b"raise SystemExit(3)"})
    failed = submit(failing, target, register=register)
    assert failed.wait() is JobState.FAILED
    assert "exit code 3" in failed.why()


def test_the_cluster_asks_for_its_token(
    running_ray: RunningRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(ServiceError, match=r"answered 40[13]"):
        submit(Work("task", "m"), Target.parse(on(running_ray)))
