"""MIL's window operations in numpy: convolution, pooling, upsampling.

Each follows the definition at
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Given: TypeAlias = Mapping[str, Any]
"""Inputs of an operation by name: arrays, texts, or a tuple of arrays."""

_Place: TypeAlias = tuple[slice, ...]
"""What one place of a kernel sees of the last axes."""


def ints(value: Any) -> list[int]:
    """Return an array of whole numbers as a list."""
    return [int(number) for number in np.ravel(value)]


def padded(x: Array, pads: list[int], value: float = 0.0) -> Array:
    """Pad the last axes; `pads` has a number before and one after for each."""
    if not any(pads):
        return x
    pairs = list(zip(pads[::2], pads[1::2], strict=True))
    return np.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + pairs, constant_values=value)


def _pads(given: Given, rank: int) -> list[int]:
    return ints(given["pad"]) if str(given["pad_type"]) == "custom" else [0] * 2 * rank


def _places(kernel: tuple[int, ...], size: list[int], given: Given) -> list[_Place]:
    """Return for each place of a kernel which of the last axes' values it sees, `size` of them."""
    axes = range(len(kernel))
    strides, dilations = (ints(given.get(n, [1] * len(kernel))) for n in ("strides", "dilations"))
    starts = [[place[i] * dilations[i] for i in axes] for place in np.ndindex(*kernel)]
    return [
        tuple(slice(start[i], start[i] + (size[i] - 1) * strides[i] + 1, strides[i]) for i in axes)
        for start in starts
    ]


def _windows(given: Given, kernel: tuple[int, ...], fill: float) -> tuple[list[Array], list[int]]:
    """Return what each place of a kernel sees of a picture, (1, C, *size), and that size."""
    axes = range(len(kernel))
    strides, dilations = (ints(given.get(n, [1] * len(kernel))) for n in ("strides", "dilations"))
    wide = padded(given["x"], _pads(given, len(kernel)), fill)
    size = [
        (wide.shape[2 + i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1 for i in axes
    ]
    return [wide[(slice(None), slice(None), *p)] for p in _places(kernel, size, given)], size


def conv(given: Given) -> Array:
    """Return a convolution of (1, C, *sizes), a sum over the places of the kernel."""
    weight, groups = given["weight"], int(given.get("groups", 1))
    windows, size = _windows(given, weight.shape[2:], 0.0)
    outputs, per_group = weight.shape[:2]
    total = np.zeros((groups, outputs // groups, math.prod(size)), np.float32)
    split = weight.reshape(groups, outputs // groups, per_group, -1)
    for position, window in enumerate(windows):
        seen = window.reshape(groups, per_group, -1)
        factors = split[..., position]
        total += factors * seen if per_group == 1 else factors @ seen
    return _with_bias(total.reshape(1, outputs, *size), given.get("bias"))


def _with_bias(result: Array, bias: Array | None) -> Array:
    shape = [1, -1, *[1] * (result.ndim - 2)]
    return result if bias is None else np.asarray(result + bias.reshape(shape))


def conv_transpose(given: Given) -> Array:
    """Return a transposed convolution of (1, C, *sizes)."""
    x, weight, groups = given["x"], given["weight"], int(given.get("groups", 1))
    kernel, sizes = weight.shape[2:], list(x.shape[2:])
    axes = range(len(kernel))
    strides, dilations = (ints(given.get(n, [1] * len(kernel))) for n in ("strides", "dilations"))
    full = [(sizes[i] - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + 1 for i in axes]
    total = np.zeros((groups, weight.shape[1], *full), np.float32)
    seen = x.reshape(groups, x.shape[1] // groups, -1)
    split = weight.reshape(groups, -1, weight.shape[1], math.prod(kernel))
    for position, place in enumerate(_places(kernel, sizes, given)):
        product = np.swapaxes(split[..., position], 1, 2) @ seen
        total[(slice(None), slice(None), *place)] += product.reshape(*total.shape[:2], *sizes)
    pads = _pads(given, len(kernel))
    cut = (slice(pads[2 * i], full[i] - pads[2 * i + 1]) for i in axes)
    whole = total.reshape(1, -1, *full)[(slice(None), slice(None), *cut)]
    return _with_bias(whole, given.get("bias"))


def max_pool(given: Given) -> Array:
    """Return the largest value in each window."""
    windows, _ = _windows(given, tuple(ints(given["kernel_sizes"])), -np.inf)
    return np.asarray(np.maximum.reduce(windows))


def avg_pool(given: Given) -> Array:
    """Return the mean of each window, with or without what was padded."""
    kernel = tuple(ints(given["kernel_sizes"]))
    windows, _ = _windows(given, kernel, 0.0)
    total = np.add.reduce(windows)
    if not bool(given.get("exclude_padding_from_average", False)):
        return np.asarray(total / np.float32(math.prod(kernel)))
    counted, _ = _windows({**given, "x": np.ones_like(given["x"])}, kernel, 0.0)
    return np.asarray(total / np.add.reduce(counted))


def _bilinear(x: Array, axis: int, factor: int, *, align_corners: bool) -> Array:
    """Enlarge one axis: the outermost pixels stay where they are, or the outer edges do."""
    size = x.shape[axis]
    new = np.arange(size * factor)
    at = new * (size - 1) / max(1, size * factor - 1)
    if not align_corners:
        at = np.clip((new + 0.5) / factor - 0.5, 0, size - 1)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, size - 1)
    shape = [1] * x.ndim
    shape[axis] = -1
    share = (at - below).astype(np.float32).reshape(shape)
    return np.asarray(x.take(below, axis) * (1 - share) + x.take(above, axis) * share)


def upsample_bilinear(given: Given) -> Array:
    """Enlarge the last two axes by whole factors, between the old pixels."""
    align = bool(given.get("align_corners", True))
    height, width = (int(given[f"scale_factor_{axis}"]) for axis in ("height", "width"))
    rows = _bilinear(given["x"], -2, height, align_corners=align)
    return _bilinear(rows, -1, width, align_corners=align)


def upsample_nearest(given: Given) -> Array:
    """Enlarge the last two axes by whole factors, repeating the old pixels."""
    height, width = (int(given[f"scale_factor_{axis}"]) for axis in ("height", "width"))
    return np.asarray(given["x"].repeat(height, -2).repeat(width, -1))
