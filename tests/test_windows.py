"""A scaled pixel has one value, in whatever window and by whichever part of foveal it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.console import NoProgress
from foveal.data.cache import Cache, Windows
from foveal.data.decode import DecodeLimits
from foveal.data.source import Loaded, Sample, Source
from foveal.pipeline import Pipeline
from foveal.predict.tiles import Tiler
from foveal.types import Image, Outputs, Picture
from foveal.windows import read_window, scaled, scaled_mask, step_of

SCALES = [1.0, 0.9, 0.77, 0.5, 1 / 3, 0.3, 0.25, 0.137, 0.06]


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@settings(deadline=None, max_examples=150)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    scale=st.floats(0.05, 1.0),
    data=st.data(),
)
def test_every_window_has_the_very_pixels_of_the_whole(
    height: int, width: int, scale: float, data: st.DataObject
) -> None:
    small = scaled(Picture.from_array(noise(height, width)), scale)
    whole = small.read(0, 0, small.height, small.width)
    top = data.draw(st.integers(0, small.height - 1))
    left = data.draw(st.integers(0, small.width - 1))
    rows = data.draw(st.integers(1, small.height - top))
    columns = data.draw(st.integers(1, small.width - left))
    part = small.read(top, left, rows, columns)
    np.testing.assert_array_equal(part, whole[top : top + rows, left : left + columns])


@dataclass(frozen=True)
class OnePicture(Source):
    """A picture and its mask, in memory."""

    pixels: Image

    @property
    def classes(self) -> tuple[str, ...]:
        return ("ground",)

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        return Loaded(Picture.from_array(self.pixels), b"0" * 16)

    def mask(self, sample: Sample) -> NDArray[np.uint8]:
        return np.zeros(self.pixels.shape[:2], np.uint8)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(301, 503), (640, 77), (65, 1), (1, 130), (40, 50)])
def test_a_network_is_asked_about_the_pixels_that_it_was_trained_on(
    tmp_path: Path, scale: float, size: tuple[int, int]
) -> None:
    seen: list[Image] = []

    class Remembering:
        def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
            seen.extend(inputs.copy())
            return {"maps": np.zeros((len(inputs), 1, 32, 48), np.float32)}

    pipeline = Pipeline(32, 48, "tile", scale=scale, overlap=0.3)
    source = OnePicture("memory", "one", (Sample("a.png", ("ground",)),), (), noise(*size))
    limits = DecodeLimits(1 << 24, 1 << 24)
    cache = Cache.build(
        source, pipeline, tmp_path / "cache", limits, workers=1, progress=NoProgress()
    )
    list(Tiler(Remembering(), pipeline).bands(Picture.from_array(source.pixels), ["maps"]))

    height, width = (int(side) for side in cache.sizes[0])
    steps = (22, 33)  # of 70 % of a tile
    starts = [
        [i * max(0, side - tile) // max(1, last) for i in range(last + 1)]
        for side, tile, step in zip((height, width), (32, 48), steps, strict=True)
        for last in [-(-max(0, side - tile) // step)]
    ]
    places = [(top, left) for top in starts[0] for left in starts[1]]
    assert len(places) == len(seen)
    tops, lefts = np.array(places, np.int64).T
    windows = Windows(np.zeros(len(places), np.int64), tops, lefts, (32, 48))
    np.testing.assert_array_equal(np.stack(seen), cache.read(windows))


def test_a_wide_picture_is_scaled_in_blocks_that_nobody_sees() -> None:
    # Places beyond 2^16 pixels are not exact in the float32 that Pillow takes.
    pixels = noise(3, 70_000)
    small = scaled(Picture.from_array(pixels), 0.3)
    whole = small.read(0, 0, 1, small.width)
    np.testing.assert_array_equal(small.read(0, 20_950, 1, 40), whole[:, 20_950:20_990])
    step = step_of(0.3)
    alone = scaled(Picture.from_array(pixels[:, -round(256 * step) :]), 0.3)
    assert np.abs(alone.read(0, 0, 1, 200)[:, 100:].mean() - whole[:, -156:-56].mean()) < 2


@pytest.mark.parametrize("factor", [2, 3, 5, 8])
def test_whole_steps_are_scaled_as_pillow_scales(factor: int) -> None:
    pixels = noise(factor * 31, factor * 20)
    small = scaled(Picture.from_array(pixels), 1 / factor)
    pillow = PILImage.fromarray(pixels).resize((20, 31), PILImage.Resampling.BILINEAR)
    # Pillow is free to begin with either side, and rounds in between.
    assert np.abs(small.read(0, 0, 31, 20).astype(int) - np.asarray(pillow)).max() <= 1


def test_a_step_is_a_multiple_of_a_256th_and_at_least_one() -> None:
    assert [step_of(scale) for scale in (1.0, 0.999, 0.5, 0.3)] == [1.0, 1.0, 2.0, 853 / 256]


def test_the_last_pixel_repeats_the_edge() -> None:
    # 5 rows make 3 of 2: the last covers row 4 and one beyond the edge.
    column = np.array([10, 10, 10, 10, 90], np.uint8).reshape(5, 1, 1).repeat(3, 2)
    small = scaled(Picture.from_array(np.repeat(column, 2, 1)), 0.5)
    # Triangle of four rows around the centre: 1/8, 3/8, 3/8, 1/8; beyond the last there is none.
    assert small.read(0, 0, 3, 1)[:, 0, 0].tolist() == [10, 20, 79]


def test_a_mask_has_the_class_at_the_centre_of_each_pixel() -> None:
    mask = np.arange(5, dtype=np.uint8).reshape(5, 1)
    assert scaled_mask(mask, 0.5)[:, 0].tolist() == [1, 3, 4]
    assert scaled_mask(mask, 1.0)[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_window_beyond_the_edge_mirrors_what_is_inside() -> None:
    row = Picture.from_array(np.array([[[1] * 3, [2] * 3, [3] * 3]], np.uint8))
    assert read_window(row, 0, -2, 2, 7)[:, :, 0].tolist() == [[3, 2, 1, 2, 3, 2, 1]] * 2
