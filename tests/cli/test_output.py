import json

import pytest

from foveal.cli.output import finding_lines, metric_rows, table, write_json
from foveal.types import Finding


def test_words_are_aligned_to_the_left_and_numbers_to_the_right() -> None:
    assert table(("class", "n"), [("cat", "5"), ("horse", "1200")]).splitlines() == [
        "class     n",
        "cat       5",
        "horse  1200",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert table(("class", "n"), []) == "class  n"


def test_a_metric_that_is_undefined_is_a_dash() -> None:
    metrics = {"ece": {"value": None, "low": None, "high": None}}
    assert metric_rows(metrics) == [("ece", "–", "–")]


def test_a_finding_shows_three_samples_and_counts_the_rest() -> None:
    finding = Finding(
        "images.unreadable", "warning", "5 pictures cannot be read.", ("a", "b", "c", "d"), 5, "see"
    )
    assert finding_lines(finding) == [
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
