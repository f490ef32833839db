from pathlib import Path

import pytest

from foveal.errors import DataError
from foveal.fonts import MAIN_FONT, can_draw, font_folders
from foveal.synth.fonts import choose_fonts, find_fonts


def test_one_font_is_always_there() -> None:
    assert find_fonts("abc", font_folders()[:1]) == [MAIN_FONT]


def test_symbol_fonts_and_fonts_of_last_resort_are_passed_over() -> None:
    names = {p.name for p in find_fonts("abc")}
    # cmsy10 has arrows where letters belong; LastResort draws one box for all letters.
    assert "cmsy10.ttf" not in names
    assert "LastResortHE-Regular.ttf" not in names


def test_a_font_of_letters_alone_draws_no_brackets() -> None:
    # cmmi10 has harpoons where brackets belong.
    assert "cmmi10.ttf" in {p.name for p in find_fonts("abc")}
    assert "cmmi10.ttf" not in {p.name for p in find_fonts("0123456789()")}


def test_a_font_without_the_characters_is_passed_over() -> None:
    sans = next(p for p in find_fonts("a", font_folders()[:1]) if p.name == "DejaVuSans.ttf")
    assert can_draw(sans, "abcß")
    # Han characters are not in DejaVu: it shows its box for "missing".
    assert not can_draw(sans, "字")


def test_a_damaged_font_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"\x00\x01\x00\x00 not a font")

    with pytest.raises(DataError, match="No font on this machine") as caught:
        find_fonts("abc", [tmp_path])

    assert caught.value.hint is not None
    assert "fonts-dejavu" in caught.value.hint


def test_a_font_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"The font file .*mine\.ttf does not exist"):
        choose_fonts(str(tmp_path / "mine.ttf"), "abc")


def test_a_chosen_font_must_have_every_character() -> None:
    sans = next(p for p in find_fonts("a", font_folders()[:1]) if p.name == "DejaVuSans.ttf")

    assert choose_fonts(f"{sans}, {sans}", "abc") == [sans, sans]
    with pytest.raises(DataError, match="cannot draw all of 'a字'"):
        choose_fonts(str(sans), "a字")
