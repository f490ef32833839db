"""Pictures with masks at their own sizes, in raw files."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal.console import NoProgress
from foveal.data.cache import Cache, Windows
from foveal.data.decode import DecodeLimits
from foveal.data.source import Loaded, Opened, Sample, Source
from foveal.errors import DataError, ImageError
from foveal.pipeline import Pipeline
from foveal.types import IGNORED, Picture

LIMITS = DecodeLimits(max_bytes=1 << 24, max_pixels=1 << 24)
TILES = Pipeline(32, 32, "tile")


@dataclass(frozen=True)
class Drawn(Source):
    """Pictures and masks that lie in memory."""

    pictures: dict[str, NDArray[np.uint8]]
    masks: dict[str, NDArray[np.uint8]]

    @property
    def classes(self) -> tuple[str, ...]:
        return ("background", "cell", "edge")

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        return Loaded(Picture.from_array(self.pictures[sample.id]), b"0" * 16)

    def mask(self, sample: Sample) -> NDArray[np.uint8]:
        return self.masks[sample.id]


def drawn(*sizes: tuple[int, int]) -> Drawn:
    rng = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(len(sizes))]
    pictures = {
        name: rng.integers(0, 256, (*size, 3), np.uint8)
        for name, size in zip(names, sizes, strict=True)
    }
    masks = {
        name: rng.integers(0, 3, size, np.uint8) for name, size in zip(names, sizes, strict=True)
    }
    samples = tuple(Sample(name, ("background", "cell", "edge")) for name in names)
    return Drawn("memory", "drawn", samples, (), pictures, masks)


def crop(
    cache: Cache, index: int, top: int, left: int, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return one window of a picture and of its mask."""
    samples, tops, lefts = (np.array([value], np.int64) for value in (index, top, left))
    windows = Windows(samples, tops, lefts, (height, width))
    return cache.read(windows)[0], cache.read_masks(windows)[0]


def build(source: Source, path: Path, pipeline: Pipeline = TILES) -> Cache:
    return Cache.build(source, pipeline, path / "cache", LIMITS, workers=2, progress=NoProgress())


def test_a_window_is_what_the_picture_and_the_mask_have_there(tmp_path: Path) -> None:
    source = drawn((40, 50), (700, 33))
    cache = build(source, tmp_path)
    pixels, mask = crop(cache, 1, 600, 3, 20, 30)
    np.testing.assert_array_equal(pixels, source.pictures["1.png"][600:620, 3:33])
    np.testing.assert_array_equal(mask, source.masks["1.png"][600:620, 3:33])
    assert cache.sizes.tolist() == [[40, 50], [700, 33]]
    assert cache.scan.sizes.tolist() == [[40, 50], [700, 33]]


