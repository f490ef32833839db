"""Gradients of depthwise convolutions: those of float32, within what bf16 rounds away."""

from __future__ import annotations

import itertools
from unittest.mock import Mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from foveal.models.network import build_network
from foveal.recipe import ModelOptions
from foveal.tasks import get_training
from foveal.tasks.segment.task import SegmentTask
from foveal.train import depthwise, precision
from foveal.train.depthwise import FastDepthwise
from foveal.train.precision import Precision, choose_precision
from foveal.types import Labels

BF16 = Precision("cpu", torch.bfloat16, scaled=False)


def gradients(conv: nn.Conv2d, pictures: Tensor, numbers: Precision) -> dict[str, Tensor]:
    """Return the output and all gradients of one training step."""
    pictures = pictures.clone().requires_grad_()
    conv.zero_grad()
    with numbers.training():
        output = conv(pictures)
    weight = torch.linspace(-1, 1, output.numel()).reshape(output.shape)
    (output.float() * weight).sum().backward()
    found = {"output": output.detach().float(), "inputs": pictures.grad}
    return found | {name: parameter.grad for name, parameter in conv.named_parameters()}


def is_near(found: Tensor, expected: Tensor) -> bool:
    """Tell whether a tensor differs by the rounding of bf16 only.

    A number of it is right to 0.4 %, and a sum of numbers of both signs to a few times that; a term
    too much or too little is far more.
    """
    return bool((found - expected).norm() <= 0.03 * expected.norm() + 1e-6)


def amid_nan(values: Tensor) -> Tensor:
    """Return the same values in bf16, channels last, in the midst of memory full of NaN."""
    pictures, channels, height, width = values.shape
    spare = 4096
    memory = torch.full((values.numel() + 2 * spare,), torch.nan, dtype=torch.bfloat16)
    strides = (channels * height * width, 1, width * channels, channels)
    placed = memory.as_strided((pictures, channels, height, width), strides, spare)
    return placed.copy_(values)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("padding", [1, 2])
def test_what_lies_beside_a_map_counts_for_nothing(width: int, stride: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for channels, height, size in itertools.product((2, 8, 20), (2, 3, 4, 8), (3, 5)):
        if min(height, width) + 2 * padding < size:
            continue
        inputs = torch.randn(3, channels, height, width, generator=generator).bfloat16()
        weight = torch.randn(channels, 1, size, size, generator=generator).bfloat16()
        output = F.conv2d(inputs.float(), weight.float(), None, stride, padding, 1, channels)
        gradient = torch.randn(output.shape, generator=generator).bfloat16()
        expected = F.grad.conv2d_weight(
            inputs.float(), weight.shape, gradient.float(), stride, padding, 1, channels
        )
        found = depthwise._of_weight(amid_nan(gradient), amid_nan(inputs), weight, stride, padding)
        assert is_near(found.float(), expected), (channels, height, size)


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(2, 20),
    height=st.integers(1, 19),
    width=st.integers(1, 19),
    kernel=st.integers(3, 8),
    stride=st.integers(1, 4),
    padding=st.integers(0, 7),
    bias=st.booleans(),
)
def test_they_are_those_of_float32(
    channels: int, height: int, width: int, kernel: int, stride: int, padding: int, bias: bool
) -> None:
    padding = min(padding, kernel - 1)
    if min(height, width) + 2 * padding < kernel:
        return
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=bias).to(
        memory_format=torch.channels_last
    )
    pictures = torch.randn(3, channels, height, width).to(memory_format=torch.channels_last)
    # What bf16 can hold, so that only the computation differs.
    pictures = pictures.bfloat16().float()
    conv.weight.data = conv.weight.data.bfloat16().float()
    expected = gradients(conv, pictures, Precision("cpu", None, scaled=False))
    found = gradients(conv, pictures, BF16)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert is_near(found[name], value), name


@pytest.mark.parametrize(
    ("options", "is_taken"),
    [
        ({"kernel_size": 5, "padding": 2}, True),
        ({"kernel_size": 3, "stride": 2, "padding": 1}, True),
        ({"kernel_size": 3, "padding": 1}, False),
        ({"kernel_size": 1}, False),
        ({"kernel_size": 5, "padding": 4, "dilation": 2}, False),
        ({"kernel_size": (5, 3), "padding": (2, 1)}, False),
        ({"kernel_size": 5, "stride": (2, 1)}, False),
        ({"kernel_size": 5, "padding": "same"}, False),
        ({"kernel_size": 5, "padding": 2, "groups": 4}, False),
        ({"kernel_size": 5, "padding": 2, "groups": 1}, False),
    ],
)
def test_only_slow_convolutions_are_taken(
    options: dict[str, object], is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = nn.Conv2d(8, 8, **{"groups": 8, **options})  # type: ignore[arg-type]
    taken = Mock(wraps=depthwise._of_weight)
    monkeypatch.setattr(depthwise, "_of_weight", taken)
    found = gradients(conv, torch.randn(2, 8, 9, 9), BF16)
    assert taken.called == is_taken
    expected = gradients(conv, torch.randn(2, 8, 9, 9), Precision("cpu", None, scaled=False))
    assert found.keys() == expected.keys()


def test_nothing_changes_where_no_gradient_is_wanted() -> None:
    conv = nn.Conv2d(4, 4, 5, padding=2, groups=4)
    pictures = torch.randn(2, 4, 9, 9)
    with torch.no_grad(), BF16.autocast():
        expected = conv(pictures)
    with torch.no_grad(), BF16.training():
        assert torch.equal(conv(pictures), expected)
    frozen = conv.requires_grad_(False)
    with BF16.training():
        assert not frozen(pictures).requires_grad


def test_a_part_that_leaves_autocast_stays_in_float32() -> None:
    conv = nn.Conv2d(4, 4, 5, padding=2, groups=4)
    pictures = torch.randn(2, 4, 9, 9)
    with BF16.training(), torch.autocast("cpu", enabled=False):
        output = conv(pictures)
    assert output.dtype == torch.float32
    assert torch.equal(output, conv(pictures))


def test_a_network_whose_backbone_stays_in_float32_learns() -> None:
    task = SegmentTask.bind(Labels(("background", "cell")), {})
    options = ModelOptions(backbone="efficientnet_lite0", dropout=0.0)
    network = build_network(get_training("segment")(task), options, pretrained=False)
    network.plain_backbone = True
    with BF16.training():
        logits = network.train()(torch.rand(2, 3, 64, 64) * 255)["logits"]
    logits.float().square().mean().backward()
    stem = next(network.backbone.parameters())
    assert stem.grad is not None and stem.grad.abs().sum() > 0


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    weight = torch.randn(4, 1, 5, 5, requires_grad=True)
    pictures = torch.randn(2, 4, 9, 9, requires_grad=True)
    with BF16.training():
        output = F.conv2d(pictures, weight, None, (1, 1), (2, 2), (1, 1), 4)
    (first,) = torch.autograd.grad(output.float().square().sum(), pictures, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()  # type: ignore[no-untyped-call]  # torch


@pytest.mark.parametrize("option", ["fp32", "bf16"])
def test_they_are_taken_in_bf16_on_a_processor_alone(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = choose_precision(option, torch.device("cpu"))  # type: ignore[arg-type]
    made = Mock(wraps=FastDepthwise)
    monkeypatch.setattr(precision, "FastDepthwise", made)
    with chosen.training():
        pass
    assert made.called == (option == "bf16")
