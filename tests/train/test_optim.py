import math

import pytest
import torch
from torch import nn

from foveal.errors import UsageError
from foveal.recipe import TrainOptions
from foveal.train.data import Batch
from foveal.train.defaults import default_lr, label_weights
from foveal.train.mixup import mix
from foveal.train.optim import (
    Ema,
    build_optimizer,
    plateau_factor,
    schedule_factor,
    set_lr,
    set_modes,
)
from foveal.train.records import all_parameters
from foveal.train.share import Share


@pytest.mark.parametrize(
    ("progress", "factor"),
    [
        (0.0, 0.04),  # the start
        (0.1, 0.52),  # half way up: (0.04 + 1) / 2
        (0.2, 1.0),  # the top
        (0.6, 0.5),  # half way down
        (0.4, (1 + math.cos(math.pi / 4)) / 2),  # a quarter down
        (1.0, 0.0),  # the end
    ],
)
def test_one_cycle_rises_and_falls_by_half_cosines(progress, factor):
    assert schedule_factor("one_cycle", progress) == pytest.approx(factor)


@pytest.mark.parametrize("name", ["plateau", "constant"])
def test_other_schedules_do_not_depend_on_progress(name):
    assert [schedule_factor(name, p) for p in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]


def test_a_plateau_is_three_validations_without_improvement():
    assert [plateau_factor(stale) for stale in range(7)] == [1, 1, 1, 0.3, 1, 1, 0.3]


def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_only_matrices_and_kernels_are_decayed(name):
    options = TrainOptions(optimizer=name, weight_decay=0.02)
    optimizer = build_optimizer(small(), options, all_parameters)
    decay = {p.ndim: g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert decay == {4: 0.02, 2: 0.02, 1: 0.0}


def test_learning_rates_follow_the_factors_of_the_groups():
    model = nn.ModuleDict({"backbone": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    optimizer = build_optimizer(
        model, TrainOptions(), lambda name: 1.0 if name[:4] == "head" else 0.3
    )
    set_lr(optimizer, 0.1)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates[id(model["head"].weight)] == pytest.approx(0.1)
    assert rates[id(model["backbone"].weight)] == pytest.approx(0.03)


def test_the_moving_average_is_the_average_by_definition():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    ema = Ema(model, 0.5)
    values = []
    for step, weight in enumerate([1.0, 2.0, 4.0], 1):
        nn.init.constant_(model.weight, weight)
        ema.update(step)
        values.append(float(ema.model.weight))
    # Decays: (1 + t) / (10 + t) = 2/11, 3/12, 4/13, all under 0.5.
    first = 9 / 11
    second = first / 4 + 2 * 3 / 4
    third = second * 4 / 13 + 4 * 9 / 13
    assert values == pytest.approx([first, second, third])


def test_the_moving_average_copies_batch_statistics():
    model = nn.BatchNorm1d(2)
    ema = Ema(model, 0.9)
    model(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    ema.update(1)
    assert torch.equal(ema.model.running_mean, model.running_mean)
    assert int(ema.model.num_batches_tracked) == 1


def test_mixup_blends_inputs_and_floating_targets_alike():
    images = torch.arange(8.0)[:, None, None, None].expand(8, 3, 2, 2)
    targets = {"y": torch.arange(8.0)[:, None], "id": torch.arange(8), "weight": torch.ones(8)}
    mixed, mixed_targets, _ = mix(Batch(images, targets, Share.whole(8)), 0.4, seed=3)
    assert torch.allclose(mixed[:, 0, 0, 0], mixed_targets["y"][:, 0])
    assert not torch.equal(mixed, images)
    assert torch.equal(mixed_targets["id"], targets["id"])
    assert float(mixed.mean()) == pytest.approx(3.5)
    again = mix(Batch(images, targets, Share.whole(8)), 0.4, seed=3).inputs
    assert torch.equal(again, mixed)


def test_mixup_of_feature_maps_blends_each_map():
    maps = (torch.arange(4.0)[:, None], torch.arange(4.0)[:, None] * 10)
    batch = Batch(maps, {"y": torch.zeros(4, 2)}, Share.whole(4))
    first, second = mix(batch, 1.0, seed=1).inputs
    assert torch.allclose(first * 10, second)


def test_mixup_refuses_targets_that_cannot_be_blended():
    targets = {"text": torch.arange(4), "weight": torch.ones(4)}
    with pytest.raises(UsageError, match=r"train\.mixup"):
        mix(Batch(torch.zeros(4, 3, 2, 2), targets, Share.whole(4)), 0.2, seed=0)


def test_a_given_learning_rate_wins_and_defaults_grow_with_the_batch():
    assert default_lr(TrainOptions(lr=0.123), "head", 8) == 0.123
    assert default_lr(TrainOptions(), "full", 64) == 5.6e-4
    assert default_lr(TrainOptions(), "full", 16) == 2.8e-4
    assert default_lr(TrainOptions(optimizer="sgd"), "scratch", 128) == 0.2


def test_label_weights_give_every_label_the_same_share():
    weights = label_weights(torch.tensor([30.0, 10.0, 0.0]))
    # 40 samples over two labels: 40 / (2 * 30) and 40 / (2 * 10).
    assert weights.tolist() == pytest.approx([2 / 3, 2.0, 1.0])


def test_steps_fall_to_a_tenth_after_two_thirds() -> None:
    assert [schedule_factor("steps", p) for p in (0.0, 0.66, 0.67, 1.0)] == [1.0, 1.0, 0.1, 0.1]


def test_statistics_of_the_backbone_alone_are_kept():
    backbone = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    model = nn.ModuleDict({"backbone": backbone, "head": nn.BatchNorm2d(2)})
    set_modes(model, keep_statistics=True)
    assert [backbone[1].training, model["head"].training] == [False, True]
    assert all(parameter.requires_grad for parameter in model.parameters())
    set_modes(model)
    assert backbone[1].training
