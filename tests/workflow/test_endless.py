"""Drawn pictures that are replaced while training goes on: which, when, and what is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foveal.console import NoProgress
from foveal.data.cache import Cache
from foveal.data.decode import DecodeLimits
from foveal.errors import DataError
from foveal.pipeline import Pipeline
from foveal.recipe import AugmentOptions
from foveal.synth import Drawn, SynthSource, open_synth
from foveal.synth.captcha import Captcha
from foveal.train.augmentation import Augmenter
from foveal.train.data import PictureReader, WindowLoader
from foveal.train.distributed import Group
from foveal.train.records import EpochRecord
from foveal.train.sampling import WholePictures
from foveal.types import Picture
from foveal.workflow.endless import EndlessLoader

LIMITS = DecodeLimits(max_bytes=10**7, max_pixels=10**7)
PIPELINE = Pipeline(16, 640, "line")
COUNT, TRAINED = 10, 8
SOURCE = open_synth(f"synth:captcha?count={COUNT}&seed=5&length=2&alphabet=01")


def build(source: SynthSource, directory: Path) -> Cache:
    return Cache.build(source, PIPELINE, directory, LIMITS, workers=1, progress=NoProgress())


class ShowsPriority(Captcha):
    """Draws captchas of one grey, which tells the priority of the process that draws."""

    def draw(self, seed: int, index: int) -> Drawn:
        """Return what a captcha says on a picture as grey as the priority is low."""
        return Drawn(np.full((16, 40, 3), 100 + os.nice(0), np.uint8), self.target(seed, index))


def loader_of(cache: Cache, source: SynthSource | None = None) -> WindowLoader:
    indices = np.arange(TRAINED)
    first = source.first if source is not None else 0
    places = {"index": torch.from_numpy(indices + first)}
    sampler = WholePictures(cache, indices, batch_size=4, seed=3)
    plain = Augmenter(AugmentOptions(enabled=False), (0, 0, 0))
    pictures = PictureReader(cache, plain, seed=3)
    return WindowLoader(pictures, sampler, places, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return build(SOURCE, tmp_path_factory.mktemp("first") / "cache")


def settle(loader: EndlessLoader) -> None:
    """Wait until everything that was begun is on disk."""
    loader._pool.submit(int).result()


MakeEndless = Callable[..., EndlessLoader]


@pytest.fixture
def endless(first: Cache) -> Iterator[MakeEndless]:
    made: list[EndlessLoader] = []

    def make(
        sets: Path,
        *,
        every: int = 2,
        epochs: int | None = 6,
        pipeline: Pipeline = PIPELINE,
        focus: float = 0.9,
        source: SynthSource = SOURCE,
    ) -> EndlessLoader:
        loader = EndlessLoader(
            loader_of(first),
            source,
            loader_of,
            pipeline=pipeline,
            limits=LIMITS,
            directory=sets,
            every=every,
            epochs=epochs,
            focus=focus,
            group=Group(),
        )
        made.append(loader)
        return loader

    yield make
    for loader in made:
        loader.close()


def seen(loader: EndlessLoader, epoch: int, first_batch: int = 0) -> list[tuple[list[int], bytes]]:
    """Return for each batch the places of its pictures in the stream, and their pixels."""
    batches = loader.epoch(epoch, first_batch)
    return [(targets["index"].tolist(), pixels.numpy().tobytes()) for pixels, targets, _ in batches]


def places(loader: EndlessLoader, epoch: int) -> list[int]:
    return sorted(index for indices, _ in seen(loader, epoch) for index in indices)


def test_every_set_is_the_next_part_of_the_stream(endless: MakeEndless, tmp_path: Path) -> None:
    loader = endless(tmp_path)
    found = [places(loader, epoch) for epoch in range(6)]
    # Two epochs each; the first set ends before the two pictures that validate.
    assert found[0] == found[1] == list(range(8))
    assert found[2] == found[3] == list(range(10, 18))
    assert found[4] == found[5] == list(range(18, 26))


def test_what_is_seen_is_what_the_stream_has_there(endless: MakeEndless, tmp_path: Path) -> None:
    loader = endless(tmp_path, every=1)
    for images, targets, _ in loader.epoch(2):
        for image, index in zip(images, targets["index"].tolist(), strict=True):
            drawn = Picture.from_array(SOURCE.kind.draw(5, index).pixels)
            pixels, _ = PIPELINE.apply(drawn)
            assert np.array_equal(image.permute(1, 2, 0).numpy().astype(np.uint8), pixels)


def test_a_resumed_run_sees_the_same_batches(endless: MakeEndless, tmp_path: Path) -> None:
    whole = endless(tmp_path / "whole")
    expected = [seen(whole, epoch) for epoch in range(5)]
    # Killed within the fourth epoch, of which one batch was done.
    resumed = endless(tmp_path / "resumed")
    assert seen(resumed, 3, 1) == expected[3][1:]
    assert seen(resumed, 4) == expected[4]


def record(epoch: int, confused: dict[str, int]) -> EpochRecord:
    """Return an epoch after which these characters were confused."""
    return EpochRecord("full", epoch, epoch, 0.01, {}, {}, 1.0, 1.0, True, confused)


def texts(loader: EndlessLoader, number: int) -> str:
    return "".join(sample.raw[0] for sample in loader._later(number).samples if sample.raw)


def test_a_set_shows_more_often_what_was_confused_before_it_was_drawn(
    endless: MakeEndless, tmp_path: Path
) -> None:
    loader = endless(tmp_path)
    plain = texts(loader, 2)
    for epoch, confused in enumerate(({"0": 9}, {"1": 9}, {"0": 9}), 1):
        loader.epoch_done(record(epoch, confused))
    # Of two epochs each: the second set is drawn during the first epoch, the third after two.
    assert texts(loader, 1) == texts(endless(tmp_path), 1)
    assert texts(loader, 2).count("1") > 1.5 * plain.count("1")
    assert texts(endless(tmp_path, focus=0.0), 2) == plain


def test_a_resumed_run_favours_what_the_first_part_confused(
    endless: MakeEndless, tmp_path: Path
) -> None:
    history = [record(1, {"0": 3}), record(2, {"1": 7, "0": 2}), record(3, {})]
    whole, resumed = endless(tmp_path), endless(tmp_path)
    for one in history:
        whole.epoch_done(one)
    resumed.fit_started(torch.nn.Identity(), [], history)
    assert [texts(resumed, n) for n in (1, 2, 3)] == [texts(whole, n) for n in (1, 2, 3)]


def test_a_set_that_a_killed_run_left_is_used(endless: MakeEndless, tmp_path: Path) -> None:
    killed = endless(tmp_path)
    expected = seen(killed, 2)
    settle(killed)
    made = (tmp_path / "set-000001" / "pixels.u8").stat().st_mtime_ns
    assert seen(endless(tmp_path), 2) == expected
    assert (tmp_path / "set-000001" / "pixels.u8").stat().st_mtime_ns == made


def test_used_sets_are_deleted_and_no_more_are_drawn_than_are_needed(
    endless: MakeEndless, tmp_path: Path
) -> None:
    loader = endless(tmp_path, every=1, epochs=4)
    for epoch in range(4):
        list(loader.epoch(epoch))
        settle(loader)
        there = sorted(path.name for path in tmp_path.iterdir())
        following = [f"set-{n:06d}" for n in (epoch, epoch + 1) if 0 < n < 4]
        assert there == following


def test_a_run_without_an_end_draws_one_set_ahead(endless: MakeEndless, tmp_path: Path) -> None:
    loader = endless(tmp_path, epochs=None)
    list(loader.epoch(0))
    settle(loader)
    assert [path.name for path in tmp_path.iterdir()] == ["set-000001"]


@pytest.mark.skipif(not hasattr(os, "nice"), reason="Windows has no os.nice")
def test_sets_are_drawn_by_processes_that_training_precedes(
    endless: MakeEndless, tmp_path: Path
) -> None:
    source = replace(SOURCE, kind=ShowsPriority(length=(2, 2), alphabet="01").prepared())
    loader = endless(tmp_path, source=source)
    pixels = next(loader.epoch(2))[0]
    assert (pixels[:, :, :, :40] == 100 + min(19, os.nice(0) + 10)).all()


def test_its_size_is_that_of_the_first_set(endless: MakeEndless, tmp_path: Path) -> None:
    loader = endless(tmp_path)
    assert loader.samples == TRAINED
    assert len(loader) == len(list(loader.epoch(0))) == 2


def test_pictures_that_cannot_be_used_stop_the_run_with_a_way_out(
    endless: MakeEndless, tmp_path: Path
) -> None:
    loader = endless(tmp_path, pipeline=Pipeline(16, 8, "line"))
    with pytest.raises(DataError, match="8 of the drawn pictures cannot be used") as caught:
        list(loader.epoch(2))
    assert caught.value.hint == "--set data.fresh_every=0 keeps the first ones"
    assert caught.value.error_code == "image_too_wide"


def test_closing_gives_up_what_is_being_drawn(endless: MakeEndless, tmp_path: Path) -> None:
    loader = endless(tmp_path / "sets", epochs=None)
    list(loader.epoch(0))  # the next set is begun now
    loader.close()
    # Either it was whole before the loader was closed, or nothing of it is left.
    assert [path.name for path in (tmp_path / "sets").iterdir()] in ([], ["set-000001"])
    with pytest.raises(RuntimeError):
        loader._pool.submit(int)
