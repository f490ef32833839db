from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw

from foveal import lettering
from foveal.pipeline import Pipeline
from foveal.tasks.read import draw
from foveal.tasks.read.canvas import confidence_color
from foveal.types import Frame, Image, Picture, Piece

ANSWER, RIVAL, UNSEEN = (17, 82, 200), (222, 84, 20), (214, 216, 222)
# Beside the picture on the sheet, on the right; heights of a row of the heat map and the legend.
MARGIN, ROW, LEGEND = 14, 22, 30


@dataclass(frozen=True)
class Character:
    char: str
    confidence: float = 1.0
    x0: float = 0.0
    x1: float = 1.0


@dataclass(frozen=True)
class Reading:
    characters: tuple[Character, ...]
    log_probabilities: NDArray[np.float32]
    spans: tuple[tuple[int, int], ...]
    frame: Frame


def grey(height: int, width: int) -> Picture:
    return Picture.from_array(np.full((height, width, 3), 200, np.uint8))


def read(text: str, at: list[int], columns: int, frame: Frame, alphabet: str = "0O") -> Reading:
    """A reading that is certain in every column: the characters at `at`, else the blank."""
    shares = np.full((columns, len(alphabet) + 1), 1e-9, np.float32)
    shares[:, 0] = 1
    for character, column in zip(text, at, strict=True):
        shares[column] = 1e-9
        shares[column, alphabet.index(character) + 1] = 1
    spans = tuple((column, column + 1) for column in at)
    characters = tuple(Character(character) for character in text)
    return Reading(characters, np.log(shares), spans, frame)


def across(sheet: Image, color: tuple[int, int, int], picture_width: int) -> list[int]:
    """The x of the pixels of a colour in the heat map, from the left edge of the picture."""
    left = sheet.shape[1] - MARGIN - picture_width
    found = np.flatnonzero((sheet[:-LEGEND] == color).all(axis=2).any(axis=0)) - left
    return [int(x) for x in found]


def test_a_column_stands_under_the_place_that_it_looked_at() -> None:
    # 100 x 20 pixels are enlarged eight times; ten columns of ten pixels.
    frame = Pipeline(20, 100, fit="stretch").frame(20, 100)

    sheet = draw.draw_alignment(grey(20, 100), read("O", [3], 10, frame), "0O")

    assert across(sheet, ANSWER, 800) == list(range(240, 320))


def test_columns_in_the_padding_are_cut() -> None:
    # The input is 40 wide, the picture lies in its pixels 10 to 30: columns 1 and 2 of 4.
    picture, frame = grey(20, 20), Pipeline(20, 40).frame(20, 20)

    inside = draw.draw_alignment(picture, read("O", [1], 4, frame), "0O")
    beside = draw.draw_alignment(picture, read("O", [0], 4, frame), "0O")

    # 18 times as large, on a sheet as wide as its legend: 400 pixels.
    assert across(inside, ANSWER, 400) == list(range(180))
    assert across(beside, ANSWER, 400) == []


def test_what_cropping_hid_is_shown_as_unseen() -> None:
    # Of 40 pixels the network got the middle 20.
    picture, frame = grey(20, 40), Pipeline(20, 20, fit="crop").frame(20, 40)

    sheet = draw.draw_alignment(picture, read("O", [0], 4, frame), "0O")

    # 18 times: 720 wide, and the seen half in its middle.
    assert across(sheet, UNSEEN, 720) == [*range(180), *range(540, 720)]
    assert across(sheet, ANSWER, 720) == list(range(180, 270))


def test_characters_under_five_percent_have_no_row() -> None:
    frame = Pipeline(20, 100, fit="stretch").frame(20, 100)
    reading = read("O", [3], 10, frame)
    heard = reading.log_probabilities.copy()
    heard[3] = np.log([0.02, 0.06, 0.92])
    hardly = reading.log_probabilities.copy()
    hardly[3] = np.log([0.02, 0.04, 0.94])

    tall = draw.draw_alignment(
        grey(20, 100), Reading(reading.characters, heard, reading.spans, frame), "0O"
    )
    low = draw.draw_alignment(
        grey(20, 100), Reading(reading.characters, hardly, reading.spans, frame), "0O"
    )

    assert tall.shape[0] - low.shape[0] == ROW


def test_an_answer_that_only_a_grammar_made_likely_has_its_row() -> None:
    frame = Pipeline(20, 100, fit="stretch").frame(20, 100)
    reading = read("O", [3], 10, frame)
    unlikely = reading.log_probabilities.copy()
    unlikely[3] = np.log([0.98, 0.01, 0.01])

    sheet = draw.draw_alignment(
        grey(20, 100), Reading(reading.characters, unlikely, reading.spans, frame), "0O"
    )

    assert sheet.shape[0] == draw.draw_alignment(grey(20, 100), reading, "0O").shape[0]


def test_what_spoke_against_the_answer_has_another_colour() -> None:
    frame = Pipeline(20, 100, fit="stretch").frame(20, 100)
    reading = read("OO", [3, 6], 10, frame)
    answered_otherwise = Reading(
        (Character("0"), Character("O")), reading.log_probabilities, reading.spans, frame
    )

    sheet = draw.draw_alignment(grey(20, 100), answered_otherwise, "0O")

    assert across(sheet, RIVAL, 800) == list(range(240, 320))
    assert across(sheet, ANSWER, 800) == list(range(480, 560))


