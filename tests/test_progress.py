import io
import logging
import re
import time

import pytest
from rich.console import Console

from foveal.console import NoProgress, show_log
from foveal.model import shown_progress
from foveal.progress import (
    BarProgress,
    LineProgress,
    NotebookProgress,
    command_progress,
    followed,
    in_notebook,
    live_progress,
    make_progress,
)


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
        "epoch 1/2  50 %  loss 0.050",
        "epoch 1/2  100 %  loss 0.025  (16.5 s)",
    ]


def test_starting_anew_ends_the_work_before(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress()
    progress.start("decode", None)
    progress.update(7)
    progress.start("train", 2)
    progress.finish()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [["decode", "7"], ["train", "0 %"]]


def test_the_bar_shows_steps_and_named_values() -> None:
    drawn = io.StringIO()
    progress = BarProgress(Console(file=drawn, force_terminal=True, width=120))
    progress.start("epoch 1/2", 40)
    progress.update(40, {"loss": "0.250", "accuracy": "0.900"})
    progress.update(40)
    progress.finish()
    shown = drawn.getvalue()
    assert "epoch 1/2" in shown
    assert "100 %" in shown
    assert "loss 0.250  accuracy 0.900" in shown


def test_a_training_fits_on_80_columns() -> None:
    drawn = io.StringIO()
    progress = BarProgress(Console(file=drawn, force_terminal=True, width=80))
    progress.start("train (full)", 1000)
    fields = {"epoch": "137", "loss": "0.250", "exact_match": "0.984", "rate": "1860/s"}
    progress.update(186, {**fields, "left": "12:05"})
    assert progress._bar is not None
    progress._bar.refresh()
    drawing = drawn.getvalue()
    progress.finish()
    text = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", drawing)
    assert " 18 % epoch 137  loss 0.250  exact_match 0.984 12:05 left" in text


def test_a_training_fits_on_60_columns_without_its_share() -> None:
    drawn = io.StringIO()
    progress = BarProgress(Console(file=drawn, force_terminal=True, width=60))
    progress.start("train (full)", 1000)
    progress.update(186)
    fields = {"epoch": "37", "loss": "0.250", "accuracy": "0.984", "rate": "1860/s"}
    assert progress._bar is not None
    progress._bar.refresh()
    progress.update(186, {**fields, "left": "2:05"})
    progress._bar.refresh()
    drawing = drawn.getvalue()
    progress.finish()
    text = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", drawing)
    assert "train (full)  18 %" in text
    lines = [line.strip() for line in re.split(r"[\r\n]", text)]
    assert "train (full)  epoch 37  loss 0.250  accuracy 0.984 2:05 left" in lines


def test_work_of_unknown_length_shows_how_long_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LineProgress()
    progress.start("export", None)
    progress.finish()
    assert capsys.readouterr().err.startswith("export  (")


def test_updates_after_the_end_are_ignored() -> None:
    drawn = io.StringIO()
    progress = BarProgress(Console(file=drawn, force_terminal=True, width=120))
    progress.update(3)
    progress.finish()
    assert drawn.getvalue() == ""


class Handle:
    """Stands for the output of a cell."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def update(self, shown: dict[str, str], raw: bool) -> None:
        self.shown.append(shown)


def test_a_notebook_keeps_a_line_for_each_piece_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    handle = Handle()

    def first(shown: dict[str, str], **_: object) -> Handle:
        handle.shown.append(shown)
        return handle

    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(display, "display", first)
    progress = NotebookProgress()
    progress.start("decode", 4)
    now[0] = 1.0
    progress.update(2, {"rate": "<2/s>"})
    progress.update(3)
    progress.start("train", None)
    now[0] = 3.0
    progress.finish()
    progress.finish()
    progress.update(4)
    bars = [shown["text/html"] for shown in handle.shown]
    assert '<progress value="2" max="4"></progress> decode  &lt;2/s&gt;' in bars[1]
    assert "<progress" not in bars[-1]
    assert handle.shown[-1]["text/plain"] == "decode  <2/s>  1 s\ntrain  2 s"
    # The update a moment after another was not drawn.
    assert len(bars) == 5


def test_a_script_whose_output_is_not_looked_at_has_no_bar() -> None:
    assert not in_notebook()
    assert isinstance(live_progress(), NoProgress)


def test_a_training_is_followed_in_a_log_by_its_messages_and_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("foveal.workflow")
    # As the command line leaves it: a message is shown once all the same.
    show_log(logging.WARNING)
    logger.info("before")
    with followed() as progress:
        logger.info("chosen this")
        logger.warning("and that")
        progress.start("train", 2)
    logger.info("after")
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == ["chosen this", "warning: and that"]
    assert said[2].startswith("train  0 %")
    assert len(said) == 3


def test_a_task_ends_with_the_command_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), command_progress(quiet=False) as progress:
        progress.start("check", 3)
        raise KeyError
    assert "check" in capsys.readouterr().err


def test_a_task_ends_with_the_function_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), shown_progress(LineProgress(), verbose=True) as progress:
        progress.start("check", 3)
        raise KeyError
    assert "check" in capsys.readouterr().err
