"""Page pre-processing: each step on tiny pictures, and the lines of drawn pages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from foveal.errors import MissingExtraError, RecipeError
from foveal.extras import install_extra
from foveal.page import (
    DEFAULT_STEPS,
    STEPS,
    Step,
    lines,
    parse_step,
    parse_steps,
    run_steps,
    show_steps,
)
from foveal.page.boxes import group, in_reading_order
from foveal.page.outlines import outline
from foveal.page.run import stages_sheet
from foveal.pipeline import Pipeline
from foveal.types import Image, Picture, Piece

Box = tuple[int, int, int, int]
LINES = ("threshold", "lines")


def flat(height: int, width: int, value: int = 255) -> Image:
    return np.full((height, width, 3), value, np.uint8)


def draw_text(
    image: PILImage.Image, text: str, x: int, y: int, size: int, fill: tuple[int, int, int]
) -> Box:
    """Draw text and return the box of its ink."""
    font = ImageFont.load_default(size=size)
    alone = PILImage.new("L", image.size, 0)
    ImageDraw.Draw(alone).text((x, y), text, fill=255, font=font)
    image.paste(fill, mask=alone)
    box = alone.getbbox()
    assert box is not None
    return box


def draw_page(
    *, width: int = 1200, height: int = 500, dark: bool = False, noise: float = 0.0
) -> tuple[Image, list[Box]]:
    """Draw an assignment over an expression with a stacked fraction; return the two boxes."""
    image = PILImage.new("RGB", (width, height), (255, 255, 255))
    ink = (40, 30, 60)
    first = draw_text(image, "a=42072", 300, 60, 80, ink)
    parts = [
        draw_text(image, "(a-(97510*45))*", 60, 310, 80, ink),
        draw_text(image, "a", 760, 250, 80, ink),
        draw_text(image, "358", 715, 370, 80, ink),
    ]
    ImageDraw.Draw(image).rectangle((710, 362, 850, 366), fill=ink)
    second = (
        min(p[0] for p in parts),
        min(p[1] for p in parts),
        max(*(p[2] for p in parts), 851),
        max(p[3] for p in parts),
    )
    pixels = np.asarray(image).astype(np.float64)
    if noise:
        pixels = pixels - 10 + np.random.default_rng(7).normal(0, noise, pixels.shape)
    pixels = pixels.clip(0, 255)
    return (255 - pixels if dark else pixels).astype(np.uint8), [first, second]


def add_strays(pixels: Image) -> Image:
    """Cross the text with long lines and sprinkle coloured specks."""
    image = PILImage.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    for ends in ((10, 20, 1150, 470), (200, 480, 620, 10), (30, 230, 1190, 150)):
        pen.line(ends, fill=(120, 30, 90), width=3)
    rng = np.random.default_rng(3)
    for _ in range(300):
        x, y = rng.integers(0, pixels.shape[1]), rng.integers(0, pixels.shape[0])
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
    return np.asarray(image)


def add_bows(pixels: Image) -> Image:
    """Tie the two lines together with a thin bow, cross their ends, and lay one on free ground."""
    image = PILImage.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    for box, first, last in (
        ((250, 40, 900, 560), 180, 300),
        ((560, 90, 940, 480), 250, 60),
        ((20, 20, 160, 240), 150, 260),
    ):
        pen.arc(box, first, last, fill=(30, 90, 40), width=3)
    return np.asarray(image)


def encloses(piece: Piece, box: Box, *, margin: int) -> bool:
    """Tell whether the piece holds the box and at most `margin` pixels more on each side."""
    slack = (box[0] - piece.x0, box[1] - piece.y0, piece.x1 - box[2], piece.y1 - box[3])
    return all(0 <= side <= margin for side in slack)


# Steps as text


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_known_by_its_name(name: str) -> None:
    assert parse_step(name).name == name


def test_a_step_carries_its_size() -> None:
    assert parse_step("median:5") == Step("median", 5)
    assert parse_step(" median ") == Step("median", 3)
    assert str(parse_step("threshold:51")) == "threshold:51"
    assert str(parse_step("threshold")) == "threshold"


def test_an_unknown_step_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"Unknown step 'gray'.* 'grey'"):
        parse_step("gray")


@pytest.mark.parametrize("size", ["", "4", "1", "-3", "257", "3.0", "x", "³"])
def test_a_size_must_be_odd_and_in_range(size: str) -> None:
    with pytest.raises(RecipeError, match="Expected an odd number from 3 to 255"):
        parse_step(f"median:{size}")


def test_a_step_without_a_size_refuses_one() -> None:
    with pytest.raises(RecipeError, match="'grey' does not accept a size"):
        parse_step("grey:3")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "No step was given"),
        (["grey", "lines"], "Expected 'threshold' before it"),
        (["lines", "threshold"], "Expected 'threshold' before it"),
        (["threshold", "lines", "threshold", "lines"], "occurs twice"),
    ],
)
def test_steps_that_cannot_follow_one_another_are_refused(steps: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        run_steps(flat(8, 8), steps)


def test_a_text_in_place_of_a_list_of_steps_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"Expected a list\. Received: 'fractions'"):
        parse_steps("fractions")


def test_the_default_steps_are_steps() -> None:
    assert [step.name for step in parse_steps(DEFAULT_STEPS)][-1] == "lines"


# Each step on tiny pictures


def test_grey_weighs_the_colours_as_the_eye_does() -> None:
    pixels = flat(2, 2, 0)
    pixels[0, 0] = (255, 0, 0)
    image, pieces = run_steps(pixels, ["grey"])
    # ITU-R BT.601: 0.299 of 255.
    assert image[0, 0].tolist() == [76, 76, 76]
    assert image[1, 1].tolist() == [0, 0, 0]
    assert pieces == ()


def test_equalise_spreads_the_shades_over_the_whole_range() -> None:
    pixels = np.repeat(np.arange(100, 104, dtype=np.uint8).reshape(1, 4, 1), 3, axis=2)
    image, _ = run_steps(pixels, ["grey", "equalise"])
    assert image[0, :, 0].tolist() == [0, 85, 170, 255]


def test_equalise_keeps_grey_pixels_grey_in_a_coloured_picture() -> None:
    pixels = np.repeat(np.arange(100, 104, dtype=np.uint8).reshape(1, 4, 1), 3, axis=2)
    image, _ = run_steps(pixels, ["equalise"])
    assert image[0, :, 1].tolist() == [0, 85, 170, 255]
    assert (image[..., 0] == image[..., 2]).all()


def test_median_removes_a_single_pixel_and_keeps_an_edge() -> None:
    pixels = flat(7, 8)
    pixels[:, 4:] = 0
    expected = pixels.copy()
    pixels[3, 1] = (0, 255, 0)
    image, _ = run_steps(pixels, ["median:3"])
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(("ground", "ink"), [(250, 20), (20, 250)])
def test_threshold_makes_ink_black_whether_it_is_dark_or_light(ground: int, ink: int) -> None:
    pixels = flat(40, 40, ground)
    pixels[18:22, 5:35] = ink
    image, _ = run_steps(pixels, ["threshold"])
    expected = flat(40, 40)
    expected[18:22, 5:35] = 0
    np.testing.assert_array_equal(image, expected)


def test_threshold_follows_a_ground_that_darkens_over_the_page() -> None:
    shade = np.linspace(255, 120, 400).round().astype(np.uint8)
    pixels = np.repeat(np.tile(shade, (200, 1))[:, :, None], 3, axis=2)
    ink = np.zeros((200, 400), bool)
    ink[95:105, 20:380] = True
    pixels[ink] -= 90
    # The ground's darkest shade is darker than the ink on the bright side.
    assert pixels[0, -1, 0] < pixels[100, 20, 0]
    for step in ("threshold", "threshold:61"):
        image, _ = run_steps(pixels, [step])
        assert ((image[..., 0] == 0) == ink).mean() > 0.99, step


@pytest.mark.parametrize("value", [0, 128, 255])
def test_threshold_finds_no_ink_on_an_even_page(value: int) -> None:
    image, _ = run_steps(flat(30, 50, value), ["threshold"])
    assert (image == 255).all()


def test_threshold_does_not_take_noise_for_ink() -> None:
    noise = np.random.default_rng(0).normal(180, 12, (200, 300, 1)).clip(0, 255).astype(np.uint8)
    image, _ = run_steps(np.repeat(noise, 3, axis=2), ["threshold"])
    # 3.5 standard deviations: 0.02 % of a normal distribution on one side.
    assert (image == 0).mean() < 0.002


def test_open_removes_hairlines_from_the_ink_and_close_fills_gaps_in_it() -> None:
    pixels = flat(80, 120)
    pixels[10:30, 10:19] = pixels[10:30, 20:30] = 0
    broken = pixels.copy()
    pixels[5, :] = 0
    opened, _ = run_steps(pixels, ["threshold", "open:3"])
    np.testing.assert_array_equal(opened[15], broken[15])
    assert (opened[5] == 255).all()
    closed, _ = run_steps(broken, ["threshold", "close:3"])
    assert (closed[12:28, 10:30] == 0).all()


def test_open_and_close_work_on_the_picture_before_there_is_ink() -> None:
    pixels = flat(9, 9, 100)
    pixels[4, 4] = 200
    pixels[1, 1] = 0
    opened, _ = run_steps(pixels, ["open:3"])
    assert opened[4, 4, 0] == 100
    closed, _ = run_steps(pixels, ["close:3"])
    assert (closed[4, 4, 0], closed[1, 1, 0]) == (200, 100)


def test_steps_leave_the_picture_that_they_are_given_alone() -> None:
    pixels, _ = draw_page()
    before = pixels.copy()
    run_steps(pixels, ["equalise", "median:3", "threshold", "open:3", "close:3", "lines"])
    np.testing.assert_array_equal(pixels, before)


# Lines


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("noise", [0.0, 20.0])
def test_lines_are_found_from_top_to_bottom_with_the_fraction_whole(
    dark: bool, noise: float
) -> None:
    pixels, boxes = draw_page(dark=dark, noise=noise)
    _, pieces = run_steps(pixels, DEFAULT_STEPS)
    assert len(pieces) == 2
    for piece, box in zip(pieces, boxes, strict=True):
        assert encloses(piece, box, margin=25), (piece, box)


@pytest.mark.parametrize(("add", "noise"), [(add_strays, 15.0), (add_bows, 10.0)])
def test_strays_and_bows_neither_tie_lines_nor_cut_glyphs_off_nor_pass_for_a_line(
    add: Callable[[Image], Image], noise: float
) -> None:
    pixels, boxes = draw_page(noise=noise)
    _, pieces = run_steps(add(pixels), DEFAULT_STEPS)
    assert len(pieces) == 2
    for piece, box in zip(pieces, boxes, strict=True):
        # Ends of strays may widen a piece; they may not cost a glyph.
        assert encloses(piece, box, margin=110), (piece, box)


def test_pale_glyphs_at_the_end_of_a_dark_line_are_ink_too() -> None:
    image = PILImage.new("RGB", (700, 160), (250, 250, 250))
    dark = draw_text(image, "42072", 40, 40, 80, (20, 20, 20))
    # Otsu's cut lies halfway to the dark ink, at a contrast of 115.
    pale = draw_text(image, "358", 300, 40, 80, (160, 160, 160))
    _, pieces = run_steps(np.asarray(image), DEFAULT_STEPS)
    assert len(pieces) == 1
    assert encloses(pieces[0], (*dark[:2], *pale[2:]), margin=25)


def test_the_dots_at_the_end_of_a_widely_set_line_belong_to_it() -> None:
    image = PILImage.new("RGB", (900, 160), (255, 255, 255))
    first = draw_text(image, "4", 40, 30, 80, (0, 0, 0))
    for x, sign in ((160, "2"), (280, "0"), (400, "7")):
        draw_text(image, sign, x, 30, 80, (0, 0, 0))
    last = draw_text(image, ":", 530, 30, 80, (0, 0, 0))
    _, pieces = run_steps(np.asarray(image), DEFAULT_STEPS)
    assert len(pieces) == 1
    assert encloses(pieces[0], (first[0], first[1], last[2], first[3]), margin=25)


def test_a_single_glyph_is_a_line() -> None:
    image = PILImage.new("RGB", (300, 300), (255, 255, 255))
    box = draw_text(image, "7", 120, 100, 80, (0, 0, 0))
    _, pieces = run_steps(np.asarray(image), DEFAULT_STEPS)
    assert len(pieces) == 1
    assert encloses(pieces[0], box, margin=25)


def test_a_fraction_that_stands_alone_is_one_line() -> None:
    image = PILImage.new("RGB", (400, 300), (255, 255, 255))
    draw_text(image, "a", 180, 50, 70, (0, 0, 0))
    ImageDraw.Draw(image).rectangle((120, 140, 280, 145), fill=(0, 0, 0))
    draw_text(image, "3586", 125, 145, 70, (0, 0, 0))
    _, pieces = run_steps(np.asarray(image), LINES)
    assert len(pieces) == 1


def test_an_underlined_line_is_not_a_fraction() -> None:
    image = PILImage.new("RGB", (700, 300), (255, 255, 255))
    draw_text(image, "12345", 20, 20, 70, (0, 0, 0))
    ImageDraw.Draw(image).rectangle((20, 100, 215, 104), fill=(0, 0, 0))
    draw_text(image, "678901234567", 20, 120, 70, (0, 0, 0))
    _, pieces = run_steps(np.asarray(image), LINES)
    assert len(pieces) == 2


def test_an_upright_stray_line_does_not_pass_for_a_glyph() -> None:
    image = PILImage.new("RGB", (500, 700), (255, 255, 255))
    first = draw_text(image, "12", 40, 40, 40, (0, 0, 0))
    second = draw_text(image, "34", 40, 300, 40, (0, 0, 0))
    ImageDraw.Draw(image).line((400, 20, 403, 680), fill=(0, 0, 0), width=5)
    _, pieces = run_steps(np.asarray(image), DEFAULT_STEPS)
    assert len(pieces) == 2
    assert encloses(pieces[0], first, margin=20)
    assert encloses(pieces[1], second, margin=20)


# Fractions


def drawn_in_rows(page: Image, steps: Sequence[str]) -> tuple[Image, tuple[Piece, ...]]:
    return run_steps(page, [*steps[:-1], "fractions"])


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("noise", [0.0, 20.0])
def test_a_numerator_is_followed_by_its_denominator_in_one_row(dark: bool, noise: float) -> None:
    pixels, (first, second) = draw_page(dark=dark, noise=noise)
    strip, pieces = drawn_in_rows(pixels, DEFAULT_STEPS)
    line, before, above, below = pieces
    assert encloses(line, first, margin=25)
    assert before.x1 == above.x0 == below.x0
    # The bar, 710 to 851 and 362 to 366, is in both.
    for part in (above, below):
        assert 600 < part.x0 < 710
        assert 851 <= part.x1 < 880
        assert part.y0 <= 362
        assert part.y1 >= 366
    assert above.y0 <= second[1]
    assert below.y1 >= second[3]
    assert before.x < above.x < below.x
    # Signs are nearly twice as large in a picture of the same height.
    assert strip.shape[0] < 0.7 * run_steps(pixels, DEFAULT_STEPS)[0].shape[0]


@pytest.mark.parametrize(("add", "noise"), [(add_strays, 15.0), (add_bows, 10.0)])
def test_strays_and_bows_neither_hide_a_fraction_nor_pass_for_one(
    add: Callable[[Image], Image], noise: float
) -> None:
    pixels, _ = draw_page(noise=noise)
    _, pieces = drawn_in_rows(add(pixels), DEFAULT_STEPS)
    cuts = [(a, b) for a, b in pairwise(pieces) if (a.x0, a.x1) == (b.x0, b.x1)]
    ((above, below),) = cuts
    assert above.x0 < 720
    assert above.x1 > 840
    assert above.y1 < below.y1


def test_signs_beside_a_fraction_keep_their_order_and_their_height_in_the_row() -> None:
    image = PILImage.new("RGB", (900, 300), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    for x0, x1 in ((60, 200), (420, 560)):
        draw_text(image, "a", x0 + 45, 40, 70, (0, 0, 0))
        pen.rectangle((x0, 138, x1, 142), fill=(0, 0, 0))
        draw_text(image, "358", x0 + 5, 140, 70, (0, 0, 0))
    # Minus signs, level with both bars and close to them.
    pen.rectangle((225, 137, 265, 143), fill=(0, 0, 0))
    draw_text(image, "7", 300, 95, 70, (0, 0, 0))
    pen.rectangle((580, 137, 620, 143), fill=(0, 0, 0))
    _, pieces = drawn_in_rows(np.asarray(image), LINES)
    above, below, between, second, _, last = pieces
    assert above.x1 == below.x1 == between.x0
    assert (200 < above.x1 < 225, 343 < between.x1 < 420, second.x0 == between.x1) == (True,) * 3
    assert 560 < last.x0 < 580
    # A minus sign by itself is not cut to its ink: it would look like a bar.
    assert last.y1 - last.y0 > 50


def draw_fraction(
    image: PILImage.Image, x: int, numerator: str = "a", denominator: str = "3586"
) -> tuple[int, int]:
    """Draw a fraction 160 px wide, its bar from 138 to 143; return the ends of the bar."""
    draw_text(image, numerator, x + 60, 40, 70, (0, 0, 0))
    ImageDraw.Draw(image).rectangle((x, 138, x + 160, 142), fill=(0, 0, 0))
    draw_text(image, denominator, x + 5, 140, 70, (0, 0, 0))
    return x, x + 160


def fractions_in(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """Return the ends of the pieces that are numerator and denominator of one fraction."""
    return [
        (a.x0, a.x1) for a, b in pairwise(pieces) if (a.x0, a.x1) == (b.x0, b.x1) and a.y1 < b.y1
    ]


def is_around(ends: tuple[int, int], bar: tuple[int, int], beyond: int = 30) -> bool:
    return bar[0] - beyond <= ends[0] <= bar[0] and bar[1] <= ends[1] <= bar[1] + beyond


def test_minus_signs_close_to_a_bar_are_not_part_of_it() -> None:
    image = PILImage.new("RGB", (900, 300), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    bar = draw_fraction(image, 200)
    for x, down in ((140, 3), (380, -4)):
        pen.rectangle((x, 137 + down, x + 40, 143 + down), fill=(0, 0, 0))
    draw_text(image, "7", 60, 95, 70, (0, 0, 0))
    draw_text(image, "8", 460, 95, 70, (0, 0, 0))
    _, pieces = drawn_in_rows(np.asarray(image), LINES)
    (ends,) = fractions_in(pieces)
    assert is_around(ends, bar, beyond=19)


def test_a_bar_that_a_stray_line_breaks_is_one_beside_a_minus_sign() -> None:
    image = PILImage.new("RGB", (900, 300), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    bar = draw_fraction(image, 200)
    # White, as where a pale stray line lies over the ink.
    pen.rectangle((226, 130, 238, 150), fill=(255, 255, 255))
    pen.rectangle((140, 137, 180, 143), fill=(0, 0, 0))
    draw_text(image, "7", 60, 95, 70, (0, 0, 0))
    _, pieces = drawn_in_rows(np.asarray(image), LINES)
    (ends,) = fractions_in(pieces)
    assert is_around(ends, bar, beyond=19)


def test_a_level_stray_line_does_not_lengthen_the_bar() -> None:
    image = PILImage.new("RGB", (900, 300), (255, 255, 255))
    bar = draw_fraction(image, 200)
    ImageDraw.Draw(image).line((290, 140, 520, 147), fill=(0, 0, 0), width=2)
    draw_text(image, "7", 560, 95, 70, (0, 0, 0))
    _, pieces = drawn_in_rows(np.asarray(image), LINES)
    (ends,) = fractions_in(pieces)
    assert is_around(ends, bar)


def test_a_plus_sign_that_touches_the_bar_is_not_part_of_it() -> None:
    image = PILImage.new("RGB", (900, 300), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    bar = draw_fraction(image, 200)
    # The sign hangs together with the bar, by its level stroke.
    pen.rectangle((360, 138, 400, 142), fill=(0, 0, 0))
    pen.rectangle((372, 130, 400, 150), fill=(0, 0, 0))
    pen.rectangle((378, 118, 383, 162), fill=(0, 0, 0))
    draw_text(image, "8", 460, 95, 70, (0, 0, 0))
    _, pieces = drawn_in_rows(np.asarray(image), LINES)
    (ends,) = fractions_in(pieces)
    assert is_around(ends, bar, beyond=25)


def test_fractions_with_nothing_but_a_minus_sign_between_them_are_two() -> None:
    image = PILImage.new("RGB", (900, 300), (255, 255, 255))
    bars = [draw_fraction(image, 100), draw_fraction(image, 340)]
    ImageDraw.Draw(image).rectangle((280, 137, 320, 143), fill=(0, 0, 0))
    _, pieces = drawn_in_rows(np.asarray(image), LINES)
    found = fractions_in(pieces)
    assert len(found) == 2
    assert all(is_around(ends, bar, beyond=19) for ends, bar in zip(found, bars, strict=True))


def test_a_numerator_of_several_pieces_is_no_line_by_itself() -> None:
    image = PILImage.new("RGB", (900, 340), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    # Like 流: a piece on top that ends far above the bar, beside one that reaches down to it.
    pen.rectangle((240, 69, 265, 125), outline=(0, 0, 0), width=6)
    pen.rectangle((275, 44, 330, 76), outline=(0, 0, 0), width=6)
    pen.rectangle((275, 88, 330, 125), outline=(0, 0, 0), width=6)
    pen.rectangle((200, 138, 360, 142), fill=(0, 0, 0))
    draw_text(image, "3586", 205, 140, 70, (0, 0, 0))
    draw_text(image, "7", 420, 95, 70, (0, 0, 0))
    _, pieces = drawn_in_rows(np.asarray(image), LINES)
    above, below, _ = pieces
    assert above.y0 <= 44
    assert (above.x0, above.x1) == (below.x0, below.x1)


def test_the_foot_of_a_glyph_above_another_line_is_no_bar() -> None:
    image = PILImage.new("RGB", (900, 400), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    # Like 之: the rest of it touches the level stroke at its foot.
    pen.rectangle((320, 60, 360, 108), fill=(0, 0, 0))
    pen.rectangle((300, 112, 380, 118), fill=(0, 0, 0))
    draw_text(image, "=958", 400, 50, 70, (0, 0, 0))
    draw_text(image, "2", 320, 134, 70, (0, 0, 0))
    _, pieces = drawn_in_rows(np.asarray(image), LINES)
    assert fractions_in(pieces) == []


def test_the_stages_show_the_pieces_of_fractions() -> None:
    stages = show_steps(draw_page()[0], (*LINES[:-1], "fractions"))
    assert [(s.step, s.note) for s in stages[1:]] == [
        ("boxes", "4 pieces"),
        ("fractions", "4 pieces"),
    ]


def test_a_page_without_fractions_is_cut_as_by_lines() -> None:
    image = PILImage.new("RGB", (700, 400), (255, 255, 255))
    draw_text(image, "12345", 20, 20, 70, (0, 0, 0))
    ImageDraw.Draw(image).rectangle((20, 100, 215, 104), fill=(0, 0, 0))
    draw_text(image, "678-90=1234", 20, 120, 70, (0, 0, 0))
    draw_text(image, "5+6", 300, 260, 70, (0, 0, 0))
    pixels = np.asarray(image)
    assert drawn_in_rows(pixels, LINES)[1] == run_steps(pixels, LINES)[1]


def test_a_fraction_that_reaches_beside_the_line_above_does_not_join_the_two() -> None:
    image = PILImage.new("RGB", (900, 400), (255, 255, 255))
    draw_text(image, "12345", 60, 60, 70, (0, 0, 0))
    draw_text(image, "678-90+", 60, 127, 70, (0, 0, 0))
    draw_text(image, "8", 490, 89, 70, (0, 0, 0))
    ImageDraw.Draw(image).rectangle((440, 162, 580, 166), fill=(0, 0, 0))
    draw_text(image, "358", 450, 160, 70, (0, 0, 0))
    pixels = np.asarray(image)
    above, beside, numerator, denominator = drawn_in_rows(pixels, LINES)[1]
    assert above.y1 < beside.y1
    assert beside.x1 == numerator.x0 == denominator.x0
    assert len(run_steps(pixels, LINES)[1]) == 2


def test_of_a_fraction_in_a_fraction_the_outer_one_is_divided() -> None:
    image = PILImage.new("RGB", (500, 500), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    draw_text(image, "1", 220, 40, 60, (0, 0, 0))
    pen.rectangle((190, 118, 270, 121), fill=(0, 0, 0))
    draw_text(image, "23", 195, 115, 60, (0, 0, 0))
    pen.rectangle((120, 198, 340, 202), fill=(0, 0, 0))
    draw_text(image, "456789", 130, 195, 60, (0, 0, 0))
    _, (above, below) = drawn_in_rows(np.asarray(image), LINES)
    assert above.y0 < 60
    assert above.y1 >= 202
    assert below.y0 <= 198


_SIDE = 160
_places = st.integers(0, _SIDE - 10)
_sizes = st.integers(10, 30)
_rectangles = st.lists(
    st.tuples(_places, _places, _sizes, _sizes)
    | st.tuples(_places, _places, st.integers(20, 110), st.integers(2, 5)),
    min_size=3,
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(_rectangles)
def test_whatever_the_ink_every_box_lies_in_the_page_and_is_not_empty(
    rectangles: list[tuple[int, int, int, int]],
) -> None:
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    for x, y, width, height in rectangles:
        mask[y : y + height, x : x + width] = 255
    for x0, y0, x1, y1 in lines.find_lines(mask, unstack=True):
        assert 0 <= x0 < x1 <= _SIDE
        assert 0 <= y0 < y1 <= _SIDE


def test_pieces_are_cut_from_the_picture_and_stand_centred_on_its_ground() -> None:
    pixels = flat(200, 300, 240)
    pixels[20:60, 100:140] = (200, 0, 0)
    pixels[120:180, 30:120] = (0, 0, 200)
    strip, pieces = run_steps(pixels, LINES)
    assert [(p.x0 <= 100, p.y1 >= 60) for p in pieces[:1]] == [(True, True)]
    covered = np.zeros(strip.shape[:2], bool)
    for piece in pieces:
        height, width = piece.y1 - piece.y0, piece.x1 - piece.x0
        place = slice(piece.y, piece.y + height), slice(piece.x, piece.x + width)
        np.testing.assert_array_equal(
            strip[place], pixels[piece.y0 : piece.y1, piece.x0 : piece.x1]
        )
        assert abs((strip.shape[0] - height) / 2 - piece.y) <= 0.5
        covered[place] = True
    assert (strip[~covered] == 240).all()
    assert strip.shape[0] == max(p.y1 - p.y0 for p in pieces)
    assert pieces[0].x == 0
    assert pieces[1].x > pieces[0].x1 - pieces[0].x0
    assert pieces[1].x + pieces[1].x1 - pieces[1].x0 == strip.shape[1]


def test_pieces_show_what_grey_and_median_made_of_the_page() -> None:
    pixels, _ = draw_page()
    coloured = pixels.copy()
    coloured[..., 0] = 255
    strip, _ = run_steps(coloured, ["grey", *LINES])
    assert (strip[..., 0] == strip[..., 1]).all()
    assert len(np.unique(strip)) > 2


def test_steps_go_on_after_the_lines_were_joined() -> None:
    pixels, _ = draw_page()
    plain, pieces = run_steps(pixels, LINES)
    inked, same = run_steps(pixels, [*LINES, "threshold"])
    assert same == pieces
    assert inked.shape == plain.shape
    assert set(np.unique(inked)) == {0, 255}


@pytest.mark.parametrize("value", [0, 255])
def test_an_empty_page_stays_whole(value: int) -> None:
    pixels = flat(300, 500, value)
    image, pieces = run_steps(pixels, DEFAULT_STEPS)
    np.testing.assert_array_equal(image, pixels)
    assert pieces == (Piece(0, 0, 500, 300, 0, 0),)


def test_a_page_of_noise_and_specks_stays_whole() -> None:
    noise = np.random.default_rng(1).normal(200, 15, (400, 800, 1)).clip(0, 255)
    pixels = np.repeat(noise.astype(np.uint8), 3, axis=2)
    specks = np.random.default_rng(2).integers(0, 390, (60, 2))
    for y, x in specks:
        pixels[y : y + 4, x : x + 4] = 0
    _, pieces = run_steps(pixels, DEFAULT_STEPS)
    assert pieces == (Piece(0, 0, 800, 400, 0, 0),)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3), (7, 9)])
def test_tiny_pictures_survive_every_step(shape: tuple[int, int]) -> None:
    steps = ["grey", "equalise", "median:5", "threshold", "open:5", "close:5", "lines"]
    image, pieces = run_steps(flat(*shape), steps)
    assert image.shape == (*shape, 3)
    assert len(pieces) == 1


def test_a_picture_of_20_000_pixels_is_cut_too() -> None:
    image = PILImage.new("RGB", (20_000, 120), (255, 255, 255))
    first = draw_text(image, "12345", 300, 20, 70, (0, 0, 0))
    last = draw_text(image, "67890", 19_500, 20, 70, (0, 0, 0))
    strip, pieces = run_steps(np.asarray(image), DEFAULT_STEPS)
    assert len(pieces) == 2
    assert encloses(pieces[0], first, margin=20)
    assert encloses(pieces[1], last, margin=20)
    assert strip.shape[1] < 1000


def test_of_a_page_full_of_dots_a_bounded_number_is_compared_with_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = []

    def counted(glyphs: NDArray[np.int64], *rest: Any, **named: Any) -> list[NDArray[np.intp]]:
        counts.append(len(glyphs))
        return group(glyphs, *rest, **named)

    monkeypatch.setattr(lines, "group", counted)
    mask = np.zeros((1000, 1000), np.uint8)
    for y in range(0, 1000, 20):
        for x in range(0, 1000, 20):
            mask[y : y + 12, x : x + 12] = 255

    boxes = lines.find_lines(mask)

    # Of 2,500 dots; time and memory grow with the square.
    assert counts[0] == max(counts) == 1500
    # They are 30 rows of 50 dots, each a line.
    assert len(boxes) == 30


def test_the_same_page_gives_the_same_strip() -> None:
    pixels = add_strays(draw_page(noise=20.0)[0])
    first, again = run_steps(pixels, DEFAULT_STEPS), run_steps(pixels, DEFAULT_STEPS)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]


def test_the_result_does_not_depend_on_the_memory_order() -> None:
    pixels, _ = draw_page()
    turned = np.asfortranarray(pixels)
    np.testing.assert_array_equal(
        run_steps(pixels, DEFAULT_STEPS)[0], run_steps(turned, DEFAULT_STEPS)[0]
    )


def test_rows_are_read_from_the_top_and_within_a_row_from_the_left() -> None:
    left, right, below = (0, 12, 40, 50), (200, 10, 260, 48), (0, 60, 300, 100)
    assert in_reading_order([below, right, left]) == [left, right, below]


def test_outlines_count_the_pixels_of_pieces_without_their_holes() -> None:
    mask = np.zeros((12, 20), np.uint8)
    mask[1, 1] = 255
    mask[2:9, 4:10] = 255
    mask[4:7, 6:8] = 0
    # Touches at a corner, so it hangs together with the ring.
    mask[9, 10:15] = 255
    mask[5, 6] = 255
    outlines = outline(mask)
    boxes, ink = outlines.measure()
    measured = {tuple(box): count for box, count in zip(boxes.tolist(), ink.tolist(), strict=True)}
    # 7 x 6 less 3 x 2, the dot in the hole and the five beyond the corner.
    assert measured == {(1, 1, 2, 2): 1, (4, 2, 15, 10): 42 - 6 + 1 + 5}
    is_ring = ink > 1
    expected = mask.copy()
    expected[1, 1] = 0
    np.testing.assert_array_equal(outlines.draw(is_ring, mask.shape), expected)


# Looking at the steps


def test_every_step_can_be_looked_at() -> None:
    pixels, _ = draw_page()
    stages = show_steps(pixels, DEFAULT_STEPS)
    assert [stage.step for stage in stages] == [
        "grey",
        "median:3",
        "threshold",
        "open:3",
        "boxes",
        "lines",
    ]
    assert stages[2].note.startswith("dark ink")
    assert stages[-1].note == "2 lines"
    strip, _ = run_steps(pixels, DEFAULT_STEPS)
    np.testing.assert_array_equal(stages[-1].image, strip)
    for stage in stages:
        assert is_picture(stage.image), stage.step


def is_picture(image: NDArray[np.uint8]) -> bool:
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def test_the_boxes_are_drawn_on_the_page() -> None:
    pixels, boxes = draw_page()
    boxed = next(s for s in show_steps(pixels, DEFAULT_STEPS) if s.step == "boxes").image
    assert boxed.shape == pixels.shape
    red = (boxed[..., 0].astype(int) - boxed[..., 1]) > 100
    rows = np.flatnonzero(red.any(axis=1))
    assert 0 < boxes[0][1] - rows[0] < 30


def test_the_sheet_holds_all_stages_at_a_readable_width() -> None:
    stages = show_steps(flat(100, 4000), ["grey", "median"])
    sheet = stages_sheet(stages)
    assert sheet.shape[1] == 1424
    # Two pictures, reduced to 35 rows, each with a line of words.
    assert sheet.shape[0] == 2 * (35 + 24 + 12) + 12


def test_without_opencv_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match="needs OpenCV") as error:
        run_steps(flat(8, 8), ["grey"])
    assert error.value.hint == install_extra("page")


def test_opencv_is_not_imported_before_a_step_runs() -> None:
    code = (
        "import sys, foveal; foveal.preprocess; import foveal.page, foveal.workflow.preprocess; "
        "sys.exit('cv2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def with_ink() -> Image:
    """Draw a bar of ink, 20 x 60, on yellowish paper."""
    pixels = np.full((100, 200, 3), (240, 235, 200), np.uint8)
    pixels[40:60, 30:90] = (20, 30, 90)
    return pixels


def test_a_picture_is_cut_to_its_ink() -> None:
    pixels = with_ink()
    cut, pieces = run_steps(pixels, ("threshold", "trim"))
    assert np.array_equal(cut, pixels[40:60, 30:90])
    assert pieces == (Piece(30, 40, 90, 60, 0, 0),)
    empty, nothing = run_steps(flat(30, 50), ("threshold", "trim"))
    assert (empty.shape, nothing) == ((30, 50, 3), ())
    assert show_steps(flat(30, 50), ("threshold", "trim"))[-1].note == "no ink found"


def test_margins_are_even_and_of_the_colour_of_the_paper() -> None:
    pixels = with_ink()
    laid, pieces = run_steps(pixels, ("threshold", "trim", "margin:50"))
    # Half of the ink's height on all four sides.
    assert laid.shape == (40, 80, 3)
    assert np.array_equal(laid[10:30, 10:70], pixels[40:60, 30:90])
    laid[10:30, 10:70] = (240, 235, 200)
    assert (laid == (240, 235, 200)).all()
    assert pieces == (Piece(30, 40, 90, 60, 10, 10),)
    grey, _ = run_steps(pixels, ("threshold", "trim", "grey", "margin:50"))
    assert np.array_equal(grey[0, 0], run_steps(pixels, ("grey",))[0][0, 0])


def test_margins_alone_enlarge_the_picture_and_its_ink() -> None:
    pixels = with_ink()
    laid, pieces = run_steps(pixels, ("margin",))
    assert laid.shape == (150, 250, 3)
    assert pieces == (Piece(0, 0, 200, 100, 25, 25),)
    ink, _ = run_steps(pixels, ("threshold", "margin"))
    assert (ink[65:85, 55:115] == 0).all()
    assert (ink == 255).sum() == 3 * (150 * 250 - 20 * 60)


def test_places_in_what_was_laid_out_are_places_in_the_picture() -> None:
    pipeline = Pipeline(40, 200, "line", steps=("threshold", "trim", "margin:50"))
    _, frame = pipeline.apply(Picture.from_array(with_ink()))
    # The corner of the ink, after margins of 10 pixels.
    assert frame.to_original(10 * frame.scale[0], 10 * frame.scale[1]) == (40.0, 30.0)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (("trim",), "'trim' looks for ink"),
        (("threshold", "trim", "trim"), "'trim' occurs twice"),
        (("threshold", "lines", "threshold", "trim"), "both cut the picture"),
        (("threshold", "fractions", "lines"), "both cut the picture"),
        (("threshold", "margin", "fractions"), "before the step that cuts the picture"),
        (("fractions",), "'fractions' looks for ink"),
        (("threshold", "margin", "trim"), "before the step that cuts the picture"),
        (("margin:0",), "percentage of the picture's height, from 1 to 200"),
        (("margin:1000",), "percentage of the picture's height, from 1 to 200"),
    ],
)
def test_cuts_and_margins_that_make_no_sense_are_refused(steps: tuple[str, ...], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_steps(steps)
