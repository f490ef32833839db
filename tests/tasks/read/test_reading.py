"""Where characters stand in the original, and what a reading looks like as JSON."""

from __future__ import annotations

import numpy as np
import pytest

from foveal.pipeline import Pipeline
from foveal.tasks.read.characters import Character
from foveal.tasks.read.ctc import Decoded
from foveal.tasks.read.expression import value_of
from foveal.tasks.read.places import place_characters
from foveal.tasks.read.prediction import Reading
from foveal.types import Frame, Labels, Piece

# 50 px become 80 of the 96 px of the model input: 1.6 px and, with 12 columns, 8 px each.
PADDED = Pipeline(32, 640, "line").frame(20, 50)


def found(text: str, *spans: tuple[int, int]) -> Decoded:
    return Decoded(text, -0.1, spans, (0.9,) * len(text))


def places(
    decoded: Decoded,
    frame: Frame,
    columns: int = 12,
    attention: np.ndarray | None = None,
) -> list[tuple[float, float]]:
    placed = place_characters(decoded, attention, columns, frame)
    assert "".join(character.char for character in placed) == decoded.text
    return [(pytest.approx(c.x0, abs=1e-4), pytest.approx(c.x1, abs=1e-4)) for c in placed]


def reading(**changes: object) -> Reading:
    fields = {
        "confidence": 0.12345678,
        "unsure": False,
        "characters": (Character("1", 0.98765432, 1.26, 3.0),),
        "value": "3",
        "value_error": None,
        "log_probabilities": np.zeros((2, 3), np.float32),
        "attention": None,
        "spans": ((0, 1),),
        "frame": PADDED,
        "alphabet": Labels.of("12+"),
    }
    return Reading(**{**fields, **changes})


def test_characters_meet_half_way_between_their_columns() -> None:
    # Centres at columns 3 and 7; three columns (24 px of 1.6) to each side, but not past the half.
    assert places(found("ab", (2, 4), (6, 8)), PADDED) == [(0.0, 25.0), (25.0, 50.0)]


def test_far_neighbours_do_not_stretch_a_character_over_the_gap() -> None:
    # Centres 1, 3, 11: the usual distance is the median of 2 and 8, 5, so 3.75 to each side.
    frame = Pipeline(32, 640, "line").frame(32, 96)
    assert places(found("abc", (0, 2), (2, 4), (10, 12)), frame) == [
        (0.0, 16.0),
        (16.0, 8 * 6.75),
        (8 * 7.25, 96.0),
    ]


def test_no_character_stands_in_the_filling_on_the_right() -> None:
    # Column 11 begins at 88 px, and the picture ends at 80.
    assert places(found("ab", (2, 4), (11, 12)), PADDED)[1] == (
        pytest.approx((3 + 11.5) / 2 * 8 / 1.6, abs=1e-4),
        50.0,
    )


def test_a_single_character_has_the_picture_to_itself() -> None:
    assert places(found("a", (4, 6)), PADDED) == [(0.0, 50.0)]


def test_nothing_read_has_no_places() -> None:
    assert place_characters(found(""), None, 12, PADDED) == ()


def test_attention_says_where_a_position_looked() -> None:
    # The first classifier looked at columns 0 and 1 alike (centre 1), the second at 8 (8.5).
    attention = np.zeros((3, 12), np.float32)
    attention[0, :2], attention[2, 8] = 0.5, 1.0
    attention[1, 5] = 1.0  # said "nothing here"
    spans = (0, 1), (2, 3)
    assert places(found("ab", *spans), PADDED, 3, attention) == [
        (0.0, 4.75 * 8 / 1.6),
        (4.75 * 8 / 1.6, 50.0),
    ]


def test_a_character_of_a_joined_strip_stays_on_its_own_line() -> None:
    # The end of one line stands beside the beginning of the next: 40 px of (y 20, x 100 to 140)
    # and 56 px of (y 50, x 10 to 66), as high as the model input.
    pieces = (Piece(100, 20, 140, 52, 0, 0), Piece(10, 50, 66, 82, 40, 0))
    frame = Frame((200, 300), (32, 96), (1.0, 1.0), (0.0, 0.0), strip=(32, 96), pieces=pieces)
    # Centres at 12, 36, 52 and 84 px; half the median distance and a half is 18 px.
    decoded = found("abcd", (1, 2), (4, 5), (6, 7), (10, 11))
    assert places(decoded, frame) == [
        (100.0, 124.0),
        (124.0, 140.0),
        (14.0, 38.0),
        (38.0, 66.0),
    ]


def test_a_gap_of_the_strip_belongs_to_no_character() -> None:
    pieces = (Piece(0, 0, 40, 32, 0, 0), Piece(0, 40, 40, 72, 56, 0))
    frame = Frame((80, 40), (32, 96), (1.0, 1.0), (0.0, 0.0), strip=(32, 96), pieces=pieces)
    # Centres at 28 and 68 px, which meet at 48, between the pieces.
    assert places(found("ab", (3, 4), (8, 9)), frame) == [(0.0, 40.0), (0.0, 40.0)]


def test_the_json_is_rounded_for_people() -> None:
    assert reading().to_json() == {
        "text": "1",
        "confidence": 0.123457,
        "unsure": False,
        "characters": [{"char": "1", "confidence": 0.987654, "x0": 1.3, "x1": 3.0}],
        "value": "3",
    }


def test_only_expressions_have_a_value_in_their_json() -> None:
    assert "value" not in reading(value=None).to_json()
    answer = reading(value=None, value_error="division by zero").to_json()
    assert answer["value"] is None
    assert answer["value_error"] == "division by zero"


def test_readings_are_equal_by_their_text() -> None:
    assert reading(confidence=0.1) == reading(confidence=0.9)
    assert len({reading(), reading(characters=()), reading(unsure=True)}) == 2
    assert reading() != "1"


@pytest.mark.parametrize(
    ("text", "value"), [("1+2*3", "7"), ("(1-2)/4", "-1/4"), ("a=6;a/4", "3/2")]
)
def test_the_value_is_exact(text: str, value: str) -> None:
    assert value_of(text) == (value, None)


@pytest.mark.parametrize("text", ["", "1+", "1/0", "1/(2-2)", "(" * 600])
def test_without_a_value_one_line_says_why(text: str) -> None:
    value, why = value_of(text)
    assert value is None
    assert why and "\n" not in why
