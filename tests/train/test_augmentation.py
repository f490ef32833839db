import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies

from foveal.recipe import AugmentOptions
from foveal.train.augmentation import Augmenter, to_float, warp
from foveal.train.seeds import generator
from foveal.train.share import Share

OFF = {
    "rotation": 0, "zoom": 0, "shear": 0, "shift": 0, "flip_horizontal": False,
    "brightness": 0, "contrast": 0, "color": 0,
}  # fmt: skip
PAD = (10, 200, 90)


def pictures(count=6, height=9, width=7):
    return torch.randint(0, 256, (count, height, width, 3), generator=generator(1)).to(torch.uint8)


def augment(pixels, seed=0, **options):
    return Augmenter(AugmentOptions(**{**OFF, **options}), PAD)(pixels, generator(seed))


@pytest.mark.parametrize("options", [{}, {"enabled": False, "rotation": 90.0}], ids=str)
def test_everything_off_changes_nothing(options):
    pixels = pictures()
    images = augment(pixels, **options)
    assert torch.equal(images, to_float(pixels))
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("key", "axis"), [("flip_horizontal", 2), ("flip_vertical", 1)], ids=["horizontal", "vertical"]
)
def test_flips_alone_are_exact_and_hit_about_half(key, axis):
    pixels = pictures(count=200)
    images = augment(pixels, **{key: True})
    plain = to_float(pixels)
    flipped = to_float(torch.from_numpy(np.flip(pixels.numpy(), axis).copy()))
    is_flipped = (images == flipped).all((1, 2, 3))
    is_plain = (images == plain).all((1, 2, 3))
    assert (is_flipped | is_plain).all()
    assert 70 < int(is_flipped.sum()) < 130


def test_flips_within_a_resampling_are_the_same_flips():
    pixels = pictures(count=50)
    # A shift of next to nothing takes the way through the resampling.
    images = augment(pixels, flip_horizontal=True, shift=1e-7)
    plain, flipped = to_float(pixels), to_float(pixels.flip(2))
    close = [
        bool(torch.allclose(i, p, atol=0.01)) or bool(torch.allclose(i, f, atol=0.01))
        for i, p, f in zip(images, plain, flipped, strict=True)
    ]
    assert all(close)
    assert not torch.allclose(images, plain, atol=1)


