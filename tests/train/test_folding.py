"""Normalisation that is computed within convolutions: the same outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fitting import CPU, TinyTraining, accuracy, tiny_loader, tiny_network
from torch import Tensor, nn

from foveal.models.backbones import resolve_backbone
from foveal.recipe import TrainOptions
from foveal.train.folding import FoldedNormalisation
from foveal.train.records import Stage
from foveal.train.trainer import Trainer


def settled(network: nn.Module) -> nn.Module:
    """Return the network with statistics, scales and offsets unlike those of a new one."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 2.0),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.3, 0.3),
            ):
                assert tensor is not None
                nn.init.uniform_(tensor, low, high)
    return network.eval()


def learnt(
    network: nn.Module, images: Tensor, folded: FoldedNormalisation | None
) -> dict[str, Tensor]:
    """Return the maps and all gradients, with what is folded."""
    network.zero_grad()
    images = images.clone().requires_grad_()
    with nullcontext() if folded is None else folded.running(network, images):
        maps = network(images)
    total = torch.stack([one.square().mean() for one in maps]).sum()
    total.backward()  # type: ignore[no-untyped-call]  # torch
    found = {f"map {i}": one.detach() for i, one in enumerate(maps)}
    found |= {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    assert images.grad is not None
    return found | {"images": images.grad}


def is_near(found: Tensor, expected: Tensor) -> bool:
    """Tell whether a tensor differs by the rounding of float32 only."""
    return bool((found - expected).norm() <= 1e-3 * expected.norm() + 1e-7)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "reader", "fovea", "resnet18"])
def test_outputs_and_gradients_are_those_of_the_modules(name: str) -> None:
    torch.manual_seed(0)
    network = settled(resolve_backbone(name).build("none"))
    images = torch.rand(3, 3, 64, 64)
    folded = FoldedNormalisation()
    found = learnt(network, images, folded)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    # The stages of `fovea` pool between the convolution and its normalisation.
    assert len(folded) == len(norms) - (2 if name == "fovea" else 0)
    expected = learnt(network, images, None)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert is_near(found[key], value), key


class Pair(nn.Module):
    """A convolution, a normalisation, and what is made of both."""

    def __init__(self, join: Callable[[Any, Tensor], Tensor], *, bias: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=bias)
        self.norm, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.join = join

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one map."""
        return (self.join(self, images),)


def twice(pair: Any, images: Tensor) -> Tensor:
    """Normalise the output of one convolution, which is also added as it is."""
    made = pair.conv(images)
    joined: Tensor = pair.norm(made) + made
    return joined


def named(pair: Any, images: Tensor) -> Tensor:
    """Normalise the output of a convolution, all arguments by name."""
    made = F.conv2d(input=images, weight=pair.conv.weight, padding=1)
    norm = pair.norm
    return F.batch_norm(
        input=made,
        running_mean=norm.running_mean,
        running_var=norm.running_var,
        weight=norm.weight,
        bias=norm.bias,
    )


@pytest.mark.parametrize(
    ("join", "count"),
    [
        (lambda pair, images: pair.norm(pair.conv(images)), 1),
        (lambda pair, images: pair.norm(pair.conv(images).relu()), 0),
        (lambda pair, images: pair.norm(pair.conv(images)) + pair.other(pair.conv(images)), 0),
        (
            lambda pair, images: (
                pair.norm(pair.conv(images)) + pair.norm(images.repeat(1, 2, 1, 1)[:, :4])
            ),
            0,
        ),
        (twice, 0),
    ],
    ids=["alone", "activated", "two norms", "normalised twice", "used twice"],
)
@pytest.mark.parametrize("bias", [False, True])
def test_only_a_pair_of_its_own_is_folded(
    join: Callable[[Any, Tensor], Tensor], count: int, bias: bool
) -> None:
    torch.manual_seed(0)
    network = settled(Pair(join, bias=bias))
    images = torch.rand(3, 3, 8, 8)
    folded = FoldedNormalisation()
    found = learnt(network, images, folded)
    assert len(folded) == count
    expected = learnt(network, images, None)
    for key, value in found.items():
        assert is_near(value, expected[key]), key


def test_a_network_that_passes_arguments_by_name_is_left_as_it_is() -> None:
    network = settled(Pair(named))
    images = torch.rand(3, 3, 8, 8)
    expected = network(images)[0]
    folded = FoldedNormalisation()
    with folded.running(network, images):
        found = network(images)[0]
    assert len(folded) == 0
    assert torch.equal(found, expected)


def test_statistics_of_the_batch_are_not_folded() -> None:
    network = settled(Pair(lambda pair, images: pair.norm(pair.conv(images)))).train()
    folded = FoldedNormalisation()
    folded.running(network, torch.rand(3, 3, 8, 8))
    assert len(folded) == 0


def test_finding_draws_nothing_and_happens_once() -> None:
    network = settled(Pair(lambda pair, images: pair.norm(pair.conv(images))))
    made, images = FoldedNormalisation(), torch.rand(3, 3, 8, 8)
    before = torch.random.get_rng_state()
    made.running(lambda given: pytest.fail("there are no pictures"), images[:0])
    made.running(lambda given: network(torch.dropout(given, 0.0, True)), images)
    assert torch.equal(torch.random.get_rng_state(), before)
    made.running(lambda given: pytest.fail("it was found before"), images)
    assert len(made) == 1


@pytest.mark.parametrize("keep", [False, True])
def test_a_training_that_keeps_statistics_learns_the_same(
    keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained() -> dict[str, Tensor]:
        model = settled(tiny_network())
        stage = Stage("full", tiny_loader(24), 2, 1e-3, keep_statistics=keep)
        made = Trainer(TrainOptions(precision="fp32"), device=CPU)
        made.fit(model, TinyTraining(None), [stage], accuracy, metric="accuracy")
        return dict(model.state_dict())

    used: list[int] = []
    running = FoldedNormalisation.running

    def noted(self: FoldedNormalisation, *given: Any) -> AbstractContextManager[object]:
        context = running(self, *given)
        used.append(len(self))
        return context

    monkeypatch.setattr(FoldedNormalisation, "running", noted)
    found = trained()
    assert set(used) == ({1} if keep else set())
    monkeypatch.setattr(FoldedNormalisation, "running", lambda *given: nullcontext())
    for key, value in trained().items():
        assert is_near(found[key].float(), value.float()), key
