"""The cache: every picture decoded once, whole or not there at all, read without being held."""

from __future__ import annotations

import os
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image as PILImage
from PIL import ImageDraw

from foveal.console import NoProgress
from foveal.data.cache import Cache
from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.source import Loaded, Sample, Source, digest_of
from foveal.errors import DataError, UsageError
from foveal.pipeline import Pipeline
from foveal.types import Picture

DrawFolder = Callable[..., Path]
LIMITS = DecodeLimits(max_bytes=1_000_000, max_pixels=1_000_000)


class Heard:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def start(self, title: str, total: int | None) -> None:
        self.said.append((title, total))

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        self.said.append(done)

    def finish(self) -> None:
        self.said.append("finished")


def build(
    source: Source, directory: Path, pipeline: Pipeline | None = None, *, measured: bool = True
) -> Cache:
    return Cache.build(
        source,
        pipeline or Pipeline(8, 12),
        directory,
        LIMITS,
        workers=2,
        progress=NoProgress(),
        measured=measured,
    )


def test_without_measures_the_pictures_are_the_same(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    source = open_source(draw_folder(tmp_path / "data", n=2))
    measured = build(source, tmp_path / "measured")
    bare = build(source, tmp_path / "bare", measured=False)
    everything = measured.whole(np.arange(4))
    np.testing.assert_array_equal(bare.read(everything), measured.read(everything))
    assert bare.scan.ok.all()
    assert measured.scan.digest.any(axis=1).all()
    assert not bare.scan.digest.any()
    assert np.isfinite(measured.scan.measure("brightness")).all()
    assert np.isnan(bare.scan.measures).all()


def test_every_picture_is_what_the_pipeline_makes_of_it(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    source = open_source(draw_folder(tmp_path / "data", n=20))
    cache = build(source, tmp_path / "cache")
    assert cache.sizes[:, 1].tolist() == [12] * 40
    order = np.array([39, 0, 17, 17], np.int64)
    batch, frames = cache.read(cache.whole(order)), cache.frames(cache.whole(order))
    assert batch.shape == (4, 8, 12, 3)
    for i, index in enumerate(order):
        loaded = source.load(source.samples[index], LIMITS, (8, 12))
        pixels, frame = cache.pipeline.apply(loaded.picture)
        np.testing.assert_array_equal(batch[i], pixels)
        assert frames[i] == frame
        assert cache.scan.digest[index].tobytes() == loaded.digest
    assert cache.scan.ok.all()
    assert cache.scan.sizes.tolist() == [[16, 16]] * 40


def test_unreadable_pictures_are_filling_and_errors(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    root = draw_folder(tmp_path / "data", n=2)
    (root / "circle" / "0.png").write_bytes(b"no picture")
    (root / "square" / "1.png").write_bytes((root / "square" / "0.png").read_bytes()[:60])
    cache = build(open_source(root), tmp_path / "cache")
    assert cache.scan.ok.tolist() == [False, True, True, False]
    assert {i: code for i, (code, _) in cache.scan.errors.items()} == {
        0: "image_format",
        3: "image_unreadable",
    }
    assert (cache.read(cache.whole(np.array([0, 3]))) == 128).all()
    assert (cache.read(cache.whole(np.array([1]))) != 128).any()


def test_what_was_built_can_be_opened(draw_folder: DrawFolder, tmp_path: Path) -> None:
    root = draw_folder(tmp_path / "data", n=3)
    (root / "circle" / "1.png").write_bytes(b"no picture")
    built = build(open_source(root), tmp_path / "cache", Pipeline(8, 8, "crop", (1, 2, 3)))
    opened = Cache.open(tmp_path / "cache")
    everything = np.arange(6, dtype=np.int64)
    assert opened.pipeline == Pipeline(8, 8, "crop", (1, 2, 3))
    np.testing.assert_array_equal(
        opened.read(opened.whole(everything)), built.read(built.whole(everything))
    )
    for name in ("ok", "digest", "phash", "spread", "balance", "thumb", "sizes"):
        np.testing.assert_array_equal(getattr(opened.scan, name), getattr(built.scan, name))
    assert opened.scan.errors == built.scan.errors


def test_progress_ends_with_all_pictures(draw_folder: DrawFolder, tmp_path: Path) -> None:
    heard = Heard()
    source = open_source(draw_folder(tmp_path / "data", n=20))
    Cache.build(source, Pipeline(8, 8), tmp_path / "cache", LIMITS, workers=1, progress=heard)
    assert heard.said[0] == ("decode", 40)
    assert heard.said[-2:] == [40, "finished"]


@dataclass(frozen=True)
class FailingSource(Source):
    """Fails with something that is no picture's fault, after some pictures."""

    error: BaseException
    after: int

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        if int(sample.id) >= self.after:
            raise self.error
        pixels = np.full((4, 4, 3), int(sample.id) % 256, np.uint8)
        return Loaded(Picture.from_array(pixels), sample.id.encode())


def failing(error: BaseException, count: int = 200, after: int = 100) -> FailingSource:
    samples = tuple(Sample(str(i), ("a",)) for i in range(count))
    return FailingSource("nowhere", "numbers", samples, (), error, after)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug")])
def test_a_build_that_ends_early_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        build(failing(error), tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []
    assert not Cache.is_complete(tmp_path / "cache")


def test_a_cache_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    whole = failing(RuntimeError(), after=200)
    build(whole, tmp_path / "cache")
    with pytest.raises(RuntimeError):
        build(failing(RuntimeError()), tmp_path / "cache")
    assert Cache.open(tmp_path / "cache").sizes[:, 1].size == 200
    build(replace(whole, samples=whole.samples[:5]), tmp_path / "cache")
    assert Cache.open(tmp_path / "cache").sizes[:, 1].size == 5


def test_what_a_killed_build_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".tmp-cache").mkdir()
    (tmp_path / ".tmp-cache" / "pixels.u8").write_bytes(b"half")
    build(failing(RuntimeError(), count=3), tmp_path / "cache")
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]


def test_a_cache_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    assert not Cache.is_complete(tmp_path)
    with pytest.raises(DataError, match="no complete cache"):
        Cache.open(tmp_path)


def test_a_cache_of_another_version_is_made_anew(tmp_path: Path) -> None:
    build(failing(RuntimeError(), count=3), tmp_path / "cache")
    header = tmp_path / "cache" / "header.json"
    header.write_text(header.read_text().replace("windows-2", "rows-3"))
    assert not Cache.is_complete(tmp_path / "cache")


def test_no_samples_make_an_empty_cache(tmp_path: Path) -> None:
    build(failing(RuntimeError(), count=0), tmp_path / "cache")
    cache = Cache.open(tmp_path / "cache")
    assert cache.read(cache.whole(np.zeros(0, np.int64))).shape == (0, 8, 12, 3)


def test_a_full_disk_is_said_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    with pytest.raises(UsageError, match=r"need 0 MB") as caught:
        build(failing(RuntimeError(), after=0), tmp_path / "cache")
    assert "--image-size" in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_cache_is_not_read(tmp_path: Path) -> None:
    cache = build(failing(RuntimeError(), count=3), tmp_path / "cache")
    cache.close()
    with pytest.raises(ValueError, match="closed"):
        cache.read(cache.whole(np.array([0])))


def test_threads_may_read_at_once(tmp_path: Path) -> None:
    cache = build(failing(RuntimeError(), after=200), tmp_path / "cache", Pipeline(4, 4))
    wrong: list[int] = []

    def read(seed: int) -> None:
        for index in np.random.default_rng(seed).integers(0, 200, 200):
            if (cache.read(cache.whole(np.array([index]))) != index).any():
                wrong.append(int(index))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        source = failing(RuntimeError(), count=count, after=count)
        tracemalloc.start()
        cache = build(source, tmp_path / "cache", Pipeline(64, 64))
        for start in range(0, count, 32):
            cache.read(cache.whole(np.arange(start, min(start + 32, count))))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # The rest of the process may allocate meanwhile: the least of some trials is the cache's own.
    few, many = (min(peak(count) for _ in range(3)) for count in (200, 2000))
    # 1800 more pictures are 22 MB; what is kept of each is far under a kilobyte.
    assert many - few < 1800 * 500


@dataclass(frozen=True)
class LineSource(Source):
    """Lines of given widths, 16 px high; every value of a line is its index."""

    wide: tuple[int, ...]

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        index = int(sample.id)
        pixels = np.full((16, self.wide[index], 3), index, np.uint8)
        return Loaded(Picture.from_array(pixels), sample.id.encode())


LINE = Pipeline(16, 320, "line", (250, 251, 252))


def lines(*wide: int) -> LineSource:
    samples = tuple(Sample(str(i), ("a",)) for i in range(len(wide)))
    return LineSource("nowhere", "lines", samples, (), wide)


def test_lines_keep_their_own_width_filled_up_to_a_multiple(tmp_path: Path) -> None:
    cache = build(lines(30, 100, 32, 65), tmp_path / "cache", LINE)
    assert cache.sizes[:, 1].tolist() == [32, 128, 32, 96]
    assert (tmp_path / "cache" / "pixels.u8").stat().st_size == (32 + 128 + 32 + 96) * 16 * 3
    for index, (own, filled) in enumerate(((30, 32), (100, 128), (32, 32), (65, 96))):
        (pixels,) = cache.read(cache.whole(np.array([index])))
        assert pixels.shape == (16, filled, 3)
        assert (pixels[:, :own] == index).all()
        assert (pixels[:, own:] == (250, 251, 252)).all()


def test_lines_read_together_are_as_wide_as_the_widest_of_them(tmp_path: Path) -> None:
    cache = build(lines(30, 100, 32, 65), tmp_path / "cache", LINE)
    batch = cache.read(cache.whole(np.array([3, 0, 2])))
    assert batch.shape == (3, 16, 96, 3)
    assert (batch[0, :, :65] == 3).all()
    assert (batch[1, :, :30] == 0).all()
    assert (batch[1, :, 30:] == (250, 251, 252)).all()
    assert (batch[2, :, 32:] == (250, 251, 252)).all()


def test_the_frames_of_lines_are_those_of_their_own_width(tmp_path: Path) -> None:
    cache = build(lines(30, 100), tmp_path / "cache", LINE)
    frames = Cache.open(tmp_path / "cache").frames(cache.whole(np.array([1, 0])))
    assert [frame.input for frame in frames] == [(16, 128), (16, 32)]
    assert [frame.original for frame in frames] == [(16, 100), (16, 30)]
    assert cache.columns(cache.whole(np.array([1, 0]))).tolist() == [100, 30]
    assert cache.frames(cache.whole(np.array([1, 0]))) == frames


def test_a_line_of_20_000_pixels_is_an_error_of_that_picture_alone(tmp_path: Path) -> None:
    cache = build(lines(30, 20_000, 320), tmp_path / "cache", LINE)
    assert cache.scan.ok.tolist() == [True, False, True]
    assert cache.sizes[:, 1].tolist() == [32, 0, 320]
    ((index, (code, message)),) = cache.scan.errors.items()
    assert (index, code) == (1, "image_too_wide")
    assert "20000 pixels wide and 16 high. Expected at most 320" in message
    assert (cache.read(cache.whole(np.array([0, 1])))[1] == (250, 251, 252)).all()
    assert (cache.read(cache.whole(np.array([2]))) == 2).all()


@dataclass(frozen=True)
class PageSource(Source):
    """Pages with one and with two dark words, far apart; the last one has an unreadable picture."""

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        if sample.id == "2":
            raise DataError("no page")
        page = PILImage.new("RGB", (300, 200), "white")
        for line in range(int(sample.id) + 1):
            pen, top = ImageDraw.Draw(page), 40 + 80 * line
            for left in range(60, 160, 20):
                pen.rectangle((left, top, left + 12, top + 24), fill="black")
        pixels = np.asarray(page)
        return Loaded(Picture.from_array(pixels), sample.id.encode())


def test_frames_of_pages_are_kept_because_only_decoding_knows_them(tmp_path: Path) -> None:
    pipeline = Pipeline(32, 4096, "line", (255, 255, 255), ("grey", "threshold", "lines"))
    samples = tuple(Sample(str(i), ("a",)) for i in range(3))
    built = build(PageSource("nowhere", "pages", samples, ()), tmp_path / "cache", pipeline)
    opened = Cache.open(tmp_path / "cache")
    everything = np.arange(3)
    assert opened.frames(opened.whole(everything)) == built.frames(built.whole(everything))
    one, two, none = opened.frames(opened.whole(everything))
    assert [len(frame.pieces) for frame in (one, two)] == [1, 2]
    assert one.original == two.original == (200, 300)
    # The strip's left end is the first word's: 60 px from the left, within a few of margin.
    assert one.to_original(0.0, 0.0)[1] == pytest.approx(60, abs=12)
    assert none.original == (0, 0)
    assert opened.sizes[:, 1].tolist() == [one.input[1], two.input[1], 0]
    # The rest of a strip is filling, which no stroke reaches.
    filled = opened.columns(opened.whole(everything))[:2]
    assert all(
        frame.input[1] - 32 < end <= frame.input[1]
        for frame, end in zip((one, two), filled, strict=True)
    )
    pixels = opened.read(opened.whole(everything))
    assert all(
        (row[:, end:] == 255).all() for row, end in zip(pixels, filled.tolist(), strict=False)
    )
    assert opened.pipeline == pipeline


@dataclass(frozen=True)
class SlowSource(Source):
    """Works in Python; the digest of each picture says which process made it."""

    holds_lock: ClassVar[bool] = True

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        if sample.id == "40":
            raise DataError("cannot be drawn")
        pixels = np.random.default_rng(int(sample.id)).integers(0, 256, (16, 48, 3), np.uint8)
        return Loaded(Picture.from_array(pixels), str(os.getpid()).encode())


@pytest.mark.slow
def test_sources_that_hold_the_lock_are_loaded_in_processes_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    samples = tuple(Sample(str(i), ("a",)) for i in range(100))
    source = SlowSource("nowhere", "slow", samples, ())
    caches = [
        Cache.build(
            source, LINE, tmp_path / str(workers), LIMITS, workers=workers, progress=NoProgress()
        )
        for workers in (1, 2)
    ]
    alone, spread = ((c.directory / "pixels.u8").read_bytes() for c in caches)
    assert alone == spread
    assert all(list(c.scan.errors) == [40] for c in caches)
    here = digest_of(str(os.getpid()).encode())
    made_by = [{digest.tobytes() for digest in c.scan.digest[c.scan.ok]} for c in caches]
    assert made_by[0] == {here}
    assert here not in made_by[1]
