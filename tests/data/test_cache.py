"""The cache: every picture decoded once, whole or not there at all, read without being held."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from foveal.console import NoProgress
from foveal.data.cache import Cache
from foveal.data.decode import DecodeLimits
from foveal.data.layouts import open_source
from foveal.data.source import Loaded, Sample, Source, digest_of
from foveal.errors import DataError
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


def build(source: Source, directory: Path, pipeline: Pipeline | None = None) -> Cache:
    return Cache.build(
        source, pipeline or Pipeline(8, 12), directory, LIMITS, workers=2, progress=NoProgress()
    )


def test_every_picture_is_what_the_pipeline_makes_of_it(
    draw_folder: DrawFolder, tmp_path: Path
) -> None:
    source = open_source(draw_folder(tmp_path / "data", n=20))
    cache = build(source, tmp_path / "cache")
    assert cache.widths.tolist() == [12] * 40
    order = np.array([39, 0, 17, 17], np.int64)
    batch, frames = cache.read(order), cache.frames(order)
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
    assert (cache.read(np.array([0, 3])) == 128).all()
    assert (cache.read(np.array([1])) != 128).any()


def test_what_was_built_can_be_opened(draw_folder: DrawFolder, tmp_path: Path) -> None:
    root = draw_folder(tmp_path / "data", n=3)
    (root / "circle" / "1.png").write_bytes(b"no picture")
    built = build(open_source(root), tmp_path / "cache", Pipeline(8, 8, "crop", (1, 2, 3)))
    opened = Cache.open(tmp_path / "cache")
    everything = np.arange(6, dtype=np.int64)
    assert opened.pipeline == Pipeline(8, 8, "crop", (1, 2, 3))
    np.testing.assert_array_equal(opened.read(everything), built.read(everything))
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
        return Loaded(Picture.from_array(pixels), digest_of(sample.id.encode()))


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
    assert Cache.open(tmp_path / "cache").widths.size == 200
    build(replace(whole, samples=whole.samples[:5]), tmp_path / "cache")
    assert Cache.open(tmp_path / "cache").widths.size == 5


def test_what_a_killed_build_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".tmp-cache").mkdir()
    (tmp_path / ".tmp-cache" / "pixels.u8").write_bytes(b"half")
    build(failing(RuntimeError(), count=3), tmp_path / "cache")
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]


def test_a_cache_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    assert not Cache.is_complete(tmp_path)
    with pytest.raises(DataError, match="no whole cache"):
        Cache.open(tmp_path)


def test_a_cache_of_another_version_is_made_anew(tmp_path: Path) -> None:
    build(failing(RuntimeError(), count=3), tmp_path / "cache")
    header = tmp_path / "cache" / "header.json"
    header.write_text(header.read_text().replace('"version": 2', '"version": 1'))
    assert not Cache.is_complete(tmp_path / "cache")


def test_no_samples_make_an_empty_cache(tmp_path: Path) -> None:
    build(failing(RuntimeError(), count=0), tmp_path / "cache")
    cache = Cache.open(tmp_path / "cache")
    assert cache.read(np.zeros(0, np.int64)).shape == (0, 8, 12, 3)


def test_a_full_disk_is_said_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    with pytest.raises(DataError, match=r"need 0.0 GB") as caught:
        build(failing(RuntimeError(), after=0), tmp_path / "cache")
    assert "--image-size" in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_cache_is_not_read(tmp_path: Path) -> None:
    cache = build(failing(RuntimeError(), count=3), tmp_path / "cache")
    cache.close()
    with pytest.raises(ValueError, match="closed"):
        cache.read(np.array([0]))


def test_threads_may_read_at_once(tmp_path: Path) -> None:
    cache = build(failing(RuntimeError(), after=200), tmp_path / "cache", Pipeline(4, 4))
    wrong: list[int] = []

    def read(seed: int) -> None:
        for index in np.random.default_rng(seed).integers(0, 200, 200):
            if (cache.read(np.array([index])) != index).any():
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
            cache.read(np.arange(start, min(start + 32, count)))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(200), peak(2000)
    # 1800 more pictures are 22 MB; what is kept of each is far under a kilobyte.
    assert many - few < 1800 * 500
