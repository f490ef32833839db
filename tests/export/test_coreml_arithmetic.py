"""What MIL's operations compute here, against torch, and against values by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from foveal.export.coreml.arithmetic import OPERATIONS

_CASES = {
    "plain": {"weight": (6, 4, 3, 3), "strides": [1, 1], "dilations": [1, 1], "groups": 1},
    "strided": {"weight": (6, 4, 3, 5), "strides": [2, 3], "dilations": [1, 1], "groups": 1},
    "dilated": {"weight": (6, 4, 3, 3), "strides": [1, 2], "dilations": [2, 1], "groups": 1},
    "grouped": {"weight": (6, 2, 3, 3), "strides": [1, 1], "dilations": [1, 1], "groups": 2},
    "depthwise": {"weight": (8, 1, 3, 3), "strides": [2, 2], "dilations": [1, 1], "groups": 4},
    "of a line": {"weight": (6, 4, 5), "strides": [2], "dilations": [2], "groups": 1},
}


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def run(kind: str, **given: Any) -> Any:
    texts = {k: np.array(v) for k, v in given.items() if isinstance(v, str | bool | list | int)}
    return OPERATIONS[kind]({**given, **texts})


@pytest.mark.parametrize("case", _CASES.values(), ids=list(_CASES))
def test_convolutions_are_those_of_torch(case: dict[str, Any]) -> None:
    weight, bias = noise(*case["weight"], seed=1), noise(case["weight"][0], seed=2)
    x = noise(1, 4, *[15, 18][: weight.ndim - 2])
    pads = [1, 1, 2, 2][: 2 * (weight.ndim - 2)]
    said = run("conv", x=x, pad_type="custom", pad=pads, **{**case, "weight": weight, "bias": bias})
    compute = torch.conv2d if weight.ndim == 4 else torch.conv1d
    expected = compute(
        torch.from_numpy(x),
        torch.from_numpy(weight),
        torch.from_numpy(bias),
        case["strides"],
        pads[::2],
        case["dilations"],
        case["groups"],
    )
    np.testing.assert_allclose(said, expected, atol=1e-4)


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions_are_those_of_torch(groups: int) -> None:
    x, weight = noise(1, 4, 5, 6), noise(4, 3, 4, 4, seed=1)
    said = run(
        "conv_transpose",
        **{"x": x, "weight": weight, "strides": [2, 2], "groups": groups},
        **{"pad_type": "custom", "pad": [1, 1, 1, 1]},
    )
    expected = torch.conv_transpose2d(
        torch.from_numpy(x), torch.from_numpy(weight), stride=2, padding=1, groups=groups
    )
    np.testing.assert_allclose(said, expected, atol=1e-4)


@pytest.mark.parametrize("counts", [True, False])
def test_means_of_windows_are_those_of_torch(counts: bool) -> None:
    x = noise(1, 3, 9, 9)
    given = {"x": x, "kernel_sizes": [3, 3], "strides": [2, 2], "pad_type": "custom"}
    said = run("avg_pool", **given, pad=[1, 1, 1, 1], exclude_padding_from_average=not counts)
    expected = torch.nn.functional.avg_pool2d(
        torch.from_numpy(x), 3, 2, 1, count_include_pad=counts
    )
    np.testing.assert_allclose(said, expected, atol=1e-5)


def test_the_largest_of_windows_never_is_the_padding() -> None:
    given = {"kernel_sizes": [2, 2], "strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1]}
    said = run("max_pool", x=np.full((1, 1, 2, 2), -5, np.float32), **given)
    np.testing.assert_array_equal(said, np.full((1, 1, 2, 2), -5))


@pytest.mark.parametrize("align", [True, False])
def test_enlarging_is_that_of_torch(align: bool) -> None:
    x = noise(1, 2, 4, 5)
    said = run(
        "upsample_bilinear",
        **{"x": x, "scale_factor_height": 4, "scale_factor_width": 2, "align_corners": align},
    )
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), size=(16, 10), mode="bilinear", align_corners=align
    )
    np.testing.assert_allclose(said, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["erf", "sigmoid", "silu", "gelu", "softmax", "tanh", "sqrt"])
def test_functions_are_those_of_torch(kind: str) -> None:
    x = np.linspace(0 if kind == "sqrt" else -30, 30, 5001, dtype=np.float32)
    compute = {
        "erf": torch.erf,
        "sigmoid": torch.sigmoid,
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
        "softmax": lambda t: torch.softmax(t, 0),
        "tanh": torch.tanh,
        "sqrt": torch.sqrt,
    }[kind]
    said = run(kind, x=x, axis=0)
    np.testing.assert_allclose(said, compute(torch.from_numpy(x)), rtol=1e-5, atol=1e-6)


def test_weights_of_8_bits_are_scaled_channel_by_channel() -> None:
    said = run(
        "constexpr_affine_dequantize",
        quantized_data=np.array([[-2, 1], [4, 127]], np.int8),
        zero_point=np.array([0, 1], np.int8),
        scale=np.array([0.5, 2.0], np.float16),
        axis=0,
    )
    np.testing.assert_array_equal(said, [[-1.0, 0.5], [6.0, 252.0]])


def test_a_slice_may_reach_to_the_end_of_a_free_axis() -> None:
    given = {"begin": [0, 1], "end": [1, 0], "begin_mask": [True, False]}
    said = run("slice_by_index", x=np.arange(12).reshape(3, 4), **given, end_mask=[False, True])
    np.testing.assert_array_equal(said, [[1, 2, 3]])
