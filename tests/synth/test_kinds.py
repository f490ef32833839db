import pytest

from foveal.errors import UsageError
from foveal.synth import CAPTCHA, KINDS, make_kind
from foveal.synth.captcha import Captcha

every_kind = pytest.mark.parametrize("name", KINDS)


@every_kind
def test_a_kind_is_known_by_its_own_name(name: str) -> None:
    assert KINDS[name].name == name
    assert KINDS[name].task in ("classify", "read")
    assert KINDS[name].description


@every_kind
def test_a_picture_is_a_function_of_seed_and_index(name: str) -> None:
    kind = KINDS[name].prepared()
    first = kind.draw(3, 4)

    # Another picture in between must leave no trace.
    kind.draw(3, 5)
    again = kind.draw(3, 4)
    assert again.raw == first.raw
    assert again.pixels.tobytes() == first.pixels.tobytes()


@every_kind
def test_no_two_pictures_of_a_stream_are_the_same(name: str) -> None:
    kind = KINDS[name].prepared()
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len({kind.draw(seed, index).pixels.tobytes() for seed, index in pairs}) == 4


@every_kind
def test_a_target_is_known_without_drawing(name: str) -> None:
    kind = KINDS[name].prepared()
    assert kind.draw(11, 2).raw == kind.target(11, 2) == KINDS[name].target(11, 2)


@every_kind
def test_targets_keep_to_the_alphabet(name: str) -> None:
    kind = KINDS[name]
    used = {c for index in range(200) for c in kind.target(0, index)[0]}
    assert used <= set(kind.alphabet)
    assert list(kind.alphabet) == sorted(set(kind.alphabet))


@every_kind
def test_pictures_are_rgb_bytes(name: str) -> None:
    pixels = KINDS[name].prepared().draw(0, 0).pixels
    assert pixels.dtype.name == "uint8"
    assert pixels.shape[2:] == (3,)


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
