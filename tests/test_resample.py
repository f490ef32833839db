"""Pictures are resampled by the definition, to the last bit, whatever Pillow does."""

from __future__ import annotations

import json
import logging
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage

from foveal import resample
from foveal.data.rgb import to_rgb
from foveal.resample import Span, noise, resized, windowed
from foveal.types import Image, Picture
from foveal.windows import scaled

VECTORS = Path(__file__).parent / "vectors"
SIDES = st.one_of(st.integers(1, 6), st.integers(1, 400))
PICTURES = st.builds(
    lambda seed, height, width, stark: picture(seed, height, width, stark=stark),
    st.integers(0, 2**32),
    SIDES,
    SIDES,
    st.booleans(),
)


def picture(seed: int, height: int, width: int, *, stark: bool = False) -> Image:
    grey = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return np.where(grey > 127, np.uint8(255), np.uint8(0)) if stark else grey


@pytest.fixture
def looked_anew() -> Iterator[None]:
    """Let Pillow be compared within the test, and again after it."""
    resample._looked_at.cache_clear()
    yield
    resample._looked_at.cache_clear()


def by_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "_pillow_agrees", lambda: False)


def grey(*values: int) -> Image:
    return np.array([[[value] * 3 for value in values]], np.uint8)


@pytest.mark.usefixtures("looked_anew")
def test_the_installed_pillow_resamples_as_defined(caplog: pytest.LogCaptureFixture) -> None:
    assert resample._pillow_agrees(), f"Pillow {PIL.__version__} differs: see docs/bundle-format.md"
    assert not caplog.records


@settings(deadline=None, max_examples=400)
@given(PICTURES, SIDES, SIDES)
@example(picture(0, 1, 1), 1, 400)
@example(picture(0, 400, 1), 1, 1)
@example(picture(0, 1, 400), 400, 1)
@example(picture(1, 400, 300), 16, 12)
@example(picture(2, 400, 9), 10, 8)
def test_pillow_gives_every_bit_of_the_definition(pixels: Image, height: int, width: int) -> None:
    fast = resized(pixels, height, width)
    with pytest.MonkeyPatch.context() as patched:
        by_definition(patched)
        exact = resized(pixels, height, width)
    np.testing.assert_array_equal(fast, exact)
    assert exact.shape == (height, width, 3)
    if PIL.__version__ >= "13":
        # Older ones take the sides in another order, and so round otherwise.
        at_once = PILImage.fromarray(pixels).resize(
            (width, height), PILImage.Resampling.BILINEAR, reducing_gap=3.0
        )
        np.testing.assert_array_equal(exact, np.asarray(at_once))


@settings(deadline=None, max_examples=100)
@given(PICTURES, st.floats(0.003, 0.999))
def test_windows_have_every_bit_of_the_definition(pixels: Image, scale: float) -> None:
    small = scaled(Picture.from_array(pixels), scale)
    fast = small.read(0, 0, small.height, small.width)
    with pytest.MonkeyPatch.context() as patched:
        by_definition(patched)
        exact = small.read(0, 0, small.height, small.width)
    np.testing.assert_array_equal(fast, exact)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Halves are rounded up.
        (grey(0, 255), grey(128)),
        # A triangle of 3 pixels to each side: weights 2/3, 1, 2/3, so (2 * 0 + 300 + 510) / 7.
        (grey(0, 100, 255), grey(116)),
        # Enlarged: centres at 0.25, 0.75, 1.25 and 1.75; at the ends only one pixel is seen.
        (grey(0, 200), grey(0, 50, 150, 200)),
        # Nine to one: the means of three cells, 1, 4 and 7, then the filter.
        (grey(0, 1, 2, 3, 4, 5, 6, 7, 8), grey(4)),
    ],
)
def test_what_is_known_by_hand(
    before: Image, after: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.testing.assert_array_equal(resized(before, 1, after.shape[1]), after)
    np.testing.assert_array_equal(
        resized(before.transpose(1, 0, 2), after.shape[1], 1), after.transpose(1, 0, 2)
    )
    by_definition(monkeypatch)
    np.testing.assert_array_equal(resized(before, 1, after.shape[1]), after)


def test_cells_at_the_edge_are_means_of_what_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    by_definition(monkeypatch)
    # 7 columns to 1: cells of two, the last of one; it counts less, as the picture ends within it.
    first = resample._by_definition(grey(10, 20, 30, 41, 50, 60, 70), (1, 2), [])
    np.testing.assert_array_equal(first, grey(15, 36, 55, 70))


def test_a_large_picture_is_reduced_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    by_definition(monkeypatch)
    pixels = picture(3, 90, 70)
    whole = resized(pixels, 8, 6)
    monkeypatch.setattr(resample, "_BAND_VALUES", 400)
    np.testing.assert_array_equal(resized(pixels, 8, 6), whole)


class Differs:
    """A Pillow that gives one grey level more somewhere."""

    def __init__(self, method: Any) -> None:
        self.method = method

    def __call__(self, image: PILImage.Image, *args: Any, **options: Any) -> PILImage.Image:
        pixels = np.array(self.method(image, *args, **options))
        pixels[0, 0] ^= 1
        return PILImage.fromarray(pixels)


@pytest.mark.usefixtures("looked_anew")
@pytest.mark.parametrize("name", ["resize", "reduce"])
def test_a_pillow_that_differs_changes_no_bit(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = picture(4, 200, 90)
    rows, columns = Span(1.5, 100.0, 20), Span(0.25, 80.0, 30)
    expected = resized(pixels, 20, 9), windowed(pixels, rows, columns)
    differs = Differs(getattr(PILImage.Image, name))
    monkeypatch.setattr(PILImage.Image, name, lambda *a, **k: differs(*a, **k))
    resample._looked_at.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            np.testing.assert_array_equal(resized(pixels, 20, 9), expected[0])
            np.testing.assert_array_equal(windowed(pixels, rows, columns), expected[1])
    assert [record.name for record in caplog.records] == ["foveal.resample"]
    assert "resamples pictures differently" in caplog.text


@pytest.mark.parametrize("engine", ["Pillow", "definition"])
def test_resampling_gives_the_published_vectors(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "definition":
        by_definition(monkeypatch)
    computed = runpy.run_path(str(VECTORS / "make.py"))["results"]()
    published = json.loads((VECTORS / "resample.json").read_text())
    # Through JSON: spans become lists.
    assert json.loads(json.dumps(computed)) == published


DECODED = json.loads((VECTORS / "decode.json").read_text())["decode"]


@pytest.mark.parametrize("case", DECODED, ids=[case["name"] for case in DECODED])
def test_files_are_decoded_to_the_published_pixels(case: dict[str, Any]) -> None:
    assert runpy.run_path(str(VECTORS / "make.py"))["decoded"](case) == case


def test_every_transparency_is_laid_over_white_as_defined() -> None:
    level, alpha = np.mgrid[0:256, 0:256]
    pixels = np.stack([level, level, level, alpha], axis=2).astype(np.uint8)
    total = level * alpha + 255 * (255 - alpha) + 128
    expected = (total + (total >> 8)) >> 8
    over_white = np.asarray(to_rgb(PILImage.fromarray(pixels)))
    np.testing.assert_array_equal(over_white, np.stack([expected] * 3, axis=2))


def test_noise_is_the_same_in_any_language() -> None:
    assert noise(0, 1, 1).tolist() == [[[1_013_904_223 >> 24, 71, 209]]]
