"""What a training process writes for those who watch it, and how it hears a request to stop."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from foveal.bundle import Bundle
from foveal.console import NoProgress
from foveal.workflow import broadcast
from foveal.workflow.broadcast import Broadcast
from foveal.workflow.rundir import RunDirectory, answered_epochs
from foveal.workflow.watched import EPOCHS_KEPT, PICTURES, forget_some


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.setattr(broadcast, "BEAT_S", 0.01)
    return RunDirectory(tmp_path)


def beats(run: RunDirectory) -> dict[str, object]:
    """Wait for the next beat and return what it wrote."""
    before = run.progress.stat().st_mtime_ns
    while run.progress.stat().st_mtime_ns == before:
        pass
    return json.loads(run.progress.read_text(encoding="utf-8"))


def test_the_latest_progress_is_in_the_file_and_goes_when_the_work_ends(run: RunDirectory) -> None:
    with Broadcast(NoProgress(), run) as progress:
        progress.start("train (full)", 1000)
        progress.update(120, {"epoch": "2"})
        progress.update(130)
        said = beats(run)
        progress.finish()
        silent = beats(run)
    assert said | {"at": 0} == {
        "title": "train (full)",
        "total": 1000,
        "done": 130,
        "fields": {"epoch": "2"},
        "at": 0,
        "stopping": False,
    }
    assert "title" not in silent
    assert not run.progress.exists()


def test_the_file_goes_when_the_work_fails(run: RunDirectory) -> None:
    with pytest.raises(ZeroDivisionError), Broadcast(NoProgress(), run):
        raise ZeroDivisionError
    assert not run.progress.exists()


def test_a_request_to_stop_is_heard_once(run: RunDirectory) -> None:
    heard: list[int] = []
    is_heard = threading.Event()

    def hear() -> None:
        heard.append(1)
        is_heard.set()

    with Broadcast(NoProgress(), run) as progress:
        progress.when_asked_to_stop(hear)
        run.stop_request.touch()
        assert is_heard.wait(10)
        assert beats(run)["stopping"] is True
        beats(run)
    assert heard == [1]
    assert not run.stop_request.exists()


def test_a_request_that_an_earlier_process_did_not_hear_is_forgotten(run: RunDirectory) -> None:
    run.watch.mkdir()
    run.stop_request.touch()
    with Broadcast(NoProgress(), run):
        assert not run.stop_request.exists()


def test_of_many_epochs_every_second_is_forgotten_but_the_first_and_the_last(
    run: RunDirectory,
) -> None:
    run.watch.mkdir()
    for epoch in range(1, EPOCHS_KEPT + 2):
        (run.watch / f"epoch-{epoch:04}.json").write_text("{}")
        forget_some(run)
    # 41 of them, without 2, 4, … 40.
    assert list(answered_epochs(run)) == list(range(1, EPOCHS_KEPT + 2, 2))


def test_a_training_keeps_validation_pictures_and_their_answers(tiny_masks: Bundle) -> None:
    run = RunDirectory(tiny_masks.path.parent)
    pictures = json.loads(run.pictures.read_text(encoding="utf-8"))["pictures"]
    epochs = answered_epochs(run)
    answers = [json.loads(path.read_text(encoding="utf-8"))["answers"] for path in epochs.values()]
    assert list(epochs) == [1, 2, 3, 4, 5, 6]
    assert 0 < len(pictures) <= PICTURES
    assert {len(of_one) for of_one in answers} == {len(pictures)}
    assert {key for one in pictures for key in one} == {"sample", "truth", "picture", "target"}
    assert all(one["drawn"].startswith("data:image/") for of_one in answers for one in of_one)
    # The drawings change as the network learns.
    assert answers[0] != answers[-1]
