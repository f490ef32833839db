import numpy as np
import pytest
import torch
from fitting import CPU, ArrayReader, bright_or_dark

from foveal.pipeline import Pipeline
from foveal.recipe import AugmentOptions
from foveal.train import resident
from foveal.train.augmentation import Augmenter
from foveal.train.data import PictureReader, WindowLoader
from foveal.train.resident import ResidentReader, keep_on_device, load_pixels
from foveal.train.sampling import WholePictures
from foveal.train.share import Share

INDICES = np.array([5, 3, 60, 8, 1, 7, 33])
CUDA = torch.device("cuda")


def loaders(dealt=Share.whole):
    """Return a loader that reads batch by batch, and one whose pictures lie on the device."""
    cache, targets = bright_or_dark()
    augment = Augmenter(AugmentOptions(rotation=10.0, noise=0.1), (128, 128, 128))
    reader = PictureReader(cache, augment, seed=4)
    kept = ResidentReader(reader, load_pixels(cache, INDICES, CPU), INDICES)
    sampler = WholePictures(cache, INDICES, batch_size=3, seed=2)
    rows = {"y": targets[torch.from_numpy(INDICES)]}
    return [WindowLoader(r, sampler, rows, device=CPU, dealt=dealt) for r in (reader, kept)]


@pytest.mark.parametrize("dealt", [Share.whole, lambda count: Share(1, count, count)])
def test_batches_from_the_device_are_those_from_the_disk(dealt):
    read, kept = loaders(dealt)
    for epoch in (0, 3):
        pairs = list(zip(read.epoch(epoch), kept.epoch(epoch), strict=True))
        assert len(pairs) == len(read) == 3
        for one, other in pairs:
            assert torch.equal(one.inputs, other.inputs)
            assert torch.equal(one.targets["y"], other.targets["y"])


def test_pictures_are_copied_in_parts(monkeypatch):
    cache, _ = bright_or_dark()
    monkeypatch.setattr(resident, "_CHUNK_BYTES", 8 * 8 * 3 * 2)
    assert np.array_equal(load_pixels(cache, INDICES, CPU).numpy(), cache.pixels[INDICES])


def choose(monkeypatch, *, free, pipeline=None, device=CUDA):
    """Return whether pictures of 64 x 8 x 8 x 3 bytes would be kept on a card."""
    cache = ArrayReader(np.zeros((64, 8, 8, 3), np.uint8))
    cache.pipeline = pipeline or cache.pipeline
    reader = PictureReader(cache, Augmenter(AugmentOptions(), (0, 0, 0)), seed=0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    monkeypatch.setattr(resident, "load_pixels", lambda *_: torch.zeros(0))
    return keep_on_device(reader, cache, np.arange(64), device) is not reader


def test_pictures_are_kept_on_a_card_with_four_times_their_room(monkeypatch):
    needed = 64 * 8 * 8 * 3
    assert choose(monkeypatch, free=4 * needed)
    assert not choose(monkeypatch, free=4 * needed - 4)


def test_a_processor_and_pictures_of_many_sizes_keep_nothing(monkeypatch):
    assert not choose(monkeypatch, free=1 << 40, device=CPU)
    tiles = Pipeline(8, 8, fit="tile")
    assert not choose(monkeypatch, free=1 << 40, pipeline=tiles)
    lines = Pipeline(8, 8, fit="line")
    assert lines.is_ragged
    assert not choose(monkeypatch, free=1 << 40, pipeline=lines)