def rotation(degrees):
    """Return the (2, 2) matrix of `warp` that turns a picture counter-clockwise on the screen."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[cos, -sin], [sin, cos]])


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_turning_by_right_angles_moves_whole_pixels(quarters):
    images = to_float(pictures(height=8, width=8)).contiguous()
    matrix = rotation(90.0 * quarters).repeat(len(images), 1, 1)
    turned = warp(images, matrix, torch.zeros(len(images), 2), PAD)
    expected = torch.rot90(images, quarters, (2, 3))
    assert torch.allclose(turned, expected, atol=0.01)


def test_turning_a_picture_that_is_not_square_keeps_its_proportions():
    # A 2 x 2 block 4 pixels right of the centre of a wide picture comes to stand 4 above it.
    images = torch.zeros(1, 3, 12, 20)
    images[:, :, 5:7, 13:15] = 255
    turned = warp(images, rotation(90.0)[None], torch.zeros(1, 2), (0, 0, 0))
    expected = torch.zeros(1, 3, 12, 20)
    expected[:, :, 1:3, 9:11] = 255
    assert torch.allclose(turned, expected, atol=0.1)


def test_what_comes_into_view_has_the_padding_colour():
    images = torch.full((1, 3, 8, 8), 77.0)
    moved = warp(images, torch.eye(2)[None], torch.tensor([[1.0, 0.0]]), PAD)
    # Half a width to the right is looked at: the right half of the result is outside.
    assert torch.allclose(moved[0, :, :, :4], torch.full((3, 8, 4), 77.0), atol=1e-3)
    outside = torch.tensor(PAD, dtype=torch.float32)[:, None, None].expand(3, 8, 4)
    assert torch.allclose(moved[0, :, :, 4:], outside, atol=1e-3)


EVERYTHING = {
    "rotation": 30, "zoom": 0.3, "shear": 10, "shift": 0.2, "flip_horizontal": True,
    "flip_vertical": True, "brightness": 0.5, "contrast": 0.5, "color": 0.5, "blur": 1.0,
    "noise": 0.2, "erasing": 0.5, "stretch": 0.5, "shrink": 1.0, "tint": 0.3,
    "fade": 0.6, "invert": 0.5, "stroke": 1.5, "shade": 0.5, "stain": 0.4,
    "lines": 0.7, "bolder": 1.5, "ink_color": 0.8,
}  # fmt: skip


@pytest.mark.parametrize("key", EVERYTHING)
def test_each_key_changes_the_pictures(key):
    pixels = pictures(count=16)
    assert not torch.equal(augment(pixels, **{key: EVERYTHING[key]}), to_float(pixels))


@pytest.mark.parametrize("key", [*EVERYTHING, "all"])
def test_values_stay_within_the_range_of_pictures(key):
    options = EVERYTHING if key == "all" else {key: EVERYTHING[key]}
    images = augment(pictures(count=32), **options)
    assert float(images.min()) >= 0
    assert float(images.max()) <= 255.001
    assert images.shape == (32, 3, 9, 7)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_the_same_seed_gives_the_same_pictures_and_another_seed_others():
    pixels = pictures()
    first = augment(pixels, seed=1, **EVERYTHING)
    assert torch.equal(first, augment(pixels, seed=1, **EVERYTHING))
    assert not torch.equal(first, augment(pixels, seed=2, **EVERYTHING))


def test_pictures_of_a_batch_are_changed_differently():
    pixels = pictures(count=1).repeat(2, 1, 1, 1)
    first, second = augment(pixels, rotation=45)
    assert not torch.equal(first, second)


def test_brightness_multiplies_every_value_of_a_picture():
    pixels = torch.full((4, 3, 3, 3), 100, dtype=torch.uint8)
    images = augment(pixels, brightness=0.5)
    assert torch.allclose(images, images[:, :1, :1, :1].expand_as(images), atol=1e-3)
    assert 50 <= float(images.min()) < float(images.max()) <= 150


def test_contrast_keeps_the_mean_grey():
    grey = torch.randint(60, 190, (8, 5, 5, 1), generator=generator(2)).to(torch.uint8)
    pixels = grey.expand(8, 5, 5, 3)
    images = augment(pixels, contrast=0.3)
    assert torch.allclose(images.mean((1, 2, 3)), to_float(pixels).mean((1, 2, 3)), atol=0.01)


def test_saturation_leaves_grey_pictures_alone():
    grey = torch.randint(0, 256, (8, 5, 5, 1), generator=generator(2)).to(torch.uint8)
    pixels = grey.expand(8, 5, 5, 3)
    assert torch.allclose(augment(pixels, color=0.9), to_float(pixels), atol=0.01)


def test_blur_keeps_a_flat_picture_and_smooths_a_noisy_one():
    flat = torch.full((2, 9, 9, 3), 80, dtype=torch.uint8)
    assert torch.allclose(augment(flat, blur=1.0), to_float(flat), atol=1e-3)
    noisy = pictures(count=4, height=16, width=16)
    assert float(augment(noisy, blur=1.0).std()) < float(to_float(noisy).std()) * 0.7


def test_blur_spreads_a_point_by_the_gaussian():
    point = torch.zeros(1, 9, 9, 3, dtype=torch.uint8)
    point[0, 4, 4] = 255
    images = [augment(point, seed=seed, blur=1.0)[0, 0] for seed in range(8)]
    for image in images:
        assert float(image.sum()) == pytest.approx(255, rel=1e-4)
        assert torch.allclose(image, image.T, atol=1e-4)
        assert torch.allclose(image, image.flip(0), atol=1e-4)


def test_each_picture_of_a_batch_is_blurred_or_not_by_itself():
    dots = torch.zeros(200, 9, 9, 3, dtype=torch.uint8)
    dots[:, 4, 4] = 255
    brightest = augment(dots, blur=0.5).amax((1, 2, 3))
    # A third of a point's light is left in the middle of the narrow bell, a ninth in the wide one.
    kinds = [brightest == 255, (brightest < 255) & (brightest > 50), brightest < 50]
    assert [int(kind.sum()) for kind in kinds] == pytest.approx([100, 50, 50], abs=25)


def test_erasing_fills_one_rectangle_of_some_pictures():
    pixels = torch.full((100, 20, 20, 3), 128, dtype=torch.uint8)
    images = augment(pixels, erasing=0.5)
    changed = (images != 128).any(1)
    is_erased = changed.any((1, 2))
    assert 30 < int(is_erased.sum()) < 70
    for mask in changed[is_erased]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None])
        assert 2 <= int(rows.sum()) <= 9


def lit_box(images):
    """Return width, height, left, top of what is lit in pictures, each (N,)."""
    lit = images[:, 0] > 127
    columns, rows = lit.any(1).float(), lit.any(2).float()
    return columns.sum(1), rows.sum(1), columns.argmax(1), rows.argmax(1)


def test_stretching_makes_a_shape_narrower_or_lower_and_never_both():
    pixels = torch.full((200, 40, 40, 3), 255, dtype=torch.uint8)
    images = augment(pixels, stretch=1.0)
    wide, high, left, top = lit_box(images)
    assert float(torch.maximum(wide, high).min()) == 40
    assert 20 <= float(wide.min()) <= 23
    assert 20 <= float(high.min()) <= 23
    # It lies anywhere between the sides.
    assert len(set(left[wide < 30].tolist())) > 5
    assert len(set(top[high < 30].tolist())) > 5


def test_a_shrunk_picture_keeps_its_proportions_and_lies_whole_anywhere_in_its_frame():
    pixels = torch.full((300, 60, 40, 3), 255, dtype=torch.uint8)
    images = augment(pixels, shrink=2.0)
    wide, high, left, top = lit_box(images)
    assert torch.all((high / wide - 1.5).abs() < 0.25)
    assert 13 <= float(wide.min()) <= 16
    assert 35 < float(wide.max()) <= 40
    small = wide < 20
    assert int(left[small].min()) <= 4
    assert int((left + wide)[small].max()) >= 36
    assert int(top[small].min()) <= 6
    # Nothing of it is cut off: the lit area is that of the whole picture, scaled.
    areas = (images[:, 0] > 127).sum((1, 2)).float()
    assert torch.allclose(areas, wide * high, rtol=0.02)


def test_a_line_of_one_pixel_is_as_light_as_its_area_says_when_it_is_shrunk():
    pixels = torch.zeros(200, 60, 60, 3, dtype=torch.uint8)
    pixels[:, 30] = 255
    lines = Augmenter(AugmentOptions(**{**OFF, "shrink": 2.0}), (0, 0, 0))(pixels, generator(0))
    light = lines[:, 0].sum((1, 2)) / (255 * 60)
    share = (lines[:, 0].amax(1) > 4).float().mean(1)
    assert float(share.min()) < 0.36
    # Of every third row alone, a line would be three times as light as it should be, or not seen.
    assert torch.all((light / share**2 - 1).abs() < 0.55)


def test_half_of_the_pictures_keep_their_size_and_half_their_proportions():
    pixels = torch.full((400, 40, 40, 3), 255, dtype=torch.uint8)
    wide, high, _, _ = lit_box(augment(pixels, shrink=2.0))
    assert 160 < int(((wide == 40) & (high == 40)).sum()) < 240
    wide, high, _, _ = lit_box(augment(pixels, stretch=1.0))
    assert 160 < int((wide == high).sum()) < 240


def test_a_shrunk_crop_keeps_its_middle_and_its_mask_follows():
    pixels = torch.zeros(50, 64, 64, 3, dtype=torch.uint8)
    pixels[:, 24:40, 24:40] = 255
    masks = (pixels[..., 0] > 0).to(torch.uint8)
    augmenter = Augmenter(AugmentOptions(**{**OFF, "shrink": 1.0}), (0, 0, 0))
    images, moved = augmenter.with_masks(pixels, masks, (32, 32), generator(0))
    wide, high, left, top = lit_box(images)
    assert torch.all((left + wide / 2 - 16).abs() <= 1)
    assert torch.all((top + high / 2 - 16).abs() <= 1)
    # But for its edge, where one is blended and the other is not.
    assert torch.all(((moved == 1) ^ (images[:, 0] > 127)).sum((1, 2)) <= 2 * (wide + high))


def test_fading_goes_towards_the_padding_colour_and_no_further():
    pixels = torch.full((100, 4, 4, 3), 255, dtype=torch.uint8)
    images = augment(pixels, fade=0.5)
    pad = torch.tensor(PAD, dtype=torch.float32)
    kept = (images[:, :, 0, 0] - pad) / (255 - pad)
    assert torch.allclose(kept, kept[:, :1].expand_as(kept), atol=1e-4)
    assert 0.5 <= float(kept.min()) < 0.6
    assert 0.9 < float(kept.max()) <= 1


def test_inverted_pictures_are_negatives():
    pixels = pictures(count=200)
    images = augment(pixels, invert=0.5)
    plain = to_float(pixels)
    is_negative = torch.isclose(images, 255 - plain, atol=1e-3).all((1, 2, 3))
    is_plain = torch.isclose(images, plain, atol=1e-3).all((1, 2, 3))
    assert (is_negative | is_plain).all()
    assert 70 < int(is_negative.sum()) < 130


def test_a_tint_multiplies_each_colour_by_its_own_factor():
    images = augment(torch.full((100, 2, 2, 3), 100, dtype=torch.uint8), tint=0.3)
    factors = images[:, :, 0, 0] / 100
    assert 0.7 <= float(factors.min()) < 0.75
    assert 1.25 < float(factors.max()) <= 1.3
    assert float((factors.max(1).values - factors.min(1).values).median()) > 0.1


@pytest.mark.parametrize("is_dark", [True, False])
def test_strokes_grow_and_shrink_by_at_most_the_pixels_asked_for(is_dark):
    ground, ink = (255, 0) if is_dark else (0, 255)
    pixels = torch.full((200, 21, 21, 3), ground, dtype=torch.uint8)
    pixels[:, :, 8:13] = ink
    images = augment(pixels, stroke=1.5)
    # Width of the bar in pixels, grey ones in part.
    width = ((images[:, 0, 10] - ground) / (ink - ground)).sum(1)
    assert 2 <= float(width.min()) < 2.4
    assert 7.6 < float(width.max()) <= 8
    assert abs(float(width.mean()) - 5) < 0.5


def test_dark_parts_of_half_of_the_pictures_grow():
    pixels = torch.full((400, 21, 21, 3), 255, dtype=torch.uint8)
    pixels[:, :, 8:13] = 0
    images = augment(pixels, bolder=1.5)
    # By how much each edge of the bar moves outwards, in pixels.
    moved = ((1 - images[:, 0, 10] / 255).sum(1) - 5) / 2
    # Half of 400, a standard deviation of which is 10.
    assert 160 < int((moved.abs() < 1e-4).sum()) < 240
    assert float(moved.min()) > -1e-4
    assert 1.4 < float(moved.max()) <= 1.5


def test_the_ink_of_half_of_the_pictures_is_coloured_and_the_ground_is_not():
    pixels = torch.tensor(PAD, dtype=torch.uint8).expand(400, 4, 4, 3).clone()
    pixels[:, 1:3, 1:3] = 255
    images = augment(pixels, ink_color=0.8)
    pad = torch.tensor(PAD, dtype=torch.float32)
    assert torch.allclose(images[:, :, 0, 0], pad.expand(400, 3), atol=1e-3)
    kept = (images[:, :, 1, 1] - pad) / (255 - pad)
    assert 160 < int((kept > 1 - 1e-4).all(1).sum()) < 240
    assert 0.2 - 1e-4 <= float(kept.min()) < 0.25
    assert float((kept.amax(1) - kept.amin(1)).max()) > 0.6


def test_fading_and_colouring_of_ink_are_multiplied():
    images = augment(torch.full((400, 2, 2, 3), 255, dtype=torch.uint8), fade=0.5, ink_color=0.8)
    pad = torch.tensor(PAD, dtype=torch.float32)
    kept = (images[:, :, 0, 0] - pad) / (255 - pad)
    # As little as 0.5 of 0.2.
    assert 0.1 <= float(kept.min()) < 0.2


def test_shading_takes_light_away_at_one_side():
    images = augment(torch.full((100, 16, 16, 3), 200, dtype=torch.uint8), shade=0.6)
    assert float(images.max()) <= 200
    assert 80 <= float(images.min()) < 110
    # No picture is darker everywhere.
    assert float(images.amax((1, 2, 3)).min()) > 170


def test_lines_are_parallel_and_leave_most_of_a_share_of_the_pictures_as_they_are():
    images = augment(torch.full((400, 40, 40, 3), 128, dtype=torch.uint8), lines=0.5)
    is_line = (images != 128).any(1).double()
    ruled = is_line.sum((1, 2)) > 0
    # Half of 400, a standard deviation of which is 10.
    assert 160 < int(ruled.sum()) < 240
    # The thickest and closest lines: 2 px and what they touch, every 4 px.
    assert 0.02 < float(is_line[ruled].mean((1, 2)).min()) < 0.3
    assert float(is_line[ruled].mean((1, 2)).max()) < 0.8
    # Lines along a side fill rows or columns; of those in any direction no row is full.
    full = torch.maximum(is_line.mean(1).amax(1), is_line.mean(2).amax(1))[ruled]
    assert float((full > 0.5).double().mean()) > 0.5


def stained(*amounts):
    """A pixel with these amounts of haematoxylin, eosin and DAB, (1, 1, 1, 3) uint8."""
    densities = np.array([(0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)])
    densities /= np.linalg.norm(densities, axis=1, keepdims=True)
    values = 256 * np.exp(-np.array(amounts) @ densities) - 1
    return torch.from_numpy(values.round().astype(np.uint8)[None, None, None])


def test_a_stain_becomes_more_or_less_and_keeps_its_colour():
    pixels = stained(1.2, 0, 0).repeat(64, 1, 1, 1)
    images = augment(pixels, stain=0.5)[:, :, 0, 0]
    before = -torch.log((pixels[:, 0, 0].float() + 1) / 256)
    ratios = -torch.log((images + 1) / 256) / before
    # One factor for the three colours of one stain, and many factors in all.
    assert float((ratios.amax(1) - ratios.amin(1)).max()) < 0.02
    assert 0.49 <= float(ratios.min()) < 0.6 and 1.4 < float(ratios.max()) <= 1.51


def test_what_is_not_stained_stays_white():
    white = torch.full((4, 2, 2, 3), 255, dtype=torch.uint8)
    assert torch.allclose(augment(white, stain=0.5), to_float(white), atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"flip_horizontal": True, "flip_vertical": True}])
def test_an_elastic_warp_moves_pixels_smoothly_and_no_further_than_asked(options):
    most, side = 6.0, 96
    changed = Augmenter(AugmentOptions(**{**OFF, **options, "elastic": most}), PAD)
    wide = changed.margin(side)
    assert side + 2 * most <= wide <= side + 2 * most + 3
    # Pictures whose colours say where each pixel is.
    rows, columns = torch.meshgrid(torch.arange(wide), torch.arange(wide), indexing="ij")
    pixels = torch.stack([columns, rows, rows], -1).to(torch.uint8).repeat(8, 1, 1, 1)
    images, _ = changed.with_masks(
        pixels, torch.zeros(8, wide, wide, dtype=torch.uint8), (side, side), generator(5)
    )
    off = (wide - side) / 2
    own = torch.arange(side).float() + off
    mirrored = wide - 1 - own
    straight = torch.stack([own, mirrored]) if options else own[None]
    # Of the two directions that a flip may give, the one that is nearer as a whole.
    moved = (images[:, 0, None] - straight[:, None, :]).abs()
    moves = moved.amax((2, 3)).amin(1)
    assert float(moves.max()) <= most + 0.51
    assert float(moves.min()) > 0.5
    steps = images[:, 0].diff(dim=-1).abs()
    assert float((steps - 1).abs().max()) < 0.6


@given(
    side=strategies.integers(1, 12),
    options=strategies.fixed_dictionaries(
        {
            name: strategies.floats(0, most)
            for name, most in {
                "rotation": 180, "zoom": 0.5, "shear": 45, "shift": 0.5, "stretch": 2,
                "shrink": 2, "elastic": 20,
            }.items()
        }
    ),
    seed=strategies.integers(0, 1000),
)  # fmt: skip
def test_a_crop_is_moved_within_its_margin_and_around_its_own_middle(side, options, seed):
    changed = Augmenter(AugmentOptions(**{**OFF, **options}), (0, 0, 0))
    wide = changed.margin(side)
    assert (wide - side) % 2 == 0
    pixels = torch.full((8, wide, wide, 3), 255, dtype=torch.uint8)
    masks = torch.ones(8, wide, wide, dtype=torch.uint8)
    images, moved = changed.with_masks(pixels, masks, (side, side), generator(seed))
    assert float(images.min()) > 254.9
    assert torch.equal(moved, torch.ones_like(moved))


@pytest.mark.parametrize("side", [7, 8])
def test_a_crop_that_hardly_moves_is_not_blurred(side):
    changed = Augmenter(AugmentOptions(**{**OFF, "elastic": 1e-6}), PAD)
    wide = changed.margin(side)
    pixels, first = pictures(height=wide, width=wide), (wide - side) // 2
    masks = pixels[..., 0] // 2
    images, moved = changed.with_masks(pixels, masks, (side, side), generator(0))
    middle = slice(first, first + side)
    assert torch.allclose(images, to_float(pixels[:, middle, middle]), atol=0.01)
    assert torch.equal(moved, masks[:, middle, middle])


def test_a_crop_is_shifted_by_a_share_of_its_own_side():
    changed = Augmenter(AugmentOptions(**{**OFF, "shift": 0.25}), PAD)
    wide = changed.margin(40)
    columns = torch.arange(wide).expand(wide, wide)
    pixels = columns[None, :, :, None].repeat(200, 1, 1, 3).to(torch.uint8)
    masks = torch.zeros(200, wide, wide, dtype=torch.uint8)
    images, _ = changed.with_masks(pixels, masks, (40, 40), generator(0))
    shifts = images[:, 0, 0, 0] - (wide - 40) / 2
    assert -10 <= float(shifts.min()) < -9
    assert 9 < float(shifts.max()) <= 10


def test_a_mask_is_bent_as_its_picture_is():
    changed = Augmenter(AugmentOptions(**{**OFF, "elastic": 8.0}), PAD)
    wide = changed.margin(96)
    rows, columns = np.mgrid[:wide, :wide]
    disc = torch.from_numpy((rows - wide / 2) ** 2 + (columns - wide / 2) ** 2 < 900)
    masks = disc.to(torch.uint8).repeat(4, 1, 1)
    pixels = (255 * masks)[..., None].repeat(1, 1, 1, 3)
    images, moved = changed.with_masks(pixels, masks, (96, 96), generator(2))
    assert float(((images[:, 0] > 127) == (moved == 1)).float().mean()) > 0.995
    assert not torch.equal(moved[0], moved[1])


def test_a_share_of_the_pictures_is_changed_and_the_others_stay_as_they_are():
    pixels = pictures(count=400)
    every = augment(pixels, seed=4, noise=0.2)
    some = augment(pixels, seed=4, noise=0.2, share=0.3)
    stays = (some == to_float(pixels)).all((1, 2, 3))
    assert 240 < int(stays.sum()) < 320
    assert torch.equal(some[~stays], every[~stays])
    assert torch.equal(augment(pixels, noise=0.2, share=0.0), to_float(pixels))


def test_crops_that_stay_as_they_are_keep_their_masks():
    options = {"rotation": 45, "noise": 0.2, "share": 0.5}
    changed = Augmenter(AugmentOptions(**{**OFF, **options}), PAD)
    wide = changed.margin(8)
    pixels, first = pictures(count=200, height=wide, width=wide), (wide - 8) // 2
    masks, middle = pixels[..., 0] // 2, slice(first, first + 8)
    images, moved = changed.with_masks(pixels, masks, (8, 8), generator(0))
    stays = (images == to_float(pixels[:, middle, middle])).all((1, 2, 3))
    assert 70 < int(stays.sum()) < 130
    is_same = (moved == masks[:, middle, middle]).flatten(1).all(1)
    assert is_same[stays].all()
    assert float(is_same[~stays].float().mean()) < 0.2


def test_the_padding_of_a_picture_keeps_its_colour_however_the_picture_is_changed():
    pixels = pictures(count=5, width=12)
    filled = torch.tensor([12, 9, 4, 1, 0])
    changed = Augmenter(AugmentOptions(**{**OFF, **EVERYTHING, "invert": 1.0}), PAD)
    images = changed(pixels, generator(0), columns=filled)
    padding = torch.tensor(PAD).float().view(3, 1, 1)
    for image, width, whole in zip(images, filled, changed(pixels, generator(0)), strict=True):
        assert torch.equal(image[:, :, width:], padding.expand(3, 9, 12)[:, :, width:])
        assert torch.equal(image[:, :, :width], whole[:, :, :width])


@pytest.mark.parametrize("key", EVERYTHING)
def test_a_share_of_a_batch_is_changed_as_within_the_whole(key):
    pixels = pictures(count=8)
    changed = Augmenter(AugmentOptions(**{**OFF, key: EVERYTHING[key], "share": 0.7}), PAD)
    whole = changed(pixels, generator(3))
    part = changed(pixels[3:6], generator(3), Share(3, 6, 8))
    assert torch.allclose(part, whole[3:6], atol=1e-3)
