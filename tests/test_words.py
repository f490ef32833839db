"""Shares as people read them."""

from __future__ import annotations

import math

import pytest

from foveal.words import about_picture, percent, percent_range, table


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.8361, 1, "83.6 %"),
        (0.82249, 1, "82.2 %"),  # Not rounded twice: to 0.8225 and then up.
        (1.0, 1, "100.0 %"),
        (0.99999, 1, "99.9 %"),  # Never 100 % by rounding alone.
        (0.999, 0, "99 %"),
        (0.0, 1, "0.0 %"),
        (None, 1, "–"),
        (math.nan, 1, "–"),
    ],
)
def test_a_share_in_percent(value: float | None, digits: int, shown: str) -> None:
    assert percent(value, digits) == shown


def test_an_interval_in_percent() -> None:
    assert percent_range(0.784, 0.8767) == "78.4 to 87.7 %"
    assert percent_range(None, 0.5) == percent_range(math.nan, math.nan) == "–"


def test_a_cell_stays_in_its_line_whatever_it_contains() -> None:
    assert table(("name", "n"), [("a\nb", "1"), ("\x1b[31m", "2")]) == (
        "name      n\na\\nb      1\n\\x1b[31m  2"
    )


def test_a_picture_is_named_once() -> None:
    assert about_picture("a.png", "a.png does not exist.") == "a.png does not exist."
    assert about_picture("a.png", "It is empty.") == "a.png: It is empty."
