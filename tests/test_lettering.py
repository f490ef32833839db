"""Text of any script on pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageFont

from foveal import fonts, lettering
from foveal.lettering import text_font
from foveal.render import contact_sheet


def captioned(caption: str) -> np.ndarray:
    return contact_sheet([np.full((32, 32, 3), 200, np.uint8)], [caption], columns=1)


def test_captions_of_other_scripts_are_legible() -> None:
    # A font without these letters draws the same box for each of them.
    assert not np.array_equal(captioned("Ж"), captioned("Ω"))
    assert not np.array_equal(captioned("жук"), captioned("кук"))


def test_letters_and_signs_need_no_font_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "font_folders", lambda: [])
    monkeypatch.setattr(lettering, "_system_fonts", tuple)
    assert all(fonts.can_draw(fonts.MAIN_FONT, c) for c in "aZ09éßŁЖΩ×÷−√≤π∑␣")
    for character in "Ж∑":
        width = lettering.measure(character, 24)
        assert width == lettering.plain_font(24).getlength(character)


def test_plain_text_needs_no_look_at_the_fonts_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look(character: str) -> None:
        raise AssertionError(f"looked for a font for {character!r}")

    monkeypatch.setattr("foveal.lettering._find_font", look)
    assert text_font("cat 98.1 %", 12) is not None


def test_one_font_draws_the_whole_line_where_there_is_one() -> None:
    font = text_font("Ωж é", 12)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert font.getmask("Ω").getbbox() != font.getmask("\uffff").getbbox()


def test_characters_that_no_font_has_do_not_stop_a_caption() -> None:
    assert captioned("\U0010fffd\x07").shape == captioned("a").shape
