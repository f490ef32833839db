"""Batch normalisation with fixed statistics, computed within the convolution before it.

With statistics that stay, normalisation is a factor and an offset for each channel. Multiplied
into the kernels they cost nothing: a pass over every map forward and two backward are saved, a
fifth of a training step of EfficientNet-Lite0 on a processor. The parameters stay those of the
modules, and get their gradients through the product.
"""

from __future__ import annotations

import contextlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Of a batch, to see what can be folded.
_PICTURES = 2
# What float32 rounds away over some hundred layers, of the largest value.
_TOLERANCE = 1e-3


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """A convolution and the normalisation of its output: all (C,) but the kernels."""

    kernels: Tensor
    mean: Tensor
    variance: Tensor
    weight: Tensor
    bias: Tensor
    eps: float

    def folded(self, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the kernels and the bias of the convolution that does both."""
        factor = self.weight * (self.variance + self.eps).rsqrt()
        offset = self.mean if bias is None else self.mean - bias
        return self.kernels * factor[:, None, None, None], self.bias - offset * factor


@final
class FoldedNormalisation:
    """Lets the convolutions of a network do the normalisation after them as well.

    Outputs and gradients are the same but for rounding. What can be folded is seen on the first
    pictures; where the network does not give the same maps with that, nothing is folded.
    """

    def __init__(self) -> None:
        self._folding: _Folding | None = None

    def running(
        self, extract: Callable[[Tensor], tuple[Tensor, ...]], images: Tensor
    ) -> contextlib.AbstractContextManager[object]:
        """Return the context in which the network runs.

        Args:
            extract: (N, 3, H, W) float32 → feature maps, of the same network every time. No
                normalisation may take the statistics of the batch: they would be changed here.
            images: A batch.
        """
        # A process may have no part of a small batch.
        if self._folding is None and len(images):
            self._folding = _found(extract, images)
        return self._folding or contextlib.nullcontext()

    def __len__(self) -> int:
        """Return how many normalisations are folded."""
        return self._folding.count if self._folding is not None else 0


def _found(extract: Callable[[Tensor], tuple[Tensor, ...]], images: Tensor) -> _Folding:
    """Run the network on a few pictures, to see what can be folded."""
    nothing = _Folding(())
    if images.device.type != "cpu":
        # Memory holds up a GPU less, and it was not measured.
        return nothing
    images = images[:_PICTURES]
    exactly = torch.autocast(images.device.type, enabled=False)
    with torch.no_grad(), torch.random.fork_rng(devices=[]), exactly:
        with _Pairs() as found:
            expected = extract(images)
        with _Folding(found.single()) as folding:
            maps = extract(images)
    is_same = all(_is_near(*each) for each in zip(maps, expected, strict=True))
    return folding if is_same else nothing


@final
class _Folding(TorchFunctionMode):
    """While active, convolutions do the normalisation of their pair as well."""

    def __init__(self, pairs: Iterable[_Pair]) -> None:
        super().__init__()
        # The pairs hold the tensors, so that no other tensor can have their id.
        self._pairs = {id(pair.kernels): pair for pair in pairs}
        self._folded = frozenset(id(pair.mean) for pair in self._pairs.values())

    @property
    def count(self) -> int:
        """How many normalisations are folded."""
        return len(self._folded)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        # Modules pass these by position; what is called otherwise stays as it is.
        if len(args) > 2:
            if func is F.conv2d and (pair := self._pairs.get(id(args[1]))) is not None:
                inputs, _, bias, *others = args
                return func(inputs, *pair.folded(bias), *others, **kwargs)
            if func is F.batch_norm and id(args[1]) in self._folded:
                return args[0]
        return func(*args, **kwargs)


@final
class _Pairs(TorchFunctionMode):
    """While active, notes which normalisation follows which convolution."""

    def __init__(self) -> None:
        super().__init__()
        # The outputs are held, so that no other tensor can have their id.
        self._made: dict[int, tuple[Tensor, Tensor]] = {}
        self._pairs: list[_Pair] = []
        self._used: Counter[int] = Counter()

    def single(self) -> list[_Pair]:
        """Return the pairs whose convolution and normalisation are in no other."""
        return [p for p in self._pairs if self._used[id(p.kernels)] == self._used[id(p.mean)] == 1]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func is F.conv2d and len(args) > 2:
            self._made[id(output)] = output, args[1]
            self._used[id(args[1])] += 1
        if func is F.batch_norm:
            given = inspect.signature(F.batch_norm).bind(*args, **(kwargs or {}))
            given.apply_defaults()
            self._note(**given.arguments)
        return output

    def _note(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        training: bool,
        momentum: float,
        eps: float,
    ) -> None:
        _, kernels = self._made.get(id(input), (None, None))
        self._used[id(running_mean)] += 1
        if training or kernels is None or running_mean is None or running_var is None:
            return
        if weight is not None and bias is not None:
            self._pairs.append(_Pair(kernels, running_mean, running_var, weight, bias, eps))


def _is_near(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    return bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max())