@pytest.mark.parametrize(
    ("height", "width", "shown", "reason"),
    [
        (20, 100, (160, 800), "enlarged by eight, a whole factor"),
        (300, 500, (300, 500), "as it is"),
        (100, 1680, (50, 840), "halved"),
        (3600, 100, (360, 10), "high pictures are reduced too"),
    ],
)
def test_pictures_are_shown_at_a_legible_size(
    height: int, width: int, shown: tuple[int, int], reason: str
) -> None:
    assert draw.draw_boxes(grey(height, width), []).shape[:2] == shown, reason


def test_a_page_is_shown_as_the_strip_of_its_pieces() -> None:
    # A page of two lines, the lower one black, stands as one strip of 20 x 84 pixels.
    page = np.full((60, 50, 3), 250, np.uint8)
    page[40:60, 0:40] = 0
    pieces = (Piece(10, 0, 50, 20, 0, 0), Piece(0, 40, 40, 60, 44, 0))
    frame = Frame((60, 50), (20, 84), (1.0, 1.0), (0.0, 0.0), (20, 84), pieces)
    reading = read("0O", [0, 20], 21, frame)

    sheet = draw.draw_alignment(Picture.from_array(page), reading, "0O")

    # Ten times: the upper line, the gap in the colour of the ground, the lower line.
    line = sheet[110, -MARGIN - 840 : -MARGIN, 0]
    assert [int(line[x]) for x in (0, 399, 420, 440, 839)] == [250, 250, 250, 0, 0]


def test_boxes_reach_half_way_to_their_neighbours() -> None:
    frame = Pipeline(20, 100, fit="stretch").frame(20, 100)

    # Columns 1, 4 and 8 are centred at 15, 45 and 85; the usual step is 35.
    boxes = draw.place_characters(read("0O0", [1, 4, 8], 10, frame), grey(20, 100))

    assert [(x0, x1) for x0, _, x1, _ in boxes] == [(0, 30), (30, 65), (65, 100)]
    assert {(y0, y1) for _, y0, _, y1 in boxes} == {(0, 20)}


def test_boxes_do_not_reach_across_a_wide_gap() -> None:
    frame = Pipeline(20, 200, fit="stretch").frame(20, 200)

    # Centred at 25, 45 and 65, then at 175: 1.3 times the usual step of 20 at most.
    boxes = draw.place_characters(read("0O0O", [2, 4, 6, 17], 20, frame), grey(20, 200))

    assert [(round(x0), round(x1)) for x0, _, x1, _ in boxes[2:]] == [(55, 78), (162, 185)]


def test_boxes_on_a_page_lie_in_the_lines_of_their_characters() -> None:
    pieces = (Piece(10, 0, 50, 20, 0, 0), Piece(0, 40, 40, 60, 44, 0))
    frame = Frame((60, 50), (20, 84), (1.0, 1.0), (0.0, 0.0), (20, 84), pieces)

    # Two columns in each line, 20 pixels apart; columns are 4 pixels wide.
    boxes = draw.place_characters(read("0O0O", [2, 7, 13, 18], 21, frame), grey(60, 50))

    assert [(y0, y1) for _, y0, _, y1 in boxes] == [(0, 20), (0, 20), (40, 60), (40, 60)]
    assert all(10 <= x0 < x1 <= 50 for x0, _, x1, _ in boxes[:2])
    assert all(0 <= x0 < x1 <= 40 for x0, _, x1, _ in boxes[2:])


def test_room_for_the_characters_is_added_only_where_there_is_none() -> None:
    picture = grey(100, 100)
    characters = [Character("A", 0.99, 10, 40)]

    above = draw.draw_boxes(picture, characters)
    inside = draw.draw_boxes(picture, characters, boxes=[(10, 50, 40, 80)])

    assert above.shape[0] > 300
    assert inside.shape[:2] == (300, 300)


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_boxes_change_the_picture_only_at_their_edges(ground: int) -> None:
    picture = Picture.from_array(np.full((100, 100, 3), ground, np.uint8))

    drawn = draw.draw_boxes(
        picture,
        [Character("A", 0.99), Character("B", 0.2)],
        boxes=[(10, 50, 40, 80), (50, 50, 80, 80)],
    )

    assert (drawn[180:210, 60:90] == ground).all()
    for confidence, x in ((0.99, 31), (0.2, 151)):
        assert tuple(drawn[200, x]) == confidence_color(confidence)


@pytest.mark.parametrize("text", ["", "0", "0O0O0O0O0O"])
def test_any_number_of_characters_is_drawn(text: str) -> None:
    frame = Pipeline(8, 8, fit="stretch").frame(8, 8)
    reading = read(text, list(range(len(text))), 10, frame)

    assert draw.draw_alignment(grey(8, 8), reading, "0O").ndim == 3
    assert draw.draw_boxes(grey(8, 8), reading.characters).ndim == 3


@pytest.mark.parametrize(
    ("character", "written", "reason"),
    [
        ("A", "A", "itself"),
        (" ", "␣", "a space would be invisible"),
        ("\x01", "0001", "a control character has no shape"),
        ("\ue000", "E000", "nor has one of private use"),
    ],
)
def test_every_character_is_made_visible(character: str, written: str, reason: str) -> None:
    assert lettering.visible(character) == written, reason


@pytest.mark.parametrize("character", ["A", "流", "\U0001f600", "\U00016a6e", "\ufffe", "\n"])
def test_every_character_leaves_a_mark(character: str) -> None:
    image = PILImage.new("RGB", (60, 40), (255, 255, 255))

    lettering.write(ImageDraw.Draw(image), (30, 20), character, 20, (0, 0, 0))

    assert np.asarray(image).min() < 128
    assert lettering.measure(character, 20) > 0
