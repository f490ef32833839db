"""The routes of `foveal watch`, over run directories made by hand."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from foveal.server.options import ServerOptions
from foveal.server.run import start_app
from foveal.server.training_page import create_watch_app, describe_run
from foveal.workflow.rundir import RunDirectory

RESULTS = "epoch,seconds,train_loss,val_accuracy,best\n1,2,0.9,0.5,0\n2,2,0.4,0.75,1\n"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Return a run of two epochs."""
    run = RunDirectory(tmp_path / "shapes")
    run.watch.mkdir(parents=True)
    run.recipe.write_text("task: classify\n")
    run.state.write_text(json.dumps({"status": "running"}))
    run.results.write_text(RESULTS)
    (run.watch / "epoch-0002.json").write_text('{"epoch": 2, "answers": []}')
    return run


@pytest.fixture
def client(run: RunDirectory) -> Iterator[httpx.Client]:
    """Return a client of the page's server."""
    options = ServerOptions(port=0)
    with (
        start_app(create_watch_app(run, options), options) as handle,
        httpx.Client(base_url=handle.url) as client,
    ):
        yield client


def beat(run: RunDirectory, age_s: float = 0.0) -> None:
    """Write what a training process of that age writes."""
    value = {"title": "train (full)", "done": 5, "total": 10, "fields": {}, "stopping": False}
    run.progress.write_text(json.dumps({**value, "at": time.time() - age_s}))


def test_a_run_whose_process_writes_is_running(run: RunDirectory) -> None:
    beat(run)
    run.report.write_text("of an earlier training")
    described = describe_run(run)
    assert described["status"] == "running"
    assert described["progress"]["done"] == 5
    assert described["epochs"] == [2]
    assert [figure["title"] for figure in described["figures"]] == ["Loss", "Validation"]
    assert described["has_report"] is False
    assert described["note"] == "2 epochs in 4 s. The weights of epoch 2 are kept."


def test_a_run_whose_process_has_fallen_silent_is_broken_off(run: RunDirectory) -> None:
    beat(run, age_s=60)
    assert describe_run(run)["status"] == "broken_off"


def test_a_run_whose_directory_is_deleted_is_not_one_to_resume(run: RunDirectory) -> None:
    beat(run)
    shutil.rmtree(run.path)
    assert describe_run(run)["status"] == "gone"


def test_a_request_to_stop_is_shown_before_the_training_has_seen_it(run: RunDirectory) -> None:
    beat(run)
    assert describe_run(run)["progress"]["stopping"] is False
    run.stop_request.touch()
    assert describe_run(run)["progress"]["stopping"] is True


def test_a_run_that_has_ended_shows_its_metrics_and_its_report(run: RunDirectory) -> None:
    run.state.write_text(json.dumps({"status": "done"}))
    metrics = {"accuracy": {"value": 0.75, "low": 0.5, "high": 0.9}}
    run.metrics.write_text(json.dumps({"task": "classify", "metrics": metrics}))
    run.report.write_text("<p>good</p>")
    described = describe_run(run)
    assert described["status"] == "done"
    assert described["has_report"] is True
    assert [(m["title"], m["value"], m["interval"]) for m in described["metrics"]] == [
        ("Accuracy", "75.0\u00a0%", "50.0\u00a0% to 90.0\u00a0%")
    ]


def test_of_a_training_in_folds_the_latest_is_shown(run: RunDirectory) -> None:
    run.results.unlink()
    for number in (2, 10):
        fold = run.fold(number)
        fold.watch.mkdir(parents=True)
        fold.results.write_text(RESULTS)
        (fold.watch / f"epoch-{number:04}.json").write_text(f'{{"epoch": {number}, "answers": []}}')
    described = describe_run(run)
    assert described["epochs"] == [10]
    assert [figure["title"] for figure in described["figures"]] == ["Loss", "Validation"]
    run.results.write_text(RESULTS)
    assert describe_run(run)["epochs"] == [2]


def test_figures_have_no_inline_style_that_the_policy_would_refuse(run: RunDirectory) -> None:
    assert all("style=" not in figure["svg"] for figure in describe_run(run)["figures"])


def test_a_request_to_stop_is_written_for_the_training(
    run: RunDirectory, client: httpx.Client
) -> None:
    beat(run)
    assert client.post("/stop").status_code == 202
    assert run.stop_request.exists()


def test_what_is_not_running_cannot_be_stopped(run: RunDirectory, client: httpx.Client) -> None:
    answer = client.post("/stop")
    assert answer.status_code == 409
    assert answer.json() == {"error": "This training is no longer running."}
    assert not run.stop_request.exists()


def test_a_foreign_page_cannot_stop_a_training(run: RunDirectory, client: httpx.Client) -> None:
    beat(run)
    answer = client.post("/stop", headers={"origin": "http://elsewhere.example"})
    assert answer.status_code == 403
    assert not run.stop_request.exists()


def test_the_page_allows_nothing_inline_and_the_report_its_own_style(
    run: RunDirectory, client: httpx.Client
) -> None:
    run.report.write_text("<p>good</p>")
    assert "unsafe-inline" not in client.get("/").headers["content-security-policy"]
    report = client.get("/report")
    assert report.text == "<p>good</p>"
    assert report.headers.get_list("content-security-policy") == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    ]


@pytest.mark.parametrize("path", ["/epochs/1", "/epochs/x", "/report", "/contact_sheet.png"])
def test_what_is_not_there_is_404(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_answers_and_pictures_are_handed_out(run: RunDirectory, client: httpx.Client) -> None:
    run.pictures.write_text('{"pictures": [{"sample": "a"}]}')
    run.contact_sheet.write_bytes(b"PNG")
    assert client.get("/epochs/2").json() == {"epoch": 2, "answers": []}
    assert client.get("/pictures").json() == {"pictures": [{"sample": "a"}]}
    assert client.get("/contact_sheet.png").content == b"PNG"
    assert client.get("/state").json()["name"] == "shapes"
