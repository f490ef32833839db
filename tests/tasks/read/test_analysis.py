from __future__ import annotations

import json
import math

import numpy as np
import pytest

from foveal import metrics
from foveal.tasks.read import analysis
from foveal.types import JsonObject


def rows_of(*pairs: tuple[str, str]) -> np.ndarray:
    """Rows of (truth, read) texts without values, all answered with 0.8."""
    return np.stack(
        [
            analysis.row(read, true, 0.8, value=None, target_value=None, has_value=False)
            for true, read in pairs
        ]
    )


def analyse(*pairs: tuple[str, str], alphabet: str = "0O1I") -> JsonObject:
    return analysis.analyse(
        [read for _, read in pairs],
        [true for true, _ in pairs],
        [0.9 - 0.1 * i for i in range(len(pairs))],
        [],
        alphabet,
        has_value=False,
    )


def test_a_row_holds_edits_length_confidence_and_correctness() -> None:
    values = analysis.row("A0", "AOB", 0.7, value=None, target_value=None, has_value=False)

    assert values.tolist() == [2, 3, 0, 0, 0, 0.7, 0]


@pytest.mark.parametrize(
    ("value", "target_value", "expected", "reason"),
    [
        ("3", "3", [1, 1, 1], "right"),
        ("4", "3", [1, 1, 0], "another value"),
        (None, "3", [1, 0, 0], "not an expression, or a division by zero"),
        (None, None, [0, 0, 0], "the truth divides by zero: there is nothing to compare with"),
        ("3", None, [0, 0, 0], "the same, whatever was read"),
    ],
)
def test_a_row_says_what_became_of_the_value(
    value: str | None, target_value: str | None, expected: list[float], reason: str
) -> None:
    row = analysis.row("1+2", "1+2", 0.7, value=value, target_value=target_value, has_value=True)

    assert row[2:5].tolist() == expected, reason


def test_metrics_by_hand() -> None:
    rows = rows_of(("AB3K", "AB3K"), ("0O0O", "0OOO"), ("11", "1"), ("", ""))

    values = analysis.summarise(rows, has_value=False)

    # Two edits in ten characters; two of four texts at 0.8.
    assert values == {
        "exact_match": 0.5,
        "character_accuracy": pytest.approx(0.8),
        "ece": pytest.approx(0.3),
    }
    assert analysis.is_correct(rows).tolist() == [True, False, False, True]


def test_values_may_be_right_though_the_text_is_not() -> None:
    answers = [("3", "3"), ("3", "3"), (None, "5"), ("7", "6"), (None, None)]
    rows = np.stack(
        [
            analysis.row("2+1", "1+2", 0.8, value=v, target_value=t, has_value=True)
            for v, t in answers
        ]
    )

    values = analysis.summarise(rows, has_value=True)

    assert values["exact_match"] == 0
    assert values["value_accuracy"] == pytest.approx(2 / 4)
    assert values["parse_failures"] == pytest.approx(1 / 4)


def test_far_more_made_up_than_there_is_gives_no_negative_accuracy() -> None:
    assert analysis.summarise(rows_of(("1", "0000")), has_value=False)["character_accuracy"] == 0


@pytest.mark.parametrize("has_value", [False, True])
def test_no_rows_give_undefined_metrics_not_an_error(has_value: bool) -> None:
    values = analysis.summarise(np.zeros((0, 7)), has_value=has_value)

    assert len(values) == 3 + 2 * has_value
    assert all(math.isnan(value) for value in values.values())


def test_rows_bootstrap_like_those_of_any_task() -> None:
    rows = rows_of(*[("0O", "0O")] * 30, *[("0O", "00")] * 10)

    limits = metrics.bootstrap(
        rows, lambda r: analysis.summarise(r, has_value=False), resamples=200
    )

    assert limits["character_accuracy"][0] < 0.875 < limits["character_accuracy"][1]


def test_exact_match_by_length_of_the_truth() -> None:
    table = analyse(("0O", "0O"), ("OO", "0O"), ("1", "1"), ("", ""))["lengths"]

    assert [(e["length"], e["count"], e["right"], e["share"]) for e in table] == [
        (0, 1, 1, 1.0),
        (1, 1, 1, 1.0),
        (2, 2, 1, 0.5),
    ]
    assert (table[2]["low"], table[2]["high"]) == pytest.approx(metrics.wilson(1, 2))


