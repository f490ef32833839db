import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import Tensor

from foveal.models.familiarity import (
    Familiarity,
    Level,
    fit_familiarity,
    pool,
    statistics,
    upper_limit,
)

_CHANNELS = (6, 40)


def features(count: int, seed: int, shift: float = 0.0) -> list[Tensor]:
    """Return what two levels might have of pictures: correlated channels around a mean.

    Where `shift` is above 0, in directions away from it.
    """
    draws = torch.Generator().manual_seed(seed)
    fixed = torch.Generator().manual_seed(99)
    mixing = torch.randn((4, sum(_CHANNELS)), generator=fixed)
    usual, other = 3 * torch.rand((2, sum(_CHANNELS)), generator=fixed)
    hidden = 0.3 * torch.randn((count, 4), generator=draws)
    noise = 0.1 * torch.randn((count, sum(_CHANNELS)), generator=draws)
    return list(torch.split(hidden @ mixing + noise + usual + shift * other, _CHANNELS, 1))


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
    assert values(fitted(), features(200, 5, shift=30.0)).min() > 1


def test_one_level_is_enough() -> None:
    rows = features(200, 5)
    assert values(fitted(), [rows[0], features(200, 6, shift=30.0)[1]]).min() > 1
    assert values(fitted(), [features(200, 6, shift=30.0)[0], rows[1]]).min() > 1


def test_the_third_nearest_counts() -> None:
    angles = torch.deg2rad(torch.tensor([0.0, 10.0, 25.0, 80.0]))
    level = Level(torch.stack([angles.cos(), angles.sin()], dim=1))

    (distance,) = level(torch.tensor([[2.0, 0.0]]))

    # The chord of 25 degrees.
    assert float(distance) == pytest.approx(2 * math.sin(math.radians(12.5)), rel=1e-5)


def test_what_is_remembered_is_bounded_however_many_pictures_there_are() -> None:
    levels = fitted(training=1500).levels
    sizes = [tuple(tensor.shape) for level in levels for tensor in level.buffers()]
    assert sizes == [(6,), (512, 6), (512,), (40,), (512, 40), (512,)]


def test_near_copies_among_the_training_pictures_do_not_raise_the_limit() -> None:
    once, new = features(300, 0), features(100, 1)
    fourfold = [part.repeat(4, 1) for part in once]
    limits, more = (
        [level.limit for level in fit_familiarity(rows, np.arange(n), new, refused=0.01).levels]
        for rows, n in ((once, 300), (fourfold, 1200))
    )
    assert np.all(np.array(more) < 1.5 * np.array(limits))


def test_an_odd_training_picture_makes_no_other_familiar() -> None:
    odd = features(1, 7, shift=30.0)
    rows = [torch.cat([part, own]) for part, own in zip(features(400, 0), odd, strict=True)]
    familiarity = fit_familiarity(rows, np.arange(401), features(60, 1), refused=0.01)
    assert values(familiarity, features(200, 5, shift=30.0)).min() > 1


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        ([0, 0, 0, 0, 0, 0], "one picture alone"),
        ([0, 0, 0, 0, 0, 1], "nothing but a window of another"),
        ([0, 0, 1, 1, 2, 2], "fewer others than neighbours that count, but for two"),
    ],
)
def test_few_pictures_of_several_windows_have_finite_limits(samples: list[int], why: str) -> None:
    rows = features(len(samples), 0)
    familiarity = fit_familiarity(
        rows, np.array(samples), [part[:0] for part in rows], refused=0.01
    )
    assert all(math.isfinite(level.limit) and level.limit > 0 for level in familiarity.levels), why
    assert values(familiarity, rows).max() <= 1, why


def test_two_windows_are_enough() -> None:
    rows = features(2, 0)
    familiarity = fit_familiarity(rows, np.arange(2), [p[:0] for p in rows], refused=0.01)
    assert values(familiarity, rows).max() <= 1
    assert values(familiarity, features(20, 5, shift=30.0)).min() > 1


