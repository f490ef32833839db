"""Batch normalisation with statistics over all processes.

torch's own synchronised normalisation is for CUDA alone, and has modules of its own, which timm's
and users' networks do not use. Here the function itself is replaced while a network runs, so every
network keeps its modules. The arithmetic is torch's: statistics, normalisation and the sums of
the backward pass come from the kernels of the plain layer, two small exchanges lie between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Exchange: TypeAlias = Callable[[Tensor], Tensor]


@final
class SharedNormalisation(TorchFunctionMode):
    """Context in which batch normalisation uses the statistics of the shared batch.

    Args:
        gather: (n,) of this process → (processes, n) of all.
        add: The sum over the processes, in place.
    """

    def __init__(self, gather: Exchange, add: Exchange) -> None:
        super().__init__()
        self._gather = gather
        self._add = add

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace one function and call all others as they are."""
        if func is functional.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        inputs: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return functional.batch_norm(
                inputs, running_mean, running_var, weight, bias, False, momentum, eps
            )
        mean, variance, count = self._statistics(inputs.detach())
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean, momentum)
                running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), momentum)
        if weight is None:
            weight = torch.ones_like(mean)
        if bias is None:
            bias = torch.zeros_like(mean)
        normal: Tensor = _Normalised.apply(  # type: ignore[no-untyped-call]  # torch
            inputs, weight, bias, (mean, variance, count), eps, self._add
        )
        return normal

    def _statistics(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean and biased variance of each channel over all processes, and the count."""
        own_mean, own_variance = torch.ops.aten.batch_norm_update_stats(inputs, None, None, 0.0)
        own_count = own_mean.new_full((1,), inputs.numel() // inputs.shape[1], dtype=torch.float32)
        parts = self._gather(torch.cat([own_mean.float(), own_variance.float(), own_count]))
        channels = inputs.shape[1]
        means, variances = parts[:, :channels], parts[:, channels:-1]
        counts = parts[:, -1:]
        count = counts.sum()
        share = counts / count
        mean = (means * share).sum(dim=0)
        # Within the parts and between them: sums of squares would lose the digits of the variance.
        variance = ((variances + (means - mean).square()) * share).sum(dim=0)
        return mean, variance, count


class _Normalised(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, whose statistics depend on every x."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        statistics: tuple[Tensor, Tensor, Tensor],
        eps: float,
        add: Exchange,
    ) -> Tensor:
        mean, variance, count = statistics
        ctx.save_for_backward(inputs, weight, mean, variance, count)
        ctx.eps, ctx.add = eps, add
        return torch.batch_norm(inputs, weight, bias, mean, variance, False, 0.0, eps, False)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        inputs, weight, mean, variance, count = ctx.saved_tensors
        # As if the statistics were constants: gives the two sums, of which the rest is made.
        direct, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0],
            inputs,
            weight,
            mean,
            variance,
            None,
            None,
            False,
            ctx.eps,
            (True, True, True),
        )
        totals = ctx.add(torch.cat([to_bias.float(), to_weight.float()])) / count
        mean_gradient, mean_product = totals.chunk(2)
        deviation = (variance + ctx.eps).rsqrt()
        # d/dx = direct - weight / deviation * (mean of dy + normal x * mean of dy * normal x)
        slope = -weight.float() * deviation.square() * mean_product
        offset = -weight.float() * deviation * mean_gradient - slope * mean
        _add_affine(direct, inputs, slope, offset)
        return direct, to_weight, to_bias, None, None, None


def _add_affine(total: Tensor, inputs: Tensor, slope: Tensor, offset: Tensor) -> None:
    """Add inputs * slope + offset, which are (C,), to a total in place.

    New tensors would cost as much as the arithmetic: with them the backward pass took up to three
    times as long.
    """
    if total.dtype in (torch.bfloat16, torch.float16):
        # The kernel of normalisation takes float32 factors of 16-bit inputs; it is a third faster.
        zeros, ones = torch.zeros_like(slope), torch.ones_like(slope)
        total.add_(torch.batch_norm(inputs, slope, offset, zeros, ones, False, 0.0, 0.0, False))
        return
    shape = (1, -1, *(1 for _ in inputs.shape[2:]))
    total.add_(offset.view(shape)).addcmul_(inputs, slope.view(shape))
