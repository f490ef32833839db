import io
import json
import logging
import os
import sys

import pytest

from foveal import console
from foveal.cli.output import complain, metric_rows, wrapped, write_finding, write_json
from foveal.types import Finding
from foveal.words import table


def test_words_are_aligned_to_the_left_and_numbers_to_the_right() -> None:
    assert table(("class", "n"), [("cat", "5"), ("horse", "1200")]).splitlines() == [
        "class     n",
        "cat       5",
        "horse  1200",
    ]


def test_columns_are_aligned_whatever_the_script() -> None:
    # A Chinese character takes two columns, and an accent that stands alone none.
    assert table(("text", "n"), [("水=4", "5"), ("e\u0301", "12")]).splitlines() == [
        "text   n",
        "水=4   5",
        "e\u0301     12",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert table(("class", "n"), []) == "class  n"


def test_a_metric_that_is_undefined_is_a_dash() -> None:
    metrics = {"ece": {"value": None, "low": None, "high": None}}
    assert metric_rows(metrics) == [("ece", "–", "–")]


def test_a_finding_shows_three_samples_and_counts_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    finding = Finding(
        "images.unreadable", "warning", "5 pictures cannot be read.", ("a", "b", "c", "d"), 5, "see"
    )
    write_finding(finding)
    assert capsys.readouterr().out.splitlines() == [
        "warning: 5 pictures cannot be read. [images.unreadable]",
        "  a, b, c and 2 more",
        "  hint: see",
    ]
    assert finding.to_json()["samples"] == ["a", "b", "c", "d"]


def test_json_is_one_line_in_the_languages_own_letters(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"label": "été\n"})
    shown = capsys.readouterr().out
    assert shown == '{"label": "été\\n"}\n'
    assert json.loads(shown) == {"label": "été\n"}


def test_json_never_holds_what_is_not_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"value": float("nan")})


class Terminal(io.StringIO):
    """A terminal of 40 columns, once `narrow` is in effect."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((40, 24)))


@pytest.mark.usefixtures("narrow")
def test_messages_are_broken_between_words_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    complain(
        "There is no bundle at photos-model, nor in runs.", "foveal train a/long/path --task read"
    )
    with console.log_shown("stderr"):
        logging.getLogger("foveal.x").warning("%s of the pictures are drawn with two-tone ink.", 17)
    assert shown.getvalue().splitlines() == [
        "error: There is no bundle at",
        "  photos-model, nor in runs.",
        # A command that is copied has to stay on one line.
        "hint: foveal train a/long/path --task read",
        "warning: 17 of the pictures are drawn",
        "  with two-tone ink.",
    ]


@pytest.mark.usefixtures("narrow")
def test_the_samples_of_a_finding_stay_below_it_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    names = ("the/first.png", "the/second.png", "the/third.png")
    write_finding(Finding("images.blurred", "info", "Blurred.", names, 3, None))
    assert shown.getvalue().splitlines() == [
        "info: Blurred. [images.blurred]",
        "  the/first.png, the/second.png,",
        "    the/third.png",
    ]


@pytest.mark.usefixtures("narrow")
def test_what_is_piped_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    complain("There is no bundle at photos-model, nor in runs.")
    assert capsys.readouterr().err == "error: There is no bundle at photos-model, nor in runs.\n"


def test_sentences_fit_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert wrapped("Accuracy is between 90 % and 98 %.") == "Accuracy is between\n90 % and 98 %."
