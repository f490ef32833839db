"""Measures of a picture: sharpness, brightness, information, colour, border."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFilter

from foveal.data.hashing import shrunk
from foveal.data.measures import MEASURES, measure, measure_parts, sharpness
from foveal.types import Picture


def discs(seed: int = 0, size: int = 128) -> PILImage.Image:
    """Return a picture with edges in all directions."""
    rng = np.random.default_rng(seed)
    image = PILImage.new("RGB", (size, size), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(30):
        x, y, r = (int(v) for v in rng.integers(0, size, 3))
        box = (x - r / 4, y - r / 4, x + r / 4, y + r / 4)
        draw.ellipse(box, fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


def measured(image: PILImage.Image) -> dict[str, float]:
    pixels = np.array(image.convert("RGB"))
    values = measure(Picture.from_array(pixels), shrunk(pixels))
    return dict(zip(MEASURES, values.tolist(), strict=True))


def grey(image: PILImage.Image) -> NDArray[np.uint8]:
    return np.array(image.convert("L"))


def test_one_step_between_two_tones_is_as_sharp_as_can_be() -> None:
    page = np.full((64, 64), 255, np.uint8)
    page[10:50, 20:24] = 0
    assert sharpness(page) == 1


@pytest.mark.parametrize(
    ("radius", "low", "high"), [(1, 0.33, 0.5), (2, 0.2, 0.35), (4, 0.1, 0.25)]
)
def test_a_blurred_edge_is_less_steep(radius: float, low: float, high: float) -> None:
    assert low < sharpness(grey(discs().filter(ImageFilter.GaussianBlur(radius)))) < high


def test_contrast_does_not_count() -> None:
    picture = grey(discs())
    pale = (200 + picture // 5).astype(np.uint8)
    assert sharpness(pale) == pytest.approx(sharpness(picture), abs=0.1)


def test_the_blocks_of_jpeg_are_no_edges() -> None:
    file = io.BytesIO()
    discs().filter(ImageFilter.GaussianBlur(4)).save(file, "JPEG", quality=10)
    assert sharpness(grey(PILImage.open(file))) < 0.3


def test_without_an_edge_there_is_no_sharpness() -> None:
    assert sharpness(np.full((64, 64), 90, np.uint8)) == 0


def test_without_a_whole_block_the_sharpness_is_unknown() -> None:
    assert np.isnan(sharpness(np.full((7, 100), 90, np.uint8)))


def test_a_picture_decoded_too_small_has_no_sharpness() -> None:
    pixels = np.array(discs())
    few = Picture(pixels, height=1280, width=1280)
    assert np.isnan(measure(few, shrunk(pixels))[MEASURES.index("sharpness")])
    assert measured(discs())["sharpness"] > 0.5


def test_thin_ink_on_paper_is_dark_enough() -> None:
    page = PILImage.new("RGB", (128, 128), "white")
    ImageDraw.Draw(page).line((10, 60, 110, 70), fill="black")
    found = measured(page)
    assert (found["highlight"], found["shadow"]) == (1, 0)
    assert found["brightness"] > 0.95


def test_brightness_and_information_of_a_flattened_picture() -> None:
    flat = discs().point(lambda level: 100 + level // 10)
    found, clean = measured(flat), measured(discs())
    assert 100 / 255 <= found["shadow"] <= found["highlight"] <= 126 / 255
    assert found["information"] < 0.2 * clean["information"]


def test_colour_border_and_background() -> None:
    boxed = PILImage.new("RGB", (128, 128), (200, 10, 30))
    boxed.paste(discs().crop((0, 0, 128, 96)), (0, 16))
    found = measured(boxed)
    assert found["border"] == pytest.approx(0.25, abs=0.02)
    assert measured(discs().convert("L"))["colorfulness"] == 0
    assert found["colorfulness"] > 20
    plain = measured(PILImage.new("RGB", (40, 40), (200, 10, 30)))
    assert [plain[name] * 255 for name in ("red", "green", "blue")] == pytest.approx([200, 10, 30])
    assert plain["border"] == 1


def test_a_picture_of_a_few_pixels_is_measured() -> None:
    found = measured(PILImage.new("RGB", (3, 2), (255, 255, 255)))
    assert np.isnan(found["sharpness"])
    assert found["highlight"] == found["brightness"] == 1
    assert found["information"] == 0


def test_a_picture_in_parts_is_sharp_at_full_scale() -> None:
    large = Picture.from_array(np.array(discs(size=900)))
    look = np.ascontiguousarray(large.pixels[::8, ::8])
    values = measure_parts(large, look, shrunk(look))
    assert values[MEASURES.index("sharpness")] == 1
