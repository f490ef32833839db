"""Drawings of masks and of mistakes: which pixels get which colour."""

from __future__ import annotations

import numpy as np
import pytest

from foveal.render.masks import palette
from foveal.tasks.segment.draw import (
    ERRORS_LEGEND,
    FALSE_COLOR,
    MISSED_COLOR,
    TRUE_COLOR,
    draw_errors,
    draw_mask,
)
from foveal.types import IGNORED, Image, Mask, Picture

NAMES = ("background", "cell", "fat")


def grey(height: int, width: int, shade: int = 200) -> Image:
    return np.full((height, width, 3), shade, np.uint8)


def tinted(color: tuple[int, int, int], shade: int = 200) -> list[int]:
    return [round(0.55 * shade + 0.45 * value) for value in color]


def block(size: int, value: int = 1) -> Mask:
    """A square of a label with 2 pixels of background around it."""
    mask = np.zeros((size + 4, size + 4), np.uint8)
    mask[2:-2, 2:-2] = value
    return mask


def test_a_label_tints_its_pixels_and_is_outlined_in_its_colour() -> None:
    mask = block(5)
    drawn = draw_mask(Picture.from_array(grey(9, 9)), mask, NAMES)
    color = palette(NAMES)[1]
    assert drawn[4, 4].tolist() == tinted(color)
    assert drawn[2, 4].tolist() == list(color)
    assert np.array_equal(drawn[mask == 0], grey(9, 9)[mask == 0])


def test_without_a_background_every_label_is_coloured() -> None:
    drawn = draw_mask(Picture.from_array(grey(9, 9)), block(5), ("bone", "cell"))
    assert drawn[0, 0].tolist() == tinted(palette(("bone", "cell"))[0])


def test_the_picture_itself_is_not_changed() -> None:
    pixels = grey(9, 9)
    draw_mask(Picture.from_array(pixels), block(5), NAMES)
    assert (pixels == 200).all()


@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_a_mask_fits_a_picture_of_any_size(factor: float) -> None:
    mask = block(16, 2)
    side = int(20 * factor)
    drawn = draw_mask(Picture.from_array(grey(side, side)), mask, NAMES)
    assert drawn.shape == (side, side, 3)
    assert drawn[side // 2, side // 2].tolist() == tinted(palette(NAMES)[2])
    assert drawn[0, 0].tolist() == [200] * 3


def test_a_picture_decoded_at_a_reduced_scale_is_drawn_in_original_pixels() -> None:
    picture = Picture(grey(10, 10), 20, 20)
    assert draw_mask(picture, block(16), NAMES).shape == (20, 20, 3)


def test_large_pictures_are_drawn_strip_by_strip_without_a_seam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    mask = np.kron(rng.integers(0, 3, (15, 16)), np.ones((100, 100))).astype(np.uint8)
    picture = Picture.from_array(grey(1500, 1600))
    whole = draw_mask(picture, mask, NAMES)

    def thin(height: int, width: int) -> list[tuple[int, int]]:
        return [(start, min(height, start + 7)) for start in range(0, height, 7)]

    monkeypatch.setattr("foveal.tasks.segment.draw.strips", thin)
    assert np.array_equal(draw_mask(picture, mask, NAMES), whole)


def test_right_false_missed_and_ignored_pixels_are_told_apart() -> None:
    # Five columns, each wide enough to have an inside without outlines.
    answer = np.repeat(np.array([[1, 1, 0, 2, 0]], np.uint8), 7, axis=1).repeat(9, axis=0)
    truth = np.repeat(np.array([[1, 0, 1, 1, 0]], np.uint8), 7, axis=1).repeat(9, axis=0)
    drawn = draw_errors(Picture.from_array(grey(9, 35)), answer, truth, NAMES)
    assert drawn.shape == (9, 35, 3)
    expected = [tinted(TRUE_COLOR), tinted(FALSE_COLOR), tinted(MISSED_COLOR), tinted(FALSE_COLOR)]
    assert [drawn[4, 3 + 7 * i].tolist() for i in range(5)] == [*expected, [200] * 3]
    ignored = draw_errors(
        Picture.from_array(grey(9, 35)), answer, np.full_like(truth, IGNORED), NAMES
    )
    assert (ignored[:9] == 200).all()


def test_mistakes_are_drawn_on_grey() -> None:
    pixels = np.zeros((30, 200, 3), np.uint8)
    pixels[..., 0] = 255
    nothing = np.zeros((30, 200), np.uint8)
    drawn = draw_errors(Picture.from_array(pixels), nothing, nothing, NAMES)
    assert drawn.shape == (30, 200, 3)
    assert (drawn == drawn[:, :, :1]).all()


def test_the_legend_of_errors_names_their_colours() -> None:
    assert ERRORS_LEGEND == "#009e73 right, #e69f00 false, #d548a0 missed"
