import io
import time

import pytest
from rich.console import Console

from foveal.console import NoProgress
from foveal.progress import BarProgress, LineProgress, make_progress


def test_quiet_draws_nothing() -> None:
    assert isinstance(make_progress(quiet=True), NoProgress)


def test_without_a_terminal_there_are_lines() -> None:
    assert isinstance(make_progress(quiet=False), LineProgress)


def test_lines_come_every_ten_seconds_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = LineProgress()
    progress.start("epoch 1/2", 40)
    for seconds, done in ((103.0, 10), (111.0, 20), (113.0, 30), (116.5, 40)):
        now[0] = seconds
        progress.update(done, {"loss": f"{1 / done:.3f}"})
    progress.finish()
    progress.finish()
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1/2  20/40  loss 0.050",
        "epoch 1/2  40/40  loss 0.025  (16.5 s)",
    ]


def test_starting_anew_ends_the_work_before(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress()
    progress.start("decode", None)
    progress.update(7)
    progress.start("train", 2)
    progress.finish()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [["decode", "7"], ["train", "0/2"]]


def test_the_bar_shows_steps_and_named_values() -> None:
    drawn = io.StringIO()
    progress = BarProgress(Console(file=drawn, force_terminal=True, width=120))
    progress.start("epoch 1/2", 40)
    progress.update(40, {"loss": "0.250", "accuracy": "0.900"})
    progress.update(40)
    progress.finish()
    shown = drawn.getvalue()
    assert "epoch 1/2" in shown
    assert "40/40" in shown
    assert "loss 0.250  accuracy 0.900" in shown


def test_updates_after_the_end_are_ignored() -> None:
    drawn = io.StringIO()
    progress = BarProgress(Console(file=drawn, force_terminal=True, width=120))
    progress.update(3)
    progress.finish()
    assert drawn.getvalue() == ""
