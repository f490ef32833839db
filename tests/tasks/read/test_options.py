"""What the texts call for."""

from __future__ import annotations

import pytest

from foveal.tasks.read.options import choose_options
from foveal.tasks.read.task import ReadTask


def test_the_longest_text_gives_the_positions() -> None:
    options, reasons = choose_options(["ab", "abcd", "a"])
    assert options == {"length": 4}
    assert "longest" in reasons["task_options.length"]


def test_expressions_get_their_grammar_and_the_reason() -> None:
    options, reasons = choose_options(["1+2*3", "(4-5)*6"] * 10)
    assert options == {"length": 7, "grammar": "arithmetic"}
    assert "all 20 texts" in reasons["task_options.grammar"]


def test_assignments_are_formulas() -> None:
    assert choose_options(["流=42;流/6", "a=1;b=2;a+b"] * 10)[0]["grammar"] == "formula"


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["1+2"] * 19, "too few to be sure"),
        (["1+2"] * 20 + ["12"], "one is a number, perhaps a serial"),
        (["12", "34"] * 20, "all are numbers"),
        (["1+2"] * 20 + ["1+"], "one does not follow the grammar"),
        (["1+2", "a=1;a+1"] * 20, "two grammars"),
        (["AB-12", "CD-34"] * 20, "a hyphen makes no expression"),
        ([], "nothing at all"),
    ],
)
def test_a_grammar_is_chosen_only_where_all_texts_follow_it(texts: list[str], why: str) -> None:
    assert "grammar" not in choose_options(texts)[0], why


def test_the_task_chooses_from_raw_targets_and_passes_over_those_without() -> None:
    assert ReadTask.choose_options([("abc",), (), ("ab",)])[0] == {"length": 3}
