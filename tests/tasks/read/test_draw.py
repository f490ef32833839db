from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw

from foveal import lettering
from foveal.pipeline import Pipeline
from foveal.tasks.read.canvas import fit
from foveal.tasks.read.characters import Character
from foveal.tasks.read.prediction import Reading
from foveal.types import Frame, Image, Labels, Picture, Piece

ANSWER, RIVAL, UNSEEN = (17, 82, 200), (222, 84, 20), (214, 216, 222)
# Beside the picture on the sheet, on the right; heights of a row of the heat map and the legend.
MARGIN, ROW, LEGEND = 14, 22, 30


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
    return reading_of(text, np.log(shares), spans, frame, alphabet)


def reading_of(
    text: str,
    log_probabilities: NDArray[np.float32],
    spans: tuple[tuple[int, int], ...],
    frame: Frame,
    alphabet: str,
) -> Reading:
    characters = tuple(Character(character, 1.0, 0.0, 1.0) for character in text)
    labels = Labels(tuple(alphabet))
    return Reading(
        1.0, False, characters, None, None, log_probabilities, None, spans, frame, labels
    )


def across(sheet: Image, color: tuple[int, int, int], picture_width: int) -> list[int]:
    """The x of the pixels of a colour in the heat map, from the left edge of the picture."""
    left = sheet.shape[1] - MARGIN - picture_width
    found = np.flatnonzero((sheet[:-LEGEND] == color).all(axis=2).any(axis=0)) - left
    return [int(x) for x in found]


def test_a_column_stands_under_the_place_that_it_looked_at() -> None:
    # 100 x 20 pixels are enlarged eight times; ten columns of ten pixels.
    frame = Pipeline(20, 100, fit="stretch").frame(20, 100)

    sheet = read("O", [3], 10, frame).draw(grey(20, 100))

    assert across(sheet, ANSWER, 800) == list(range(240, 320))


def test_columns_in_the_padding_are_cut() -> None:
    # The input is 40 wide, the picture lies in its pixels 10 to 30: columns 1 and 2 of 4.
    picture, frame = grey(20, 20), Pipeline(20, 40).frame(20, 20)

    inside = read("O", [1], 4, frame).draw(picture)
    beside = read("O", [0], 4, frame).draw(picture)

    # 18 times as large, on a sheet as wide as its legend: 400 pixels.
    assert across(inside, ANSWER, 400) == list(range(180))
    assert across(beside, ANSWER, 400) == []


def test_what_cropping_hid_is_shown_as_unseen() -> None:
    # Of 40 pixels the network got the middle 20.
    picture, frame = grey(20, 40), Pipeline(20, 20, fit="crop").frame(20, 40)

    sheet = read("O", [0], 4, frame).draw(picture)

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

    tall = replace(reading, log_probabilities=heard).draw(grey(20, 100))
    low = replace(reading, log_probabilities=hardly).draw(grey(20, 100))

    assert tall.shape[0] - low.shape[0] == ROW


def test_an_answer_that_only_a_grammar_made_likely_has_its_row() -> None:
    frame = Pipeline(20, 100, fit="stretch").frame(20, 100)
    reading = read("O", [3], 10, frame)
    unlikely = reading.log_probabilities.copy()
    unlikely[3] = np.log([0.98, 0.01, 0.01])

    sheet = replace(reading, log_probabilities=unlikely).draw(grey(20, 100))

    assert sheet.shape[0] == reading.draw(grey(20, 100)).shape[0]


def test_what_spoke_against_the_answer_has_another_colour() -> None:
    frame = Pipeline(20, 100, fit="stretch").frame(20, 100)
    reading = read("OO", [3, 6], 10, frame)
    answered_otherwise = reading_of("0O", reading.log_probabilities, reading.spans, frame, "0O")

    sheet = answered_otherwise.draw(grey(20, 100))

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
    assert fit(grey(height, width).pixels)[0].shape[:2] == shown, reason


def test_a_page_is_shown_as_the_strip_of_its_pieces() -> None:
    # A page of two lines, the lower one black, stands as one strip of 20 x 84 pixels.
    page = np.full((60, 50, 3), 250, np.uint8)
    page[40:60, 0:40] = 0
    pieces = (Piece(10, 0, 50, 20, 0, 0), Piece(0, 40, 40, 60, 44, 0))
    frame = Frame((60, 50), (20, 84), (1.0, 1.0), (0.0, 0.0), (20, 84), pieces)
    reading = read("0O", [0, 20], 21, frame)

    sheet = reading.draw(Picture.from_array(page))

    # Ten times: the upper line, the gap in the colour of the ground, the lower line.
    line = sheet[110, -MARGIN - 840 : -MARGIN, 0]
    assert [int(line[x]) for x in (0, 399, 420, 440, 839)] == [250, 250, 250, 0, 0]


@pytest.mark.parametrize("text", ["", "0", "0O0O0O0O0O"])
def test_any_number_of_characters_is_drawn(text: str) -> None:
    frame = Pipeline(8, 8, fit="stretch").frame(8, 8)
    reading = read(text, list(range(len(text))), 10, frame)

    assert reading.draw(grey(8, 8)).ndim == 3


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
