import numpy as np
import pytest
import torch
from torch import Tensor

from foveal.models.familiarity import Familiarity, fit_familiarity, pool, upper_limit

_CHANNELS = (6, 40)


def features(count: int, seed: int, shift: float = 0.0) -> list[Tensor]:
    """Return what two levels might have of pictures: correlated channels."""
    draws = torch.Generator().manual_seed(seed)
    mixing = torch.randn((4, sum(_CHANNELS)), generator=torch.Generator().manual_seed(99))
    hidden = torch.randn((count, 4), generator=draws)
    noise = 0.3 * torch.randn((count, sum(_CHANNELS)), generator=draws)
    return list(torch.split(hidden @ mixing + noise + shift, _CHANNELS, 1))


def values(familiarity: Familiarity, rows: list[Tensor]) -> Tensor:
    found = [level(part) for level, part in zip(familiarity.levels, rows, strict=True)]
    return torch.stack(found).amax(dim=0)


def fitted(training: int = 400, held_out: int = 60, seed: int = 0) -> Familiarity:
    return fit_familiarity(
        features(training, seed),
        np.arange(training),
        features(held_out, seed + 1),
        refused=0.01,
    )


def test_about_as_many_new_pictures_are_refused_as_was_asked_for() -> None:
    shares = [
        float((values(fitted(seed=10 * i), features(2000, 10 * i + 2)) > 1).double().mean())
        for i in range(5)
    ]
    assert 0.003 < np.mean(shares) < 0.02


def test_few_pictures_do_not_refuse_more() -> None:
    shares = [
        float((values(fitted(12, 4, 10 * i), features(500, 10 * i + 2)) > 1).double().mean())
        for i in range(10)
    ]
    assert np.mean(shares) < 0.02


def test_what_lies_elsewhere_is_unfamiliar() -> None:
    assert values(fitted(), features(200, 5, shift=3.0)).min() > 1


def test_one_level_is_enough() -> None:
    rows = features(200, 5)
    assert values(fitted(), [rows[0], features(200, 6, shift=3.0)[1]]).min() > 1
    assert values(fitted(), [features(200, 6, shift=3.0)[0], rows[1]]).min() > 1


def test_channels_that_never_fire_divide_by_nothing() -> None:
    rows = [torch.cat([part, torch.zeros(len(part), 3)], 1) for part in features(50, 0)]
    familiarity = fit_familiarity(rows, np.arange(50), [part[:10] for part in rows], refused=0.01)
    assert torch.isfinite(values(familiarity, rows)).all()


def test_a_network_that_knows_its_training_pictures_does_not_refuse_new_ones() -> None:
    training = features(400, 0)
    centres = [part.mean(dim=0) for part in training]
    # As after overfitting: what was trained on lies nearer together than what was not.
    near = [c + 0.5 * (part - c) for c, part in zip(centres, training, strict=True)]
    familiarity = fit_familiarity(near, np.arange(400), features(100, 1), refused=0.01)
    assert (values(familiarity, features(2000, 2)) > 1).double().mean() < 0.02


def test_windows_of_one_picture_are_left_out_together() -> None:
    rows = [part.repeat_interleave(8, 0) for part in features(30, 0)]
    familiarity = fit_familiarity(
        rows, np.arange(30).repeat(8), [part[:0] for part in rows], refused=0.01
    )
    assert (values(familiarity, features(1000, 2)) > 1).double().mean() < 0.05


def test_no_held_out_picture_is_needed() -> None:
    rows = features(300, 0)
    familiarity = fit_familiarity(rows, np.arange(300), [p[:0] for p in rows], refused=0.01)
    assert (values(familiarity, features(2000, 2)) > 1).double().mean() < 0.02


@pytest.mark.parametrize("count", [2, 5, 30, 99, 1000])
def test_a_limit_holds_for_any_number_of_distances(count: int) -> None:
    rng = np.random.default_rng(count)
    exceeded = []
    for _ in range(300):
        distances = rng.lognormal(0, 0.3, count + 1)
        exceeded.append(distances[0] > upper_limit(distances[1:], 0.01))
    assert np.mean(exceeded) < 0.03


def test_what_is_compared_depends_neither_on_neighbours_nor_on_the_size_of_the_maps() -> None:
    maps = torch.rand((3, 5, 4, 6), generator=torch.Generator().manual_seed(0)) - 0.3
    (pooled,) = pool((maps,))
    (alone,) = pool((maps[1:2],))
    (wide,) = pool((torch.cat([maps, maps], dim=3),))
    assert pooled.shape == (3, 10)
    torch.testing.assert_close(pooled[1:2], alone)
    torch.testing.assert_close(pooled, wide)
