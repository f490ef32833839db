import re
from collections import Counter

import numpy as np
import pytest
from drawn import draw_all
from reading import Mask, Signs, cut, runs

from foveal.errors import DataError
from foveal.fonts import MAIN_FONT
from foveal.synth import FORMULA, fonts, make_kind
from foveal.synth.expressions import FOUR, HAN

ASSIGNMENT = re.compile("(.)=([1-9][0-9]*);")
FRACTION = re.compile("(.)/([1-9][0-9]*)")
TEXTS = [FORMULA.target(0, index)[0] for index in range(600)]


def expression_of(text: str) -> str:
    return text.rpartition(";")[2]


def test_one_or_two_names_are_given_values_and_all_are_used() -> None:
    counts = Counter()
    for text in TEXTS:
        assignments = text.removesuffix(expression_of(text))
        names = [name for name, _ in ASSIGNMENT.findall(assignments)]
        assert ASSIGNMENT.sub("", assignments) == ""
        assert set(names) == set(expression_of(text)) & set(HAN)
        counts[len(names), len(set(names))] += 1
    # A third has one name; the standard deviation is 12.
    assert set(counts) == {(1, 1), (2, 2)}
    assert 150 < counts[1, 1] < 250


def test_there_are_four_operators_one_of_which_is_a_fraction_under_a_name() -> None:
    for text in map(expression_of, TEXTS):
        assert len(re.findall(r"[-+*/]", text)) == 4
        ((numerator, _),) = FRACTION.findall(text)
        assert numerator in HAN


def test_brackets_follow_the_eleven_patterns_evenly() -> None:
    patterns = Counter()
    for text in map(expression_of, TEXTS):
        operands = re.sub(rf"[{HAN}]|[0-9]+", "A", FRACTION.sub("A", text))
        patterns[re.sub(r"[-+*]", "o", operands)] += 1
    assert set(patterns) == set(FOUR)
    assert len(FOUR) == 11
    # 55 of each; the standard deviation is 7.
    assert min(patterns.values()) > 25


def test_numbers_are_from_one_to_a_hundred_thousand() -> None:
    numbers = [number for text in TEXTS for number in re.findall("[0-9]+", text)]
    assert not any(number.startswith("0") for number in numbers)
    assert max(map(int, numbers)) <= 100_000
    # Short ones are not rare: half are as often short as long.
    assert {len(number) for number in numbers} >= {1, 2, 3, 4, 5}


def test_pages_have_the_sizes_of_the_published_sets() -> None:
    shapes = [d.pixels.shape[:2] for d in draw_all(FORMULA, 0, range(24), workers=1)]
    assert {width for _, width in shapes} == {800, 1600, 2400, 3200, 4000}
    assert all(max(400, width / 5) <= height <= 1000 for height, width in shapes)


def test_width_and_height_can_be_chosen() -> None:
    kind = make_kind("formula", {"width": "640", "height": "320"}).prepared()
    assert kind.draw(0, 0).pixels.shape == (320, 640, 3)


def test_the_expression_reaches_over_most_of_the_page() -> None:
    for width in (800, 1600, 2400, 3200, 4000):
        kind = make_kind("formula", {"width": str(width), "plain": "true"}).prepared()
        for index in range(4):
            ink = cut(kind.draw(0, index).pixels[..., 0] < 128)
            assert ink.shape[1] > 0.45 * width


def read_block(ink: Mask, height: int, signs: Signs) -> str:
    """Return one sign, or a fraction: something over a bar over digits."""
    ink = cut(ink)
    bars = [(a, b) for a, b in runs(ink.any(axis=1)) if cut(ink[a:b]).shape[1] > 6 * (b - a)]
    if ink.shape[0] < 1.3 * height or not bars:
        return signs.name(ink)
    top, bottom = bars[0]
    return f"{signs.name(ink[:top])}/{signs.line(ink[bottom:])}"


def read_page(ink: Mask, signs: Signs) -> str:
    """Return the text of a plain page."""
    # The dot over a character may be free of the rest by some pixels.
    (first, last), *_ = lines = runs(ink.any(axis=1), gap=16)
    height = last - first
    text = ""
    for start, end in lines:
        # The parts of a Han character are nearer to each other than two signs are.
        blocks = runs(ink[start:end].any(axis=0), gap=round(0.28 * height))
        text += "".join(read_block(ink[start:end, a:b], height, signs) for a, b in blocks)
    return text


def test_what_is_labelled_is_what_is_drawn() -> None:
    options = {"plain": "true", "width": "2400", "height": "800"}
    kind = make_kind("formula", options).prepared()
    signs = Signs({kind.name_files[0]: HAN, kind.sign_files[0]: "0123456789+*()=;"})
    read = {}
    for drawn in draw_all(kind, 0, range(30), workers=1):
        read[drawn.raw[0]] = read_page(drawn.pixels[..., 0] < 128, signs)
    assert read == {text: text for text in read}
    assert len(read) == 30


def test_signs_stand_out_from_the_paper() -> None:
    for drawn in draw_all(FORMULA, 0, range(6), workers=1):
        grey = drawn.pixels.mean(axis=2)
        paper = float(np.median(grey))
        assert paper > 150
        assert float((grey < paper - 50).mean()) > 0.005


def test_without_a_chinese_font_the_package_to_install_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fonts, "font_folders", lambda: [MAIN_FONT.parent])
    with pytest.raises(DataError, match="No font on this machine") as caught:
        FORMULA.prepared()
    assert caught.value.hint == "apt-get install fonts-noto-cjk"
