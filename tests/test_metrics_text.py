"""The shortest edits between what was read and what is there, by definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.metrics import edit_script, misread

TEXTS = st.text("01OI", max_size=7)


@pytest.mark.parametrize(
    ("read", "true", "script", "reason"),
    [
        ("", "", [], "nothing to align"),
        ("AB", "AB", [("A", "A"), ("B", "B")], "equal"),
        ("A0B", "AOB", [("A", "A"), ("O", "0"), ("B", "B")], "one substitution"),
        ("AB", "AXB", [("A", "A"), ("X", ""), ("B", "B")], "one character left out"),
        ("AXB", "AB", [("A", "A"), ("", "X"), ("B", "B")], "one character made up"),
        ("", "AB", [("A", ""), ("B", "")], "nothing read"),
        ("AB", "", [("", "A"), ("", "B")], "nothing there"),
        ("000", "00", [("0", "0"), ("0", "0"), ("", "0")], "start and end overlap"),
    ],
)
def test_scripts_by_hand(read: str, true: str, script: list[tuple[str, str]], reason: str) -> None:
    assert edit_script(read, true) == script, reason


def brute_force_distance(first: str, second: str) -> int:
    """The definition, by recursion."""
    if not first or not second:
        return len(first) + len(second)
    return min(
        brute_force_distance(first[1:], second[1:]) + (first[0] != second[0]),
        brute_force_distance(first[1:], second) + 1,
        brute_force_distance(first, second[1:]) + 1,
    )


@settings(deadline=None)
@given(st.text("01O", max_size=5), st.text("01O", max_size=5))
def test_scripts_are_as_short_as_the_definition_says(read: str, true: str) -> None:
    script = edit_script(read, true)

    assert sum(a != b for a, b in script) == brute_force_distance(read, true)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_scripts_hold_both_texts_in_order(read: str, true: str) -> None:
    script = edit_script(read, true)

    assert "".join(a for a, _ in script) == true
    assert "".join(b for _, b in script) == read
    assert ("", "") not in script


def test_both_characters_of_a_misreading_are_confused() -> None:
    assert misread("ac", "ac") == []
    assert sorted(misread("ac", "ab")) == ["b", "c"]
    assert misread("ac", "abc") == ["b"]
    assert misread("ac", "a") == ["c"]
