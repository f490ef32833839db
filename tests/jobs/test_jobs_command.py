"""`foveal train --on local` and `foveal jobs`."""

import json
from pathlib import Path

import pytest
from drawing import DrawFolder

import foveal
from foveal.cli.main import run
from foveal.jobs import JobState

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the jobs of a test apart from the user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def test_a_training_in_the_background_is_followed_and_fetched(
    draw_folder: DrawFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_folder(tmp_path / "photos", n=12, size=32)
    quick = ["--backbone", "cnn2", "--epochs", "1", "--image-size", "32"]
    assert run(["train", "photos", "--on", "local", "--detach", "--json", *quick]) == 0
    sent = json.loads(capsys.readouterr().out)
    assert (sent["name"], sent["target"], sent["state"]) == ("photos", "local", "running")

    assert run(["jobs", "logs", "photos", "-f"]) == 0
    log = capsys.readouterr().out
    assert "the exported model answers like the trained one" in log
    assert run(["jobs", "list"]) == 0
    assert "photos  local  succeeded" in capsys.readouterr().out
    # In the place that it was made for nothing is copied.
    assert run(["jobs", "fetch", "photos"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/runs/classify/photos\n"
    assert run(["jobs", "fetch", "photos", "--out", "copies", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == "copies/classify/photos"
    (job,) = foveal.jobs()
    assert job.state is JobState.SUCCEEDED
    assert foveal.load("copies/classify/photos").labels == ("circle", "square")
    # The recipe of the job leaves open what the command left open.
    recipe = (tmp_path / "state/foveal/jobs/photos/files/recipe.yaml").read_text()
    assert "epochs: 1" in recipe
    assert "batch_size" not in recipe


def test_a_training_that_fails_fails_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    assert run(["train", "photos", "--on", "local"]) == 1
    said = capsys.readouterr().err
    assert "error: The job photos failed: its process ended with status 3" in said
    assert "hint: foveal jobs logs photos" in said
    assert run(["jobs", "show", "photos"]) == 0
    assert "state    failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--spot"], "--spot needs --on"),
        (["--detach"], "--detach needs --on"),
        (["--on", "local", "--spot"], "--spot has no effect on local"),
        (["--on", "local", "--label", "Team=x"], "Invalid label 'Team=x'"),
        (["--on", "moon"], "Invalid target 'moon'"),
        (["--on", "local", "--find-lr"], "--find-lr needs a run on this machine"),
        (["--on", "local"], "nowhere does not exist"),
    ],
)
def test_what_cannot_be_sent_is_said(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "nowhere", *options]) == 2
    assert said in capsys.readouterr().err
    assert len(foveal.jobs()) == 0


def test_no_jobs_are_said_to_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["jobs", "list"]) == 0
    assert "no jobs have been sent" in capsys.readouterr().err
    assert run(["jobs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "jobs": []}
    assert run(["jobs"]) == 0
    assert "fetch" in capsys.readouterr().out
    assert repr(foveal.jobs()) == "no jobs"
