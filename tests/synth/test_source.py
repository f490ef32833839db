import numpy as np
import pytest

from foveal.data.decode import DecodeLimits
from foveal.errors import ImageTooLargeError, UsageError
from foveal.synth import CAPTCHA, is_synth, make_kind, open_synth

LIMITS = DecodeLimits(max_bytes=10**6, max_pixels=10**6)


def test_a_location_says_what_to_draw() -> None:
    source = open_synth("synth:captcha?count=5&length=2..3&seed=9&first=100")

    assert source.kind == make_kind("captcha", {"length": "2..3"}).prepared()
    assert (source.seed, source.first, source.count) == (9, 100, 5)
    assert source.location == "synth:captcha?count=5&length=2..3&seed=9&first=100"
    assert [s.id for s in source.samples] == [f"captcha/00000010{i}" for i in range(5)]
    assert [s.raw for s in source.samples] == [source.kind.target(9, 100 + i) for i in range(5)]


def test_a_kind_alone_is_enough() -> None:
    source = open_synth("synth:captcha")
    assert (source.seed, source.first, source.count) == (0, 0, 20_000)
    assert source.kind == CAPTCHA.prepared()


def test_signs_are_written_as_in_any_query() -> None:
    assert open_synth("synth:captcha?count=1&alphabet=1%2B2").kind.alphabet == "+12"


def test_loading_draws_the_sample_it_names() -> None:
    source = open_synth("synth:captcha?count=3&seed=4")
    loaded = source.load(source.samples[2], LIMITS)

    assert np.array_equal(loaded.picture.pixels, source.kind.draw(4, 2).pixels)
    assert loaded.digest == source.load(source.samples[2], LIMITS).digest
    assert loaded.digest != source.load(source.samples[1], LIMITS).digest


def test_limits_hold_for_drawn_pictures_too() -> None:
    source = open_synth("synth:captcha?count=1")
    with pytest.raises(ImageTooLargeError):
        source.load(source.samples[0], DecodeLimits(max_bytes=10**6, max_pixels=100))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("synth:capcha", "Did you mean 'captcha'"),
        ("synth:", "Unknown kind of pictures ''"),
        ("synth:captcha?lenght=4", "Did you mean 'length'"),
        ("synth:captcha?count=0", "Invalid count"),
        ("synth:captcha?count=many", "Invalid count"),
        ("synth:captcha?seed=-1", "Invalid seed"),
        ("synth:captcha?first=1000000000", "Invalid first"),
        ("synth:captcha?length", "Invalid source"),
        ("synth:captcha?length=4&length=5", "length is given twice"),
    ],
)
def test_a_wrong_location_is_explained(location: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        open_synth(location)


def test_only_locations_with_the_prefix_are_drawn() -> None:
    assert is_synth("synth:captcha")
    assert not is_synth("photos/synth:captcha")
