import threading

import numpy as np
import pytest
import torch
from fitting import ArrayReader, picture_loader, tiny_loader
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.data.cache import Windows
from foveal.pipeline import Pipeline
from foveal.recipe import AugmentOptions
from foveal.train.sampling import BatchOrder, windows_in_order


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
    targets = {"y": torch.from_numpy(indices)}
    loader = picture_loader(numbered(10), indices, targets, batch_size=2)
    seen = []
    for images, targets, _ in loader.epoch(0):
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
    for (images, targets, _), (again, targets_again, _) in zip(whole[5:], rest, strict=True):
        assert torch.equal(images, again)
        assert torch.equal(targets["y"], targets_again["y"])


def test_windows_in_order_hold_every_picture_once_in_the_given_order():
    parts = windows_in_order(numbered(10), np.array([4, 2, 9]), pixels=1000, most=2)
    assert [part.samples.tolist() for part in parts] == [[4, 2], [9]]
    assert [part.size for part in parts] == [(4, 4), (4, 4)]


def test_windows_in_order_are_fewer_where_they_are_large():
    parts = windows_in_order(numbered(10), np.arange(10), pixels=3 * 4 * 4, most=128)
    assert [len(part) for part in parts] == [3, 3, 2, 2]


def test_an_error_of_the_reader_reaches_the_loop():
    class Broken(ArrayReader):
        def read(self, windows):
            raise OSError("disk gone")

    broken = Broken(np.zeros((4, 4, 4, 3), np.uint8))
    loader = picture_loader(broken, np.arange(4), {}, batch_size=2)
    with pytest.raises(OSError, match="disk gone"):
        list(loader.epoch(0))


def test_leaving_an_epoch_early_ends_its_thread():
    before = set(threading.enumerate())
    batches = tiny_loader().epoch(0)
    next(batches)
    assert [t for t in set(threading.enumerate()) - before if t.name.startswith("foveal-ahead")]
    batches.close()
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("foveal-ahead")]


def lines(widths, batch_size=4, seed=0, weights=None):
    """Return the order of samples whose model inputs have these widths."""
    return BatchOrder(len(widths), batch_size, seed, weights, np.array(widths, np.int64))


def test_batches_are_of_one_width_where_there_are_enough_of_it():
    # Ten each of three widths, mixed up.
    order = lines([32, 64, 96] * 10)
    batches = order.batches(0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(30))
    assert all(len({i % 3 for i in batch.tolist()}) == 1 for batch in batches)
    # Ten in batches of at most four: 4, 3, 3.
    assert sorted(len(batch) for batch in batches) == [3, 3, 3, 3, 3, 3, 4, 4, 4]
    assert len(order) == 9


def test_widths_with_few_samples_join_their_neighbours():
    # One of 32 and two of 64 fill no batch of four, nor does the one of 160 at the end.
    widths = [32, 64, 64, 96, 96, 128, 128, 128, 128, 160]
    found = [sorted(widths[i] for i in batch) for batch in lines(widths).batches(0)]
    held = sorted({width for batch in found for width in batch if batch[0] <= 96})
    assert held == [32, 64, 96]
    rest = sorted(width for batch in found for width in batch if batch[0] > 96)
    assert rest == [128, 128, 128, 128, 160]
    assert len(found) == 4


def test_fewer_samples_than_a_batch_are_one_batch_whatever_their_widths():
    (batch,) = lines([32, 640, 96]).batches(0)
    assert sorted(batch.tolist()) == [0, 1, 2]


def test_batches_of_all_widths_come_mixed():
    # Of eight batches of narrow and eight of wide lines, the narrow do not all come first.
    widths = [32] * 32 + [64] * 32
    kinds = [widths[batch[0]] for batch in lines(widths).batches(0)]
    assert sorted(kinds) != kinds != sorted(kinds, reverse=True)


def test_the_order_of_lines_depends_on_seed_and_epoch_alone():
    widths = [32, 64, 96] * 10

    def order(seed, epoch):
        return [batch.tolist() for batch in lines(widths, seed=seed).batches(epoch)]

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4)
    assert order(1, 3) != order(2, 3)


