import pytest
from PIL import Image as PILImage

from foveal.synth.glyphs import paste


def page_with(x: float, y: float, cover: int) -> PILImage.Image:
    """Return a page of 5 x 3 pixels, (200, 100, 0), with 3 x 3 pixels of ink on it."""
    page = PILImage.new("RGB", (5, 3), (200, 100, 0))
    paste(page, PILImage.new("L", (3, 3), cover), x, y, (10, 20, 30))
    return page


@pytest.mark.parametrize(
    ("cover", "expected"),
    [
        pytest.param(0, (200, 100, 0), id="no ink leaves the page as it is"),
        pytest.param(255, (10, 20, 30), id="full ink is the colour itself"),
        # A fifth of the way: 200 - 38, 100 - 16, 0 + 6.
        pytest.param(51, (162, 84, 6), id="thin ink lets the page through"),
    ],
)
def test_ink_covers_the_page_as_its_mask_says(cover: int, expected: tuple[int, int, int]) -> None:
    assert page_with(2.5, 1.5, cover).getpixel((2, 1)) == expected


@pytest.mark.parametrize(
    ("x", "y", "box"),
    [
        pytest.param(2.5, 1.5, (1, 0, 4, 3), id="inside"),
        pytest.param(0.5, 0.5, (0, 0, 2, 2), id="over the upper left corner"),
        pytest.param(4.5, 2.5, (3, 1, 5, 3), id="over the lower right corner"),
        pytest.param(-9.0, 1.5, None, id="beside the page"),
        pytest.param(2.5, 99.0, None, id="under the page"),
    ],
)
def test_ink_outside_the_page_is_cut_off(
    x: float, y: float, box: tuple[int, int, int, int] | None
) -> None:
    # The ink alone has blue.
    assert page_with(x, y, 255).getchannel("B").getbbox() == box
