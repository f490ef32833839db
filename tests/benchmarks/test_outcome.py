import json
from pathlib import Path

import numpy as np
import pytest

from outcome import Outcome, human_line, report
from run_all import BEGIN, END, latest, rendered, server_outcome, table
from signature_text import best_threshold, scores


def outcome(**changes: object) -> Outcome:
    values = {"claim": "c", "what": "w", "unit": "share", "values": (0.9, 1.0), "target": 0.95}
    return Outcome(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "met", "why"),
    [
        ({}, True, "a mean of 0.95 reaches 0.95"),
        ({"target": 0.96}, False, "the mean is below"),
        ({"better": "low"}, True, "0.95 is at most 0.95"),
        ({"better": "low", "target": 0.9}, False, "the mean is above"),
        ({"limits": {"time, s": (61.0, 60.0)}}, False, "a limit is exceeded"),
        ({"limits": {"time, s": (60.0, 60.0)}}, True, "a limit is just kept"),
        ({"values": (0.1, 0.96, 0.97), "judged_by": "median"}, True, "the median decides"),
        ({"target": None}, None, "a figure without a target is for information"),
        ({"target": None, "limits": {"time, s": (61.0, 60.0)}}, False, "its limit is exceeded"),
    ],
)
def test_a_claim_is_met_when_target_and_limits_are(
    changes: dict[str, object], met: bool | None, why: str
) -> None:
    assert outcome(**changes).met is met, why


def test_a_line_says_where_it_was_measured_and_how_values_spread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "results.jsonl"

    report(outcome(), out)
    report(outcome(values=(0.5,)), out)

    first, second = (json.loads(line) for line in out.read_text().splitlines())
    assert json.loads(capsys.readouterr().out.splitlines()[0]) == first
    assert first["n"] == 2
    assert first["mean"] == pytest.approx(0.95)
    assert first["sd"] == pytest.approx(0.1 / 2**0.5)
    assert second["sd"] is None
    assert {"commit", "time", "machine", "versions"} <= set(first)
    assert first["machine"]["cores"] >= 1
    assert "NOT MET" in human_line(second)
    assert "95.00 %" in human_line(first)


def test_the_table_holds_the_latest_line_of_each_claim() -> None:
    old = outcome(claim="a", target=0.99).to_json()
    new = outcome(claim="a", limits={"time, s": (12.0, 60.0)}).to_json()
    other = outcome(claim="b", unit="ratio", values=(2.5,), target=2.0).to_json()

    readme = rendered(f"# T\n{BEGIN}\nold\n{END}\nrest\n", latest([old, other, new]))

    assert readme.startswith("# T\n")
    assert readme.endswith(f"{END}\nrest\n")
    assert "old" not in readme
    assert "time, s 12.0" in readme
    assert "| 2.50 x (mean) |" in readme
    assert readme.count("\n| a |") == 1


def test_every_row_has_as_many_cells_as_the_header() -> None:
    without_target = outcome(claim="b", target=None).to_json()
    lines = table([outcome().to_json(), without_target]).splitlines()

    assert lines[3].endswith("| – | – |")
    assert "for information" in human_line(without_target)
    assert {line.count("|") for line in lines if line.startswith("|")} == {8}


def test_a_readme_without_marks_is_refused() -> None:
    with pytest.raises(SystemExit, match="lacks the marks"):
        rendered("# T\n", [])


def test_the_server_is_held_against_the_faster_loop_of_each_round() -> None:
    found = {
        "clients": 16,
        "cores": 2,
        "rates_per_s": {"loop_1": [100.0, 200.0], "loop_16": [200.0, 100.0], "server": [150, 160]},
    }

    assert server_outcome(found).values == (0.75, 0.8)


def test_precision_and_recall_are_those_of_the_signatures() -> None:
    pairs = [("signature", "signature")] * 3 + [("signature", "text"), ("text", "signature")]

    assert scores([*pairs, *[("text", "text")] * 5]) == {
        "accuracy": 0.8,
        "precision": 0.75,
        "recall": 0.75,
    }


def test_the_best_threshold_may_point_either_way() -> None:
    heights = np.array([10, 20, 30, 40])

    assert best_threshold(heights, np.array([False, False, True, True])) == (30.0, True)
    assert best_threshold(heights, np.array([True, True, True, False])) == (40.0, False)
