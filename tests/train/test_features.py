import numpy as np
import pytest
import torch
from fitting import CPU, FP32, TinyTraining, accuracy, bright_or_dark, tiny_network

from foveal.console import NoProgress
from foveal.recipe import AugmentOptions, TrainOptions
from foveal.train.augmentation import Augmenter
from foveal.train.data import WindowLoader
from foveal.train.features import FeatureFile, FeatureReader, cache_features
from foveal.train.precision import Precision
from foveal.train.records import Stage, forward_head, head_only
from foveal.train.sampling import BatchOrder, CachedViews
from foveal.train.trainer import Trainer


def two_maps(images):
    """Return two maps whose values say which picture they come from."""
    small = images.mean((2, 3), keepdim=True)
    return images[:, :2], small


def cached(path, reader, count, extract=two_maps, key="a", **options):
    return cache_features(
        extract,
        reader,
        np.arange(count),
        path,
        **{
            "key": key,
            "precision": FP32,
            "device": CPU,
            "progress": NoProgress(),
            "batch_size": 5,
            **options,
        },
    )


def feature_loader(features, targets, *, batch_size, seed=0):
    sampler = CachedViews(BatchOrder(features.count, batch_size, seed), features.views)
    return WindowLoader(FeatureReader(features), sampler, targets, device=CPU)


def test_features_are_read_as_they_were_computed(tmp_path):
    reader, _ = bright_or_dark(12)
    features = cached(tmp_path / "f.bin", reader, 12)
    maps = features.read(np.array([7, 0, 11]))
    images = torch.from_numpy(reader.pixels[[7, 0, 11]]).permute(0, 3, 1, 2).float()
    expected = two_maps(images)
    assert features.shapes == ((2, 8, 8), (3, 1, 1))
    assert torch.equal(maps[0].float(), expected[0])
    # float16 has 11 significant bits.
    assert torch.allclose(maps[1].float(), expected[1], rtol=2**-11)


@pytest.mark.parametrize("dtype", [torch.bfloat16, None], ids=["bfloat16", "float16"])
def test_the_storage_format_follows_the_precision(tmp_path, dtype):
    reader, _ = bright_or_dark(4)
    precision = Precision("cpu", dtype, scaled=False)
    features = cached(tmp_path / "f.bin", reader, 4, precision=precision)
    assert features.dtype == ("bfloat16" if dtype else "float16")
    assert (tmp_path / "f.bin").stat().st_size == 4 * (2 * 64 + 3) * 2


def test_activations_beyond_float16_are_cut_not_infinite(tmp_path):
    reader, _ = bright_or_dark(2)
    features = cached(tmp_path / "f.bin", reader, 2, lambda images: (images * 1e6,))
    assert torch.isfinite(features.read(np.array([0, 1]))[0]).all()


def test_a_whole_file_of_the_same_key_is_used_again(tmp_path):
    reader, _ = bright_or_dark(6)
    calls = []

    def extract(images):
        calls.append(len(images))
        return two_maps(images)

    path = tmp_path / "f.bin"
    first = cached(path, reader, 6, extract)
    computed = len(calls)
    assert cached(path, reader, 6, extract) == first
    assert len(calls) == computed
    cached(path, reader, 6, extract, key="b")
    assert len(calls) == 2 * computed
    path.write_bytes(path.read_bytes()[:-1])
    assert FeatureFile.open(path, "b") is None


def test_later_views_are_augmented_and_the_first_is_not(tmp_path):
    reader, _ = bright_or_dark(4)
    augment = Augmenter(AugmentOptions(rotation=45), (0, 0, 0))
    features = cached(tmp_path / "f.bin", reader, 4, views=3, augment=augment)
    rows = [features.read(np.arange(4) + 4 * view)[0].float() for view in range(3)]
    plain = torch.from_numpy(reader.pixels[:4]).permute(0, 3, 1, 2).float()[:, :2]
    assert torch.equal(rows[0], plain)
    assert not torch.equal(rows[1], plain)
    assert not torch.equal(rows[1], rows[2])


def test_a_loader_pairs_features_with_targets_and_draws_views(tmp_path):
    reader, _ = bright_or_dark(10)
    reader.pixels[:] = np.arange(10, dtype=np.uint8)[:, None, None, None]
    augment = Augmenter(
        AugmentOptions(rotation=0, zoom=0, shear=0, shift=0, contrast=0, color=0, brightness=1.0),
        (0, 0, 0),
    )
    features = cached(tmp_path / "f.bin", reader, 10, views=2, augment=augment)
    loader = feature_loader(features, {"y": torch.arange(10)}, batch_size=4, seed=1)
    seen, is_plain = [], []
    for maps, targets, _ in loader.epoch(0):
        assert maps[0].dtype == torch.float32
        seen += targets["y"].tolist()
        is_plain += (maps[0][:, 0, 0, 0] == targets["y"]).tolist()
    assert sorted(seen) == list(range(10))
    assert not all(is_plain)
    rest = list(loader.epoch(0, 1))
    assert torch.equal(rest[0][0][0], list(loader.epoch(0))[1][0][0])


def test_a_head_learns_on_cached_features_by_the_same_loop(tmp_path):
    model = tiny_network().eval()
    reader, targets = bright_or_dark(64)
    before = model.backbone[0].weight.detach().clone()
    features = cached(tmp_path / "f.bin", reader, 64, model.features)
    loader = feature_loader(features, {"y": targets}, batch_size=8)
    stage = Stage("head", loader, 20, 0.1, lr_factor=head_only, forward=forward_head)
    result = Trainer(TrainOptions(), device=CPU).fit(
        model, TinyTraining(None), [stage], accuracy, metric="accuracy"
    )
    assert result.best_metrics["accuracy"] >= 0.95
    assert torch.equal(model.backbone[0].weight, before)


def test_some_pictures_of_a_file_are_read_like_a_file_of_their_own(tmp_path):
    reader, _ = bright_or_dark(12)
    augment = Augmenter(AugmentOptions(brightness=0.5), (0, 0, 0))
    everything = cached(tmp_path / "f.bin", reader, 12, augment=augment, views=3)
    some = everything.some(np.array([7, 2]), views=2)
    assert (some.count, some.views) == (2, 2)
    # Row 3 is the second view of the second picture, which is the third of the file.
    own, whole = some.read(np.array([0, 3])), everything.read(np.array([7, 12 + 2]))
    assert all(torch.equal(a, b) for a, b in zip(own, whole, strict=True))
