"""The pre-processing: geometry of pad, stretch and crop, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from foveal.errors import BundleError, ImageError
from foveal.pipeline import FITS, Fit, Pipeline, resample_to_original
from foveal.types import Frame, Picture, Piece

SIDES = st.integers(1, 60)
INPUTS = st.integers(1, 40)
SQUARE_FITS: tuple[Fit, ...] = tuple(fit for fit in FITS if fit not in ("line", "tile"))
FITTING = st.sampled_from(SQUARE_FITS)


def flat(height: int, width: int, value: int = 200) -> Picture:
    return Picture.from_array(np.full((height, width, 3), value, np.uint8))


def test_pad_keeps_the_aspect_ratio_and_fills_the_rest() -> None:
    pixels, frame = Pipeline(8, 8, "pad", (1, 2, 3)).apply(flat(4, 8))
    assert pixels.shape == (8, 8, 3)
    assert (pixels[:2] == (1, 2, 3)).all()
    assert (pixels[2:6] == 200).all()
    assert (pixels[6:] == (1, 2, 3)).all()
    assert (frame.scale, frame.offset) == ((1.0, 1.0), (2.0, 0.0))


def test_stretch_ignores_the_aspect_ratio() -> None:
    pixels, frame = Pipeline(8, 8, "stretch").apply(flat(4, 16))
    assert (pixels == 200).all()
    assert (frame.scale, frame.offset) == ((2.0, 0.5), (0.0, 0.0))


def test_crop_keeps_the_aspect_ratio_and_cuts_the_centre() -> None:
    columns = np.arange(16, dtype=np.uint8)[None, :, None].repeat(8, 0).repeat(3, 2)
    pixels, frame = Pipeline(8, 8, "crop").apply(Picture.from_array(columns))
    np.testing.assert_array_equal(pixels, columns[:, 4:12])
    assert (frame.scale, frame.offset) == ((1.0, 1.0), (0.0, -4.0))


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    for fit in SQUARE_FITS:
        np.testing.assert_array_equal(
            Pipeline(8, 8, fit).apply(Picture.from_array(pixels))[0], pixels
        )


def test_a_reduced_picture_has_the_frame_of_its_original() -> None:
    reduced = Picture(np.full((25, 50, 3), 9, np.uint8), height=100, width=200)
    pixels, frame = Pipeline(10, 10).apply(reduced)
    assert frame == Pipeline(10, 10).frame(100, 200)
    assert frame.original == (100, 200)
    assert pixels.shape == (10, 10, 3)


@settings(deadline=None)
@given(SIDES, SIDES, INPUTS, INPUTS, FITTING)
def test_every_picture_becomes_the_model_input(
    height: int, width: int, rows: int, columns: int, fit: Fit
) -> None:
    pipeline = Pipeline(rows, columns, fit, (10, 20, 30))
    pixels, frame = pipeline.apply(flat(height, width))
    assert pixels.shape == (rows, columns, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert frame == pipeline.frame(height, width)
    x0, y0, x1, y1 = (round(v) for v in frame.box_in_input())
    inside = pixels[max(y0, 0) : y1, max(x0, 0) : x1]
    assert (inside == 200).all()
    # All that is not the picture is the padding, and only `pad` has any.
    is_padding = (pixels == (10, 20, 30)).all(axis=2).sum()
    assert is_padding == rows * columns - inside.shape[0] * inside.shape[1]
    assert fit == "pad" or is_padding == 0


@settings(deadline=None)
@given(SIDES, SIDES, INPUTS, INPUTS, FITTING, st.floats(0, 1), st.floats(0, 1))
def test_a_point_maps_to_the_input_and_back(
    height: int, width: int, rows: int, columns: int, fit: Fit, down: float, across: float
) -> None:
    frame = Pipeline(rows, columns, fit).frame(height, width)
    y, x = down * height, across * width
    in_input = y * frame.scale[0] + frame.offset[0], x * frame.scale[1] + frame.offset[1]
    assert frame.to_original(*in_input) == pytest.approx((y, x), abs=1e-6)


@settings(deadline=None)
@given(SIDES, SIDES, INPUTS, INPUTS)
def test_pad_shows_all_of_the_picture_and_crop_fills_all_of_the_input(
    height: int, width: int, rows: int, columns: int
) -> None:
    x0, y0, x1, y1 = Pipeline(rows, columns, "pad").frame(height, width).box_in_input()
    assert x0 >= 0 <= y0
    assert x1 <= columns + 1e-6
    assert y1 <= rows + 1e-6
    x0, y0, x1, y1 = Pipeline(rows, columns, "crop").frame(height, width).box_in_input()
    assert x0 <= 0 >= y0
    assert x1 >= columns - 1e-6
    assert y1 >= rows - 1e-6


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(2, 40), st.integers(2, 40), FITTING)
def test_a_map_comes_back_at_the_size_of_the_original(
    height: int, width: int, rows: int, columns: int, fit: Fit
) -> None:
    frame = Pipeline(rows, columns, fit).frame(height, width)
    values = np.ones((2, 2), np.float32)
    back = resample_to_original(values, frame)
    assert back.shape == (height, width)
    assert back.dtype == np.float32
    assert fit == "crop" or np.allclose(back, 1, atol=1e-5)


def test_a_map_comes_back_to_where_it_was_seen() -> None:
    # A wide picture in a square input: a quarter above and below is padding.
    frame = Pipeline(8, 8, "pad").frame(4, 8)
    values = np.zeros((8, 8), np.float32)
    values[2:6, 4:] = 1
    values[:2] = 9
    back = resample_to_original(values, frame)
    expected = np.zeros((4, 8), np.float32)
    expected[:, 4:] = 1
    np.testing.assert_array_equal(back, expected)


def test_what_crop_cut_off_has_no_evidence() -> None:
    back = resample_to_original(np.ones((8, 8), np.float32), Pipeline(8, 8, "crop").frame(8, 16))
    np.testing.assert_array_equal(back[:, 4:12], 1)
    assert not back[:, :4].any()
    assert not back[:, 12:].any()


@given(INPUTS, INPUTS, FITTING, st.tuples(*[st.integers(0, 255)] * 3))
def test_a_pipeline_is_written_and_read(
    rows: int, columns: int, fit: Fit, color: tuple[int, int, int]
) -> None:
    pipeline = Pipeline(rows, columns, fit, color)
    assert Pipeline.from_json(pipeline.to_json()) == pipeline


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"width": 40_000},
        {"height": 8.0},
        {"fit": "squeeze"},
        {"pad_color": [1, 2]},
        {"pad_color": [1, 2, 256]},
        {"mean": 0.5},
    ],
)
def test_a_pipeline_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="Invalid pipeline"):
        Pipeline.from_json({**Pipeline(8, 8).to_json(), **change})


def test_tiny_and_extreme_pictures_survive() -> None:
    for height, width in ((1, 1), (1, 5000), (5000, 1)):
        for fit in SQUARE_FITS:
            pixels, _ = Pipeline(16, 16, fit).apply(flat(height, width))
            assert pixels.shape == (16, 16, 3)


@settings(deadline=None)
@given(SIDES, SIDES)
def test_the_result_does_not_depend_on_the_memory_order(height: int, width: int) -> None:
    assume(height * width > 1)
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    turned = np.asfortranarray(pixels)
    pipeline = Pipeline(12, 12)
    np.testing.assert_array_equal(
        pipeline.apply(Picture.from_array(pixels))[0], pipeline.apply(Picture.from_array(turned))[0]
    )


def test_a_line_is_scaled_to_the_height_and_filled_on_the_right() -> None:
    pixels, frame = Pipeline(16, 96, "line", (1, 2, 3)).apply(flat(8, 20))
    assert pixels.shape == (16, 64, 3)
    assert (pixels[:, :40] == 200).all()
    assert (pixels[:, 40:] == (1, 2, 3)).all()
    assert (frame.input, frame.scale, frame.offset) == ((16, 64), (2.0, 2.0), (0.0, 0.0))
    assert frame.box_in_input() == (0.0, 0.0, 40.0, 16.0)


def test_a_line_that_is_too_wide_is_refused_with_the_largest_width() -> None:
    with pytest.raises(
        ImageError, match=r"20000 pixels wide and 8 high\. Expected at most 48 wide"
    ):
        Pipeline(16, 96, "line").frame(8, 20_000)


def test_a_point_in_a_joined_strip_maps_to_the_piece_it_was_cut_from() -> None:
    pieces = (Piece(10, 5, 30, 15, 0, 0), Piece(100, 50, 130, 60, 24, 0))
    frame = Frame((80, 200), (20, 128), (2.0, 2.0), (0.0, 0.0), strip=(10, 54), pieces=pieces)
    assert frame.to_original(4.0, 20.0) == (7.0, 20.0)
    assert frame.to_original(4.0, 68.0) == (52.0, 110.0)
    # The gap between the pieces belongs to the left one, and ends where that ends.
    assert frame.to_original(4.0, 46.0) == (7.0, 30.0)


def test_a_map_over_a_strip_goes_back_to_its_pieces() -> None:
    pieces = (Piece(0, 0, 4, 2, 0, 0), Piece(2, 4, 6, 6, 4, 0))
    frame = Frame((6, 8), (2, 8), (1.0, 1.0), (0.0, 0.0), strip=(2, 8), pieces=pieces)
    values = np.array([[1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]], np.float32)
    whole = resample_to_original(values, frame)
    assert whole.shape == (6, 8)
    assert (whole[:2, :4] == 1).all()
    assert whole.sum() == 8


def test_a_frame_seen_from_a_smaller_copy_still_maps_to_the_same_places() -> None:
    frame = Pipeline(64, 512, "line").frame(32, 100)
    small = frame.for_copy(16, 50)
    assert small.to_original(32.0, 128.0) == (8.0, 32.0)
    assert frame.to_original(32.0, 128.0) == (16.0, 64.0)


def test_a_pipeline_written_before_page_steps_is_read() -> None:
    old = {"height": 8, "width": 8, "fit": "pad", "pad_color": [1, 2, 3]}
    assert Pipeline.from_json(old) == Pipeline(8, 8, "pad", (1, 2, 3))


def test_a_line_that_is_too_wide_is_named_by_what_the_page_steps_left() -> None:
    wide = flat(10, 400)
    with pytest.raises(ImageError, match="The picture is 400 pixels wide and 10 high") as caught:
        Pipeline(10, 200, "line").apply(wide)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("or train with --set pipeline.width=416")
    with pytest.raises(ImageError, match="The picture after the page steps is 400 pixels wide"):
        Pipeline(10, 200, "line", steps=("grey",)).apply(wide)