def test_outside_is_a_mirror_that_nobody_answers_for(tmp_path: Path) -> None:
    source = drawn((8, 6))
    pixels, mask = crop(build(source, tmp_path), 0, -2, -1, 12, 9)
    expected = np.pad(source.pictures["0.png"], ((2, 2), (1, 2), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(pixels, expected)
    known = np.full((12, 9), IGNORED, np.uint8)
    known[2:10, 1:7] = source.masks["0.png"]
    np.testing.assert_array_equal(mask, known)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_window_of_any_picture_has_the_right_pixels(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    size = (data.draw(st.integers(1, 30)), data.draw(st.integers(1, 30)))
    source = drawn(size)
    cache = build(source, tmp_path_factory.mktemp("windows"))
    top, left = data.draw(st.integers(-40, 40)), data.draw(st.integers(-40, 40))
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    pixels, mask = crop(cache, 0, top, left, height, width)
    assert (pixels.shape, mask.shape) == ((height, width, 3), (height, width))
    ys, xs = np.mgrid[top : top + height, left : left + width]
    inside = (ys >= 0) & (xs >= 0) & (ys < size[0]) & (xs < size[1])
    assert (mask[~inside] == IGNORED).all()
    np.testing.assert_array_equal(mask[inside], source.masks["0.png"][ys[inside], xs[inside]])
    np.testing.assert_array_equal(pixels[inside], source.pictures["0.png"][ys[inside], xs[inside]])


def test_remembered_places_hold_the_class(tmp_path: Path) -> None:
    source = drawn((1200, 40))
    rare = np.zeros((1200, 40), np.uint8)
    rare[1100, 7] = 2
    rare[:600] = 1
    source = replace(source, masks={"0.png": rare})
    cache = build(source, tmp_path)
    assert cache.pixels.tolist() == [[1200 * 40 - 600 * 40 - 1, 600 * 40, 1]]
    for draw in (0.0, 0.4, 0.999):
        assert cache.place(0, 2, draw) == (1100, 7)
        place = cache.place(0, 1, draw)
        assert place is not None and rare[place] == 1
    places = {cache.place(0, 1, draw) for draw in np.linspace(0, 0.999, 200)}
    assert len(places) > 100
    assert cache.place(0, 1, 0.5) != cache.place(0, 1, 0.9)


def test_a_class_that_is_not_there_has_no_place(tmp_path: Path) -> None:
    source = drawn((9, 9))
    cache = build(replace(source, masks={"0.png": np.zeros((9, 9), np.uint8)}), tmp_path)
    assert cache.place(0, 1, 0.5) is None


def test_half_the_scale_is_half_the_size_and_masks_keep_their_classes(tmp_path: Path) -> None:
    picture = np.zeros((64, 48, 3), np.uint8)
    picture[:, 24:] = 200
    mask = np.zeros((64, 48), np.uint8)
    mask[:, 24:] = 2
    source = drawn((64, 48))
    source = replace(source, pictures={"0.png": picture}, masks={"0.png": mask})
    cache = build(source, tmp_path, Pipeline(32, 32, "tile", scale=0.5))
    assert cache.sizes.tolist() == [[32, 24]]
    pixels, truth = crop(cache, 0, 0, 0, 32, 24)
    np.testing.assert_array_equal(truth, mask[::2, ::2])
    assert (pixels[:, :11] == 0).all() and (pixels[:, 13:] == 200).all()


def test_bands_are_scaled_as_the_whole_is(tmp_path: Path) -> None:
    from PIL import Image as PILImage

    source = drawn((2000, 60))
    cache = build(source, tmp_path, Pipeline(32, 32, "tile", scale=0.4))
    whole = PILImage.fromarray(source.pictures["0.png"])
    expected = np.asarray(whole.resize((24, 800), PILImage.Resampling.BILINEAR))
    pixels, _ = crop(cache, 0, 0, 0, 800, 24)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_what_cannot_be_read_is_an_error_and_takes_no_room(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Damaged(Drawn):
        def open(self, sample: Sample, limits: DecodeLimits) -> Opened:
            if sample.id == "1.png":
                return Opened(_Broken(), b"0" * 16)
            return super().open(sample, limits)

    @dataclass(frozen=True)
    class _Broken:
        height: int = 900
        width: int = 10

        def read(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
            if top:
                raise ImageError("the strip at row 512 is damaged")
            return np.zeros((height, width, 3), np.uint8)

    plain = drawn((10, 10), (900, 10), (10, 12), (5, 5))
    masks = {**plain.masks, "2.png": np.zeros((9, 9), np.uint8)}
    samples = (*plain.samples[:3], Sample("3.png", None))
    source = Damaged("memory", "drawn", samples, (), plain.pictures, masks)
    cache = build(source, tmp_path)
    assert {i: code for i, (code, _) in cache.scan.errors.items()} == {
        1: ImageError.code,
        2: "mask_size",
        3: "unlabelled",
    }
    assert "9 x 9 pixels, the picture 12 x 10" in cache.scan.errors[2][1]
    assert (cache.directory / "pixels.u8").stat().st_size == 300
    np.testing.assert_array_equal(crop(cache, 0, 0, 0, 10, 10)[0], plain.pictures["0.png"])


def test_a_cache_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no complete cache"):
        Cache.open(tmp_path / "cache")
    cache = build(drawn((9, 9)), tmp_path)
    again = Cache.open(cache.directory)
    np.testing.assert_array_equal(crop(again, 0, 0, 0, 9, 9)[1], crop(cache, 0, 0, 0, 9, 9)[1])
    cache.close()
    with pytest.raises(ValueError, match="closed"):
        crop(cache, 0, 0, 0, 1, 1)


def test_a_picture_is_cached_in_the_memory_of_a_band_of_it(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Endless:
        height: int = 20_000
        width: int = 1000

        def read(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
            return np.full((height, width, 3), top % 251, np.uint8)

    @dataclass(frozen=True)
    class Slide(Drawn):
        def open(self, sample: Sample, limits: DecodeLimits) -> Opened:
            return Opened(Endless(), b"0" * 16)

        def mask(self, sample: Sample) -> NDArray[np.uint8]:
            return np.zeros((20_000, 1000), np.uint8)

    source = Slide("memory", "drawn", (Sample("0.png", ("background",)),), (), {}, {})
    tracemalloc.start()
    try:
        cache = build(source, tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cache.sizes.tolist() == [[20_000, 1000]]
    # The mask's 20 MB and some bands of 1.5 MB; the picture alone would be 60 MB.
    assert peak < 45e6