def test_positions_follow_the_alignment_not_the_index() -> None:
    # The first character is left out; what follows is shifted, and still right.
    table = analyse(("10O", "0O"), ("1I", "11"))["positions"]

    assert [(e["position"], e["count"], e["right"]) for e in table] == [
        (1, 2, 1),
        (2, 2, 1),
        (3, 1, 1),
    ]


def test_confused_pairs_come_most_frequent_first() -> None:
    details = analyse(("0O0O", "OO0O"), ("0", "O"), ("I1", "11"), ("O", "0"))

    assert details["confused"] == [
        {"target": "0", "prediction": "O", "count": 2, "share": 2 / 3},
        {"target": "I", "prediction": "1", "count": 1, "share": 1.0},
        {"target": "O", "prediction": "0", "count": 1, "share": 1 / 3},
    ]
    assert "0 is read as O 2 times (66.7 % of all 0)." in details["highlights"]


def test_what_is_left_out_and_made_up_is_counted_apart() -> None:
    details = analyse(("10O", "0O"), ("0", "0I"), ("O", "OI"))

    assert details["missed"] == [{"character": "1", "count": 1}]
    assert details["invented"] == [{"character": "I", "count": 2}]
    assert details["edits"] == {"characters": 5, "substituted": 0, "missed": 1, "invented": 2}


def test_each_character_of_the_alphabet_has_its_figures() -> None:
    table = {e["character"]: e for e in analyse(("00O1", "OO1"), ("0", "0"))["characters"]}

    assert (table["0"]["count"], table["0"]["right"]) == (3, 1)
    assert (table["0"]["missed"], table["0"]["taken_for"]) == (1, "O")
    assert (table["O"]["share"], table["O"]["taken_for"]) == (1.0, None)
    assert (table["I"]["count"], table["I"]["share"]) == (0, None)


def test_a_character_that_the_alphabet_lacks_is_counted_as_wrong() -> None:
    table = analyse(("é1", "1"))["characters"]

    assert table[-1]["character"] == "é"
    assert (table[-1]["count"], table[-1]["right"]) == (1, 0)


def test_mistakes_are_listed_surest_first() -> None:
    # Confidences fall: 0.9, 0.8, 0.7.
    mistakes = analyse(("0", "0"), ("1", "I"), ("O", "0"))["mistakes"]

    assert [(m["index"], m["target"], m["prediction"]) for m in mistakes] == [
        (1, "1", "I"),
        (2, "O", "0"),
    ]
    assert mistakes[0]["confidence"] == pytest.approx(0.8)


def test_values_of_expressions_and_what_does_not_parse() -> None:
    details = analysis.analyse(
        ["1+2", "2+1", "1+", "1/0"],
        ["1+2", "1+2", "1+1", "1/0"],
        [0.9] * 4,
        [("3", "3"), ("3", "3"), (None, "2"), (None, None)],
        "0123456789+/",
        has_value=True,
    )

    values = details["values"]
    assert (values["right"]["right"], values["right"]["count"]) == (2, 3)
    assert (values["parse_failures"]["right"], values["parse_failures"]["count"]) == (1, 3)
    assert values["right_though_misread"] == 1
    assert values["without_true_value"] == 1
    assert values["failures"] == [{"index": 2, "target": "1+1", "prediction": "1+"}]


def test_mistakes_in_the_number_of_characters_are_said() -> None:
    sentences = " ".join(analyse(*[("00", "0")] * 3, *[("0", "00")] * 2)["highlights"])

    assert "3 left out and 2 made up, against 0 mistaken for another" in sentences


def test_characters_that_no_text_holds_are_said() -> None:
    assert "3 of 4 characters are in no text measured: O 1 I." in analyse(("0", "0"))["highlights"]


def test_details_are_json_even_of_nothing() -> None:
    for details in (analyse(), analyse(("0", "")), analyse(("", "0"))):
        assert json.loads(json.dumps(details, allow_nan=False)) == details


def test_twenty_thousand_samples_are_counted_exactly() -> None:
    pairs = [(f"{i:04}", f"{i:04}".replace("7", "1")) for i in range(20_000)]

    # Each of the last four digits is a 7 in a tenth of them.
    assert analyse(*pairs, alphabet="0123456789")["confused"] == [
        {"target": "7", "prediction": "1", "count": 8000, "share": 1.0}
    ]
