import re
from collections import Counter

import numpy as np
import pytest
from drawn import draw_all
from reading import Signs

from foveal.errors import DataError
from foveal.synth import ARITHMETIC, fonts, make_kind

DIGIT, OPERATOR = "[0-9]", "[-+*]"
FORMS = [
    re.compile(f"{DIGIT}{OPERATOR}{DIGIT}{OPERATOR}{DIGIT}"),
    re.compile(rf"\({DIGIT}{OPERATOR}{DIGIT}\){OPERATOR}{DIGIT}"),
    re.compile(rf"{DIGIT}{OPERATOR}\({DIGIT}{OPERATOR}{DIGIT}\)"),
]


def test_texts_are_three_digits_two_operators_and_at_most_one_pair_of_brackets() -> None:
    texts = [ARITHMETIC.target(0, index)[0] for index in range(900)]
    forms = [sum(bool(form.fullmatch(text)) for text in texts) for form in FORMS]
    # 300 of each; the standard deviation is 14.
    assert sum(forms) == 900
    assert min(forms) > 230


def test_digits_and_operators_are_drawn_evenly() -> None:
    counts = Counter("".join(ARITHMETIC.target(0, index)[0] for index in range(1000)))
    # 300 of each digit, 667 of each operator; standard deviations 16 and 21.
    assert all(230 < counts[digit] < 370 for digit in "0123456789")
    assert all(560 < counts[operator] < 770 for operator in "+-*")


def test_pictures_have_the_size_that_was_asked_for() -> None:
    assert ARITHMETIC.prepared().draw(0, 0).pixels.shape == (60, 180, 3)
    wide = make_kind("arithmetic", {"width": "300", "height": "90"}).prepared()
    assert wide.draw(0, 0).pixels.shape == (90, 300, 3)


def test_what_is_labelled_is_what_is_drawn() -> None:
    kind = make_kind("arithmetic", {"plain": "true", "width": "360", "height": "120"}).prepared()
    signs = Signs({kind.font_files[0]: "0123456789+*()"})
    read = {}
    for drawn in draw_all(kind, 0, range(60), workers=1):
        read[drawn.raw[0]] = signs.line(drawn.pixels[..., 0] < 128)
    assert len(read) > 50
    assert read == {text: text for text in read}


def test_signs_stand_out_from_the_paper() -> None:
    for drawn in draw_all(ARITHMETIC, 0, range(30), workers=1):
        grey = drawn.pixels.mean(axis=2)
        paper = float(np.median(grey))
        assert paper > 150
        # Five signs of this size cover far more than the lines do.
        assert float((grey < paper - 50).mean()) > 0.03


def test_plain_fonts_are_drawn_with_unless_all_are_asked_for() -> None:
    few = ARITHMETIC.prepared().font_files
    every = make_kind("arithmetic", {"fonts": "all"}).prepared().font_files
    assert any(file.endswith("DejaVuSans.ttf") for file in few)
    assert set(few) < set(every)


def test_a_machine_without_fonts_is_told_what_to_install(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "font_folders", lambda: [tmp_path])
    with pytest.raises(DataError, match="No font on this machine"):
        ARITHMETIC.prepared()
