import pytest

from foveal.errors import UsageError
from foveal.synth import CAPTCHA, KINDS, make_kind
from foveal.synth.captcha import Captcha
from foveal.testing import check_synth


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_keeps_the_contract(name: str) -> None:
    check_synth(name)


def test_options_are_read_from_text() -> None:
    kind = make_kind(
        "captcha", {"length": "4..6", "width": "200", "alphabet": "BA", "plain": "yes"}
    )
    assert kind == Captcha(length=(4, 6), width=200, alphabet="AB", plain=True)


def test_no_options_leave_a_kind_as_it_is() -> None:
    assert make_kind("captcha", {}) == CAPTCHA


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'letters'"):
        make_kind("leters", {})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("lenght", "4", "Did you mean 'length'"),
        # Fields that are no options cannot be set from outside.
        ("font_files", "x.ttf", "Unknown option of captcha 'font_files'"),
        ("length", "6..4", "range such as 4..6"),
        ("length", "0", "range such as 4..6"),
        ("length", "4..", "range such as 4..6"),
        ("length", "-4", "range such as 4..6"),
        ("length", "9999", "from 1 to 32"),
        ("width", "12.5", "a whole number from 20 to 2000"),
        ("alphabet", "", "visible characters"),
        ("alphabet", "AAB", "each once"),
        ("alphabet", "A B", "visible characters"),
        ("plain", "maybe", "true or false"),
    ],
)
def test_a_wrong_option_says_what_was_expected(name: str, value: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        make_kind("captcha", {name: value})


@pytest.mark.parametrize("value", ["nan", "-1", "181", "much"])
def test_a_number_out_of_range_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="a number from 0 to 180"):
        make_kind("letters", {"rotation": value})


@pytest.mark.parametrize(
    ("name", "width", "height"),
    [
        ("captcha", 20, 20),
        ("captcha", 40, 1000),
        ("arithmetic", 60, 20),
        ("arithmetic", 60, 1000),
        ("arithmetic", 2000, 20),
        ("formula", 200, 100),
        ("formula", 8000, 100),
        ("formula", 200, 4000),
    ],
)
def test_the_oddest_sizes_can_be_drawn(name: str, width: int, height: int) -> None:
    kind = make_kind(name, {"width": str(width), "height": str(height)}).prepared()
    assert {kind.draw(0, index).pixels.shape for index in range(3)} == {(height, width, 3)}