def test_pictures_that_are_all_alike_leave_room_for_rounding() -> None:
    rows = [part[:1].repeat(50, 1) for part in features(1, 0)]
    familiarity = fit_familiarity(rows, np.arange(50), [p[:10] for p in rows], refused=0.01)
    assert values(familiarity, [part * 1.00001 + 1e-5 for part in rows]).max() < 0.5


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
    def windows(count: int, seed: int) -> list[Tensor]:
        """Eight of each picture, which are more alike than pictures are."""
        whole, own = features(count, seed), features(8 * count, seed + 1)
        mean = [part.mean(dim=0) for part in features(1000, 99)]
        return [
            part.repeat_interleave(8, 0) + 0.3 * (window - middle)
            for part, window, middle in zip(whole, own, mean, strict=True)
        ]

    rows = windows(100, 0)
    familiarity = fit_familiarity(
        rows, np.arange(100).repeat(8), [part[:0] for part in rows], refused=0.01
    )
    # A tiled picture is as unfamiliar as the tile that three quarters do not exceed.
    pictures = values(familiarity, windows(1000, 50)).reshape(1000, 8).quantile(0.75, dim=1)
    assert (pictures > 1).double().mean() < 0.02


def test_no_held_out_picture_is_needed() -> None:
    rows = features(300, 0)
    familiarity = fit_familiarity(rows, np.arange(300), [p[:0] for p in rows], refused=0.01)
    assert (values(familiarity, features(2000, 2)) > 1).double().mean() < 0.02


@pytest.mark.parametrize("count", [2, 5, 30, 99, 100, 300, 1000])
def test_a_limit_holds_for_any_number_of_distances(count: int) -> None:
    rng = np.random.default_rng(count)
    limits = [upper_limit(rng.lognormal(0, 0.3, count), 0.01) for _ in range(200)]
    exceeded = [1 - NormalDist(0, 0.3).cdf(math.log(limit)) for limit in limits]
    assert np.mean(exceeded) < (0.03 if count < 30 else 0.015)


def test_one_odd_picture_of_two_hundred_does_not_decide_the_limit() -> None:
    distances = np.random.default_rng(0).lognormal(0, 0.3, 200)
    with_an_odd_one = np.append(distances, 10 * distances.max())
    usual = upper_limit(distances, 0.01)
    assert upper_limit(with_an_odd_one, 0.01) == pytest.approx(usual, rel=0.05)
    assert upper_limit(distances, 0.001) > usual


def test_of_a_thousand_distances_a_limit_is_one_of_them() -> None:
    distances = np.random.default_rng(0).permutation(np.arange(1.0, 1001.0))
    assert upper_limit(distances, 0.01) == 991.0


def test_what_is_compared_depends_neither_on_neighbours_nor_on_the_size_of_the_maps() -> None:
    maps = torch.rand((3, 5, 4, 6), generator=torch.Generator().manual_seed(0)) - 0.3
    alone, wide = pool((maps[1:2],)), pool((torch.cat([maps, maps], dim=3),))
    for rows, own, twice in zip(pool((maps,)), alone, wide, strict=True):
        assert rows.shape == (3, 5)
        torch.testing.assert_close(rows[1:2], own)
        torch.testing.assert_close(rows, twice)


def test_the_texture_is_that_of_the_second_finest_map() -> None:
    maps = torch.zeros(1, 3, 4, 6)
    maps[:, 0, :, ::2] = 4.0
    maps[:, 1, ::4, ::2] = 8.0
    maps[:, 2] = 5.0
    texture, *means = statistics((torch.rand(1, 3, 8, 12), maps, torch.rand(1, 4, 1, 1)))
    assert texture.tolist() == [[4.0 - 2.0, 4.0 - 1.0, 0.0]]
    assert [rows.shape[1] for rows in means] == [3, 3, 4]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1)])
def test_a_map_of_one_row_or_column_has_no_texture(size: tuple[int, int]) -> None:
    texture, _ = statistics((torch.rand(2, 3, *size),))
    assert not texture.any()


def test_pictures_of_equal_means_and_another_texture_are_unfamiliar() -> None:
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand((300, 4, 32, 32), generator=generator)
    smooth = rough.clone()
    smooth[:, :2] = smooth[:, :2].sort(dim=3).values
    familiarity = fit_familiarity(
        pool((rough[:250],)), np.arange(250), [rows[250:] for rows in pool((rough,))], refused=0.01
    )
    assert (familiarity((smooth,)) > 1).all()


def test_without_held_out_pictures_what_others_learnt_moves_the_limits() -> None:
    rows = features(300, 0)
    none = [part[:0] for part in rows]
    plain = fit_familiarity(rows, np.arange(300), none, refused=0.01)
    moved = fit_familiarity(rows, np.arange(300), none, refused=0.01, learnt=[math.log(2)] * 2)
    assert plain.learnt == (0.0,) * len(plain.levels)
    expected = [2 * level.limit for level in plain.levels]
    assert [level.limit for level in moved.levels] == pytest.approx(expected)
