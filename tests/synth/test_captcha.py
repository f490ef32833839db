import secrets
import sys
from typing import Any

import captcha.image
import numpy as np
import pytest
from drawn import draw_all
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from foveal.errors import MissingExtraError
from foveal.extras import install_extra
from foveal.synth import CAPTCHA, make_kind
from foveal.synth import captcha as module
from foveal.synth.chance import random_for
from foveal.synth.fonts import find_fonts


def test_the_defaults_are_those_of_the_published_sets() -> None:
    drawn = list(draw_all(CAPTCHA, 0, range(40), workers=1))

    assert {d.pixels.shape for d in drawn} == {(80, 170, 3)}
    assert {len(d.raw[0]) for d in drawn} == {4}
    # 160 draws from 36: nearly all appear.
    assert len({c for d in drawn for c in d.raw[0]}) > 30


def test_a_range_of_lengths_is_drawn_evenly() -> None:
    kind = make_kind("captcha", {"length": "4..6"})
    lengths = [len(kind.target(0, index)[0]) for index in range(600)]
    # 200 of each; the standard deviation is 11.5.
    assert all(150 < lengths.count(length) < 250 for length in (4, 5, 6))
    assert len(set(lengths)) == 3


def test_characters_are_drawn_evenly() -> None:
    kind = make_kind("captcha", {"alphabet": "AB", "length": "10"})
    text = "".join(kind.target(0, index)[0] for index in range(100))
    # 500 of 1000; the standard deviation is 16.
    assert 420 < text.count("A") < 580


def test_favoured_characters_are_drawn_by_their_weights_beside_all_others() -> None:
    kind = make_kind("captcha", {"alphabet": "ABCD", "length": "10"})
    favouring = kind.favouring({"A": 30, "D": 10, "?": 5, "B": 0}, 0.4)
    text = "".join(favouring.target(0, index)[0] for index in range(400))
    # 4,000 in all: 15 % each, and of the other 40 % three quarters A and one D.
    expected = {"A": 0.45, "B": 0.15, "C": 0.15, "D": 0.25}
    for character, share in expected.items():
        assert text.count(character) / 4000 == pytest.approx(share, abs=0.04)


def test_a_picture_shows_the_favoured_text_that_its_target_says() -> None:
    kind = CAPTCHA.prepared().favouring({"0": 1, "O": 1}, 0.9)
    drawn = [kind.draw(3, index) for index in range(5)]
    assert [one.raw for one in drawn] == [kind.target(3, index) for index in range(5)]
    assert {c for one in drawn for c in one.raw[0]} >= {"0", "O"}


def test_without_anything_to_favour_the_texts_are_the_same() -> None:
    texts = [CAPTCHA.target(1, index) for index in range(20)]
    assert texts == [CAPTCHA.favouring({}, 0.3).target(1, index) for index in range(20)]


def test_it_draws_what_the_package_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without gaps, which are drawn by another lot, the same numbers give the same picture.
    package = module._package()
    monkeypatch.setattr(package.module.ImageCaptcha, "word_space_probability", 1.0)
    kind = CAPTCHA.prepared()
    for index in range(40):
        ours = kind.draw(3, index)

        rng = random_for(3, index)
        text = kind._text(rng)
        package.chance.use(rng)
        theirs = package.module.ImageCaptcha(170, 80).generate_image(text)
        assert ours.raw == (text,)
        assert np.array_equal(ours.pixels, np.asarray(theirs))


def test_a_gap_is_as_wide_as_the_packages_and_as_empty() -> None:
    painter = captcha.image.ImageCaptcha(170, 80)
    canvas = ImageDraw.Draw(PILImage.new("RGB", (170, 80)))
    gaps = {module._gap(font).size for font in painter.truefonts}
    theirs = [painter._draw_character(" ", canvas, (0, 0, 0, 255)) for _ in range(30)]
    assert {gap.size for gap in theirs} == gaps
    assert all(gap.getbbox() is None for gap in theirs)


def test_the_package_itself_stays_as_it_was() -> None:
    CAPTCHA.prepared().draw(0, 0)
    assert captcha.image.secrets is secrets
    assert module._package().module is not captcha.image


def glyph(character: str, height: int) -> np.ndarray[Any, Any]:
    """Return the ink of a character in the package's font, cut out."""
    font = ImageFont.truetype(captcha.image.DEFAULT_FONTS[0], height)
    mask = PILImage.new("L", (2 * height, 2 * height))
    ImageDraw.Draw(mask).text((height // 2, height // 4), character, 255, font=font)
    return np.asarray(mask.crop(mask.getbbox()).resize((24, 36)), np.float32)


def test_what_is_labelled_is_what_is_drawn() -> None:
    kind = make_kind("captcha", {"plain": "true", "width": "400", "alphabet": "ACEHKRTX479"})
    templates = {c: glyph(c, 50) for c in kind.alphabet}
    for drawn in draw_all(kind, 1, range(25), workers=1):
        ink = drawn.pixels[..., 0] < 192
        columns = np.flatnonzero(np.diff(np.pad(ink.any(axis=0), 1).astype(int)))
        read = ""
        for start, end in columns.reshape(-1, 2):
            rows = np.flatnonzero(ink[:, start:end].any(axis=1))
            cut = ink[rows[0] : rows[-1] + 1, start:end]
            blob = np.asarray(PILImage.fromarray(cut).convert("L").resize((24, 36)), np.float32)
            read += min(templates, key=lambda c: float(np.abs(templates[c] - blob).mean()))
        assert (read,) == drawn.raw


@pytest.mark.parametrize("options", [{}, {"length": "2", "width": "120"}, {"length": "6"}])
def test_a_plain_text_ends_within_the_picture(options: dict[str, str]) -> None:
    kind = make_kind("captcha", {"plain": "true", **options})
    for drawn in draw_all(kind, 1, range(10), workers=1):
        assert (drawn.pixels[:, [0, -1]] == 255).all(), drawn.raw


def test_other_fonts_change_the_picture_and_not_the_text() -> None:
    sans = next(p for p in find_fonts("A") if p.name == "DejaVuSans.ttf")
    own, other = CAPTCHA.prepared(), make_kind("captcha", {"fonts": str(sans)}).prepared()
    assert own.draw(0, 0).raw == other.draw(0, 0).raw
    assert own.draw(0, 0).pixels.tobytes() != other.draw(0, 0).pixels.tobytes()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module._package.cache_clear()
    # None in sys.modules is how the import system remembers that there is no such module.
    monkeypatch.setitem(sys.modules, "captcha", None)
    monkeypatch.delitem(sys.modules, "captcha.image", raising=False)
    with pytest.raises(MissingExtraError, match="captcha") as caught:
        CAPTCHA.prepared()
    assert caught.value.hint == install_extra("synth")
