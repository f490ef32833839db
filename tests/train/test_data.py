import threading

import numpy as np
import pytest
import torch
from fitting import ArrayReader, tiny_loader

from foveal.train.data import BatchOrder, CacheLoader


def numbered(count):
    """Return a reader of pictures whose every value is their index."""
    pixels = np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 3)
    )
    return ArrayReader(pixels.copy())


def test_an_epoch_has_every_sample_once():
    order = BatchOrder(count=103, batch_size=10, seed=0)
    batches = order.batches(0)
    assert len(order) == len(batches) == 11
    assert sorted(np.concatenate(batches).tolist()) == list(range(103))
    assert {len(batch) for batch in batches} == {9, 10}


def test_the_order_depends_on_seed_and_epoch_alone():
    first = np.concatenate(BatchOrder(50, 8, seed=1).batches(3))
    assert (first == np.concatenate(BatchOrder(50, 8, seed=1).batches(3))).all()
    assert (first != np.concatenate(BatchOrder(50, 8, seed=1).batches(4))).any()
    assert (first != np.concatenate(BatchOrder(50, 8, seed=2).batches(3))).any()


def test_balanced_sampling_draws_by_weight():
    weights = np.array([1.0] * 90 + [9.0] * 10)
    order = BatchOrder(100, 10, seed=0, sample_weights=weights)
    drawn = np.concatenate([b for epoch in range(50) for b in order.batches(epoch)])
    # Both kinds have a total weight of 90; the spread of 5000 draws is 0.007.
    assert np.mean(drawn >= 90) == pytest.approx(0.5, abs=0.03)


def test_a_loader_pairs_pictures_with_their_targets():
    indices = np.array([5, 3, 8, 1, 7])
    loader = CacheLoader(
        numbered(10), indices, {"y": torch.from_numpy(indices)}, batch_size=2, seed=0
    )
    seen = []
    for images, targets in loader.epoch(0):
        assert images.shape == (len(targets["y"]), 3, 4, 4)
        assert images.dtype == torch.float32
        assert torch.equal(images[:, 0, 0, 0], targets["y"].float())
        seen += targets["y"].tolist()
    assert sorted(seen) == [1, 3, 5, 7, 8]


def test_an_epoch_taken_up_in_the_middle_goes_on_with_the_same_batches():
    whole = list(tiny_loader().epoch(4))
    rest = list(tiny_loader().epoch(4, 5))
    assert len(whole) == 8
    assert len(rest) == 3
    for (images, targets), (again, targets_again) in zip(whole[5:], rest, strict=True):
        assert torch.equal(images, again)
        assert torch.equal(targets["y"], targets_again["y"])


def test_in_order_gives_plain_pictures_in_the_given_order():
    indices = np.array([4, 2, 9])
    loader = CacheLoader(numbered(10), indices, {}, batch_size=2)
    values = torch.cat([images[:, 0, 0, 0] for images, _ in loader.in_order()])
    assert values.tolist() == [4, 2, 9]


def test_an_error_of_the_reader_reaches_the_loop():
    class Broken:
        def read(self, indices):
            raise OSError("disk gone")

    loader = CacheLoader(Broken(), np.arange(4), {}, batch_size=2)
    with pytest.raises(OSError, match="disk gone"):
        list(loader.epoch(0))


def test_leaving_an_epoch_early_ends_its_thread():
    batches = tiny_loader().epoch(0)
    next(batches)
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("foveal-read")]
