"""Cutting pictures into tiles and joining the maps: exact, without gaps, in constant memory."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal.errors import ImageError
from foveal.pipeline import FLIPS, Flips, Pipeline
from foveal.predict.tiles import Tiler
from foveal.types import Image, Outputs, Picture


@dataclass
class PointwiseEngine:
    """Gives the red channel and red minus green of every pixel; remembers its batches."""

    batches: list[int] = field(default_factory=list)

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        self.batches.append(len(inputs))
        values = inputs.astype(np.float32)
        return {"maps": np.stack([values[..., 0], values[..., 0] - values[..., 1]], axis=1)}


def tiled(
    height: int, width: int, *, scale: float = 1.0, overlap: float = 0.25, flips: Flips = "none"
) -> Pipeline:
    return Pipeline(height, width, "tile", scale=scale, overlap=overlap, flips=flips)


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def joined(tiler: Tiler, pixels: Image, name: str = "maps") -> NDArray[np.float32]:
    """Return the bands as one map; fails where they leave a gap or overlap."""
    bands = []
    expected = 0
    for top, outputs in tiler.bands(Picture.from_array(pixels), [name]):
        assert top == expected
        assert outputs[name].shape[2] == pixels.shape[1]
        bands.append(outputs[name].copy())
        expected += bands[-1].shape[1]
    assert expected == len(pixels)
    return np.concatenate(bands, axis=1)


def pointwise(pixels: Image) -> NDArray[np.float32]:
    values = pixels.astype(np.float32)
    return np.stack([values[..., 0], values[..., 0] - values[..., 1]])


def test_a_picture_of_one_tile_keeps_the_networks_very_values_and_is_run_once() -> None:
    rng = np.random.default_rng(1)
    answer = rng.normal(size=(1, 3, 16, 24)).astype(np.float32)
    runs = []

    class Fixed:
        def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
            runs.append(inputs.copy())
            return {"maps": answer}

    pixels = noise(16, 24)
    result = joined(Tiler(Fixed(), tiled(16, 24)), pixels)

    assert result.tobytes() == answer[0].tobytes()
    assert len(runs) == 1
    assert np.array_equal(runs[0], pixels[None])


@settings(deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    tile=st.tuples(st.integers(4, 32), st.integers(4, 32)),
    overlap=st.floats(0.0, 0.75),
    flips=st.sampled_from(FLIPS),
    batch_size=st.integers(1, 5),
)
def test_a_pointwise_network_answers_as_on_the_whole_picture(
    height: int, width: int, tile: tuple[int, int], overlap: float, flips: Flips, batch_size: int
) -> None:
    pixels = noise(height, width)
    pipeline = tiled(*tile, overlap=overlap, flips=flips)
    result = joined(Tiler(PointwiseEngine(), pipeline, batch_size=batch_size), pixels)
    np.testing.assert_allclose(result, pointwise(pixels), rtol=1e-5, atol=1e-3)


@settings(deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    scale=st.floats(0.2, 1.0),
    overlap=st.floats(0.0, 0.75),
)
def test_bands_join_without_gap_or_overlap_at_any_scale(
    height: int, width: int, scale: float, overlap: float
) -> None:
    # A flat picture stays flat under scaling, so the joined map must be flat everywhere.
    pixels = np.full((height, width, 3), 77, np.uint8)
    pipeline = tiled(12, 16, scale=scale, overlap=overlap)
    result = joined(Tiler(PointwiseEngine(), pipeline), pixels)
    np.testing.assert_allclose(result[0], 77.0, rtol=1e-5)
    np.testing.assert_allclose(result[1], 0.0, atol=1e-4)


def test_tiles_stand_evenly_and_the_last_ends_at_the_edge() -> None:
    class Wide:
        height, width = 10, 26
        lefts: list[int] = []  # noqa: RUF012  # The test's own record.

        def read(self, top: int, left: int, height: int, width: int) -> Image:
            self.lefts.append(left)
            return np.zeros((height, width, 3), np.uint8)

    # Steps of at most 10 * 0.75 = 7 pixels: three of them over the 16 that one tile leaves.
    list(Tiler(PointwiseEngine(), tiled(10, 10)).bands(Wide(), ["maps"]))
    assert Wide.lefts == [0, 5, 10, 16]


def test_batches_are_full_but_for_the_last() -> None:
    engine = PointwiseEngine()
    # 3 rows of 3 tiles.
    joined(Tiler(engine, tiled(10, 10, overlap=0.0), batch_size=4), noise(30, 30))
    assert engine.batches == [4, 4, 1]


def test_the_middle_of_a_tile_counts_more_than_its_rim() -> None:
    class Numbered:
        """Answers the number of the tile in the run."""

        def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
            maps = np.empty((len(inputs), 1, 8, 8), np.float32)
            maps[:] = np.arange(len(inputs)).reshape(-1, 1, 1, 1)
            return {"maps": maps}

    result = joined(Tiler(Numbered(), tiled(8, 8, overlap=0.5)), noise(8, 12))[0]
    # Tiles at 0 and 4 share the columns 4 to 7. Sigma is one pixel, so at column 4, 0.5 from the
    # middle of the first and 3.5 from that of the second, the second has e^-6.125 / (e^-6.125 +
    # e^-0.125) = 1 / (1 + e^6); at column 5 (1.5 and 2.5) it has 1 / (1 + e^2).
    expected = [0, 0, 0, 0, 0.0024726, 0.1192029, 0.8807971, 0.9975274, 1, 1, 1, 1]
    np.testing.assert_allclose(result, np.tile(expected, (8, 1)), atol=1e-6)


def test_a_small_picture_is_continued_by_its_mirror_image() -> None:
    seen = []

    class Looking:
        def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
            seen.append(inputs[0, :, :, 0].tolist())
            return {"maps": np.zeros((1, 1, 2, 5), np.float32)}

    row = np.array([[1, 2, 3]], np.uint8)[..., None].repeat(3, 2)
    joined(Tiler(Looking(), tiled(2, 5)), row)
    # One row cannot be mirrored and is repeated.
    assert seen == [[[1, 2, 3, 2, 1], [1, 2, 3, 2, 1]]]


def test_mirrored_runs_are_turned_back_and_averaged() -> None:
    class Leftmost:
        """Says 4 in the left column of the upper row of what it sees, else 0."""

        def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
            maps = np.zeros((len(inputs), 1, 2, 3), np.float32)
            maps[:, :, 0, 0] = 4
            return {"maps": maps}

    pixels = noise(2, 3)
    one_way = joined(Tiler(Leftmost(), tiled(2, 3, flips="horizontal")), pixels)
    all_ways = joined(Tiler(Leftmost(), tiled(2, 3, flips="all")), pixels)
    assert one_way[0].tolist() == [[2, 0, 2], [0, 0, 0]]
    assert all_ways[0].tolist() == [[1, 0, 1], [1, 0, 1]]


def test_coarser_maps_are_brought_to_original_pixels() -> None:
    class Halved:
        def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
            maps = np.zeros((len(inputs), 1, 2, 2), np.float32)
            maps[:, :, :, 1] = 8
            return {"maps": maps}

    result = joined(Tiler(Halved(), tiled(4, 4)), noise(4, 4))[0]
    # Bilinear between the centres of the coarse pixels, which lie at 1 and 3.
    assert result.tolist() == [[0, 2, 6, 8]] * 4


def test_at_half_scale_a_tile_covers_twice_its_size() -> None:
    sizes = []

    class Sized(PointwiseEngine):
        def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
            sizes.append(inputs.shape)
            return super().run(inputs, names)

    result = joined(Tiler(Sized(), tiled(8, 8, scale=0.5)), noise(16, 16))
    assert sizes == [(1, 8, 8, 3)]
    assert result.shape == (2, 16, 16)


class Virtual:
    """A picture of any size whose pixels are computed when they are read."""

    def __init__(self, height: int, width: int, torn_at: int | None = None) -> None:
        self.height, self.width = height, width
        self._torn_at = torn_at

    def read(self, top: int, left: int, height: int, width: int) -> Image:
        if self._torn_at is not None and top + height > self._torn_at:
            raise ImageError("torn")
        rows = np.arange(top, top + height, dtype=np.uint32)[:, None]
        columns = np.arange(left, left + width, dtype=np.uint32)[None]
        return np.repeat(((rows + columns) % 251).astype(np.uint8)[..., None], 3, axis=2)


def test_memory_does_not_grow_with_the_height_of_the_picture() -> None:
    class Blank:
        width = 3_000

        def __init__(self, height: int) -> None:
            self.height = height

        def read(self, top: int, left: int, height: int, width: int) -> Image:
            return np.zeros((height, width, 3), np.uint8)

        def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
            return {"maps": np.zeros((len(inputs), 1, 512, 512), np.float32)}

    def peak(height: int) -> int:
        blank = Blank(height)
        tracemalloc.start()
        bands = Tiler(blank, tiled(512, 512, overlap=0.0)).bands(blank, ["maps"])
        rows = sum(outputs["maps"].shape[1] for _, outputs in bands)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows == height
        return used

    low, high = peak(2_000), peak(200_000)
    # One band is 512 * 3000 * 4 = 6 MB; the map of 200,000 rows would be 2.4 GB.
    # A busy machine may hold a batch of tiles (3 MB) or of maps (4 MB) a moment longer.
    assert high < low + 8_000_000
    assert high < 36_000_000


def test_a_damaged_part_is_an_error_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(ImageError, match="torn"):
        list(Tiler(PointwiseEngine(), tiled(8, 8)).bands(Virtual(64, 64, torn_at=30), ["maps"]))
    assert threading.active_count() == before


def test_one_who_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    bands = Tiler(PointwiseEngine(), tiled(8, 8)).bands(Virtual(640, 64), ["maps"])
    next(bands)
    bands.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