def test_balanced_lines_are_drawn_by_weight_in_batches_of_about_one_width():
    # Both widths weigh 90 in all; the spread of 5000 draws is 0.007.
    widths = [32] * 90 + [64] * 10
    weights = np.array([1.0] * 90 + [9.0] * 10)
    order = lines(widths, 10, weights=weights)
    batches = [batch for epoch in range(50) for batch in order.batches(epoch)]
    assert np.mean(np.concatenate(batches) >= 90) == pytest.approx(0.5, abs=0.03)
    assert all(len(np.unique(batch >= 90)) == 1 for batch in batches)


def test_windows_in_order_are_of_one_width_the_narrowest_first():
    reader = RaggedReader([32, 32, 64, 32, 32, 32, 64, 32])
    parts = windows_in_order(reader, np.arange(8), pixels=10_000, most=4)
    assert [part.samples.tolist() for part in parts] == [[0, 1, 3], [4, 5, 7], [2, 6]]
    assert [part.size for part in parts] == [(4, 32), (4, 32), (4, 64)]


@given(
    st.lists(st.integers(1, 6).map(lambda n: 32 * n), min_size=1, max_size=60),
    st.integers(1, 9),
    st.integers(0, 3),
)
@settings(deadline=None)
def test_however_wide_the_lines_every_one_comes_once_with_its_neighbours(widths, size, epoch):
    order = lines(widths, size)
    batches = order.batches(epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(widths)))
    assert all(0 < len(batch) <= size for batch in batches)
    assert len(batches) == len(order)
    # Widths are joined in one batch only where those below, or those above, fill none.
    for wide in ([widths[i] for i in batch] for batch in batches):
        below = sorted(w for w in widths if min(wide) <= w < max(wide))
        assert len(below) < size or sum(w > below[size - 1] for w in widths) < size

    runs = windows_in_order(RaggedReader(widths), np.arange(len(widths)), pixels=10**6, most=size)
    assert sorted(i for run in runs for i in run.samples.tolist()) == list(range(len(widths)))
    assert all({widths[i] for i in run.samples} == {run.size[1]} for run in runs)
    assert all(len(run) <= size for run in runs)


class RaggedReader:
    """Pictures of several widths, read like those of a cache: every value is the index."""

    def __init__(self, widths):
        self.pipeline = Pipeline(4, max(widths), "line")
        self.sizes = np.array([(4, width) for width in widths])

    def whole(self, samples):
        return Windows.whole(samples, (4, int(self.sizes[samples, 1].max())))

    def read(self, windows):
        batch = np.full((len(windows), *windows.size, 3), 255, np.uint8)
        for row, index in zip(batch, windows.samples.tolist(), strict=True):
            row[:, : self.sizes[index, 1]] = index
        return batch

    def columns(self, windows):
        return self.sizes[windows.samples, 1] - 2


def test_what_a_line_does_not_fill_stays_padding_when_it_is_changed():
    widths, indices = [8, 16, 24], np.arange(3)
    inverted = AugmentOptions(
        rotation=0, zoom=0, shear=0, shift=0, brightness=0, contrast=0, color=0, invert=1.0
    )
    loader = picture_loader(
        RaggedReader(widths),
        indices,
        {"y": torch.from_numpy(indices)},
        batch_size=3,
        augment=inverted,
    )
    (batch,) = loader.epoch(0)
    for image, index in zip(batch.inputs, batch.targets["y"].tolist(), strict=True):
        filled = widths[index] - 2
        assert (image[..., :filled] == 255 - index).all()
        assert (image[..., filled:] == 128).all()


def test_a_loader_of_lines_pairs_pictures_of_their_width_with_their_targets():
    widths = [8, 16, 8, 24, 16, 24, 8, 16, 24]
    indices = np.array([8, 7, 6, 5, 4, 3, 2, 1, 0])
    targets = {"y": torch.from_numpy(indices)}
    loader = picture_loader(RaggedReader(widths), indices, targets, batch_size=3)
    assert len(loader) == 3
    seen = []
    for images, targets, _ in loader.epoch(0):
        wide = [widths[i] for i in targets["y"].tolist()]
        assert images.shape == (3, 3, 4, wide[0])
        assert torch.equal(images[:, 0, 0, -1], targets["y"].float())
        seen += targets["y"].tolist()
    assert sorted(seen) == list(range(9))
