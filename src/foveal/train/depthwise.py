"""Gradients of depthwise convolutions in bf16, which torch computes slowly on a CPU.

For kernels of 5 x 5 and for strides over 1, oneDNN has no vectorised bf16 code for them: in torch
2.13 they take more than half of a training step of EfficientNet-Lite0. The same gradients come
from operations that are fast: the gradient of the input is the depthwise convolution of the
gradient of the output, with zeros between its pixels for a stride, by the flipped kernel; that of
a large kernel is put together from gradients of 3 x 3 kernels on shifted inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

# The largest kernel whose gradient oneDNN computes fast in bf16.
_TILE = 3


@final
class FastDepthwise(TorchFunctionMode):
    """While active, depthwise convolutions under bf16 autocast on a CPU get fast gradients.

    Outputs are those of `torch.nn.functional.conv2d`; gradients differ by bf16 rounding.
    """

    def __torch_function__(  # noqa: D105  # torch's own hook
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.conv2d and not kwargs and _is_slow(*args):
            inputs, weight, bias, (stride, _), (padding, _) = args[:5]
            return _Depthwise.apply(  # type: ignore[no-untyped-call]  # torch
                inputs.bfloat16(),
                weight.bfloat16(),
                None if bias is None else bias.bfloat16(),
                stride,
                padding,
            )
        return func(*args, **(kwargs or {}))


def _is_slow(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> bool:
    """Return whether torch's gradients are slow, and those of `_Depthwise` right."""
    if groups == 1 or not (inputs.requires_grad or weight.requires_grad):
        return False
    # A part of a network may leave autocast: the backbone below a decoder does.
    if not torch.is_autocast_enabled("cpu"):
        return False
    channels, per_group, height, width = weight.shape
    return (
        groups == channels == inputs.shape[1]
        and per_group == 1
        and height == width >= _TILE
        and isinstance(stride, tuple)
        and isinstance(padding, tuple)
        and stride[0] == stride[1]
        and padding[0] == padding[1] < height
        and dilation in (1, (1, 1))
        and (height > _TILE or stride[0] > 1)
    )


@final
class _Depthwise(torch.autograd.Function):
    """A depthwise convolution of bf16 tensors."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(inputs, weight, bias, stride, padding, 1, inputs.shape[1])

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        inputs, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        wants_inputs, wants_weight, wants_bias, *_ = ctx.needs_input_grad
        how = (ctx.stride, ctx.padding)
        return (
            _of_inputs(gradient, inputs, weight, *how) if wants_inputs else None,
            _of_weight(gradient, inputs, weight, *how) if wants_weight else None,
            gradient.sum((0, 2, 3)) if wants_bias else None,
            None,
            None,
        )


def _of_inputs(
    gradient: Tensor, inputs: Tensor, weight: Tensor, stride: int, padding: int
) -> Tensor:
    """Return the gradient of the inputs (N, C, H, W)."""
    pictures, channels, height, width = inputs.shape
    size = weight.shape[-1]
    spread = gradient
    if stride > 1:
        rows, columns = (side + 2 * padding - size + 1 for side in (height, width))
        spread = gradient.new_zeros((pictures, rows, columns, channels)).permute(0, 3, 1, 2)
        # The last rows and columns are those that no step of the kernel reaches.
        spread[:, :, ::stride, ::stride][:, :, : gradient.shape[2], : gradient.shape[3]] = gradient
    return F.conv2d(spread, weight.flip(2, 3), None, 1, size - 1 - padding, 1, channels)


def _of_weight(
    gradient: Tensor, inputs: Tensor, weight: Tensor, stride: int, padding: int
) -> Tensor:
    """Return the gradient of the kernels (C, 1, K, K)."""
    size = weight.shape[-1]
    # With padding and a single output in a row, oneDNN 3.12 reads beyond the row. What lies there
    # is multiplied by zero, but may be NaN.
    if size == _TILE and gradient.shape[3] > 1:
        return _of_tile(gradient, inputs, weight, stride, padding)
    padded = F.pad(inputs, (padding,) * 4) if padding else inputs
    height, width = ((side - 1) * stride + _TILE for side in gradient.shape[2:])
    tile, found = weight[:, :, :_TILE, :_TILE].contiguous(), torch.empty_like(weight)
    # The last tile overlaps the one before where they do not divide the kernel.
    starts = sorted({*range(0, size - _TILE, _TILE), size - _TILE})
    for top in starts:
        for left in starts:
            part = padded[:, :, top : top + height, left : left + width]
            part = part.contiguous(memory_format=torch.channels_last)
            place = found[:, :, top : top + _TILE, left : left + _TILE]
            place.copy_(_of_tile(gradient, part, tile, stride, 0))
    return found


def _of_tile(gradient: Tensor, inputs: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    found: Tensor = torch.ops.aten.convolution_backward(
        gradient,
        inputs,
        weight,
        None,
        [stride, stride],
        [padding, padding],
        [1, 1],
        False,
        [0, 0],
        inputs.shape[1],
        [False, True, False],
    )[1]
    return found
