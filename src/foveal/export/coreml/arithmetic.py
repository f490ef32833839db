"""MIL operations in numpy, for one picture at a time.

Each follows the definition at
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html. Only what
our networks become is here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from foveal.export.coreml.convolutions import (
    Array,
    Given,
    avg_pool,
    conv,
    conv_transpose,
    ints,
    max_pool,
    padded,
    upsample_bilinear,
    upsample_nearest,
)

# Beyond 4, erf is 1 to eight digits. Between points this near, a straight line is off by 2e-9.
_ERF_REACH, _ERF_POINTS = 4.0, 1 << 16


@cache
def _erf_table() -> tuple[Array, Array]:
    at = np.linspace(-_ERF_REACH, _ERF_REACH, _ERF_POINTS)
    return at, np.array([math.erf(x) for x in at])


def erf(x: Array) -> Array:
    """Return the error function of an array."""
    at, values = _erf_table()
    return np.interp(x, at, values).astype(np.float32)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), exactly also where it is small."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, small, 1.0) / (1.0 + small), np.float32)


def gru(given: Given) -> tuple[Array, Array]:
    """Return the states, (T, 1, H), and the last one, (1, H)."""
    x, state = given["x"], given["initial_h"]
    hidden = state.shape[-1]
    inputs = x @ given["weight_ih"].T + given["bias"]
    recurrent = given["weight_hh"].T
    steps = range(len(x))
    states = np.empty((len(x), *state.shape), np.float32)
    for step in reversed(steps) if str(given["direction"]) == "reverse" else steps:
        from_state = state @ recurrent
        reset, new, update = (slice(i * hidden, (i + 1) * hidden) for i in range(3))
        opened = sigmoid(inputs[step][:, reset] + from_state[:, reset])
        kept = sigmoid(inputs[step][:, update] + from_state[:, update])
        fresh = np.tanh(inputs[step][:, new] + opened * from_state[:, new])
        state = (1 - kept) * fresh + kept * state
        states[step] = state
    return states, state


def softmax(given: Given) -> Array:
    """Return exp(x), divided by its sum along an axis."""
    x, axis = given["x"], int(given["axis"])
    shares = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(shares / shares.sum(axis, keepdims=True))


def _normalised(given: Given, axes: tuple[int, ...], shape: list[int]) -> Array:
    x = given["x"]
    centred = x - x.mean(axes, keepdims=True)
    variance = (centred * centred).mean(axes, keepdims=True)
    normal = centred / np.sqrt(variance + np.float32(given["epsilon"]))
    return np.asarray(normal * given["gamma"].reshape(shape) + given["beta"].reshape(shape))


def layer_norm(given: Given) -> Array:
    """Normalise over some axes."""
    x = given["x"]
    axes = tuple(axis % x.ndim for axis in ints(given["axes"]))
    return _normalised(given, axes, [x.shape[i] if i in axes else 1 for i in range(x.ndim)])


def instance_norm(given: Given) -> Array:
    """Normalise every channel over its places."""
    x = given["x"]
    return _normalised(given, tuple(range(2, x.ndim)), [1, -1, *[1] * (x.ndim - 2)])


def batch_norm(given: Given) -> Array:
    """Normalise every channel by the statistics of the training."""
    shape = [1, -1, *[1] * (given["x"].ndim - 2)]
    mean, variance, gamma, beta = (
        given[name].reshape(shape) for name in ("mean", "variance", "gamma", "beta")
    )
    scale = gamma / np.sqrt(variance + np.float32(given["epsilon"]))
    return np.asarray((given["x"] - mean) * scale + beta)


def slice_by_index(given: Given) -> Array:
    """Return a part of an array."""
    x = given["x"]
    begin, end = ints(given["begin"]), ints(given["end"])
    steps = ints(given.get("stride", [1] * x.ndim))
    from_first, to_last = (
        np.ravel(given.get(name, [False] * x.ndim)) for name in ("begin_mask", "end_mask")
    )
    part = tuple(
        slice(None if from_first[i] else begin[i], None if to_last[i] else end[i], steps[i])
        for i in range(x.ndim)
    )
    return np.asarray(x[part])


def slice_by_size(given: Given) -> Array:
    """Return a part of an array; a size of -1 reaches to its end."""
    begin, size = ints(given["begin"]), ints(given["size"])
    ends = [None if n < 0 else b + n for b, n in zip(begin, size, strict=True)]
    return np.asarray(given["x"][tuple(map(slice, begin, ends))])


def _matmul(given: Given) -> Array:
    x, y = given["x"], given["y"]
    x = np.swapaxes(x, -1, -2) if bool(given.get("transpose_x", False)) else x
    y = np.swapaxes(y, -1, -2) if bool(given.get("transpose_y", False)) else y
    return np.asarray(x @ y)


def _linear(given: Given) -> Array:
    product = given["x"] @ given["weight"].T
    bias = given.get("bias")
    return np.asarray(product if bias is None else product + bias)


def _gelu(given: Given) -> Array:
    if str(given.get("mode", "EXACT")) != "EXACT":
        raise NotImplementedError(f"gelu {given['mode']}")
    x = given["x"]
    return np.asarray(0.5 * x * (1 + erf(x / np.float32(math.sqrt(2)))))


def _reduced(compute: Callable[..., Any]) -> Callable[[Given], Array]:
    def run(given: Given) -> Array:
        axes = given.get("axes")
        over = None if axes is None else tuple(ints(axes))
        return np.asarray(
            compute(given["x"], axis=over, keepdims=bool(given.get("keep_dims", False)))
        )

    return run


def _pad(given: Given) -> Array:
    if str(given.get("mode", "constant")) != "constant":
        raise NotImplementedError(f"pad {given['mode']}")
    return padded(given["x"], ints(given["pad"]), float(given.get("constant_val", 0.0)))


def dequantised(given: Given) -> Array:
    """Return weights of 8 bits as numbers: `scale * (quantized_data - zero_point)`."""
    data = given["quantized_data"]
    shape = [1] * data.ndim
    shape[int(given["axis"])] = -1
    scale, zero = (
        value.astype(np.float32).reshape(shape if value.ndim else ())
        for value in (given["scale"], given["zero_point"])
    )
    return np.asarray((data.astype(np.float32) - zero) * scale)


def _cumsum(given: Given) -> Array:
    if bool(given.get("exclusive", False)) or bool(given.get("reverse", False)):
        raise NotImplementedError("cumsum backwards")
    return np.cumsum(given["x"], int(given["axis"]), given["x"].dtype)


def _top_k(given: Given) -> tuple[Array, Array]:
    """Return the largest values of an axis in order, and where they are."""
    if bool(given.get("ascending", False)):
        raise NotImplementedError("topk of the smallest")
    axis, count = int(given.get("axis", -1)), int(given.get("k", 1))
    # Of equal ones the first: a stable order of the negated values.
    order = np.argsort(-given["x"], axis=axis, kind="stable").take(range(count), axis)
    return np.take_along_axis(given["x"], order, axis), order.astype(np.int32)


def _cast(given: Given) -> Array:
    to = {"fp16": np.float32, "fp32": np.float32, "int32": np.int32, "bool": np.bool_}
    return np.asarray(given["x"]).astype(to[str(given["dtype"])])


OPERATIONS: Mapping[str, Callable[[Given], Array | tuple[Array, ...]]] = {
    "abs": lambda given: np.abs(given["x"]),
    "add": lambda given: given["x"] + given["y"],
    "avg_pool": avg_pool,
    "batch_norm": batch_norm,
    "cast": _cast,
    "clip": lambda given: np.clip(given["x"], given["alpha"], given["beta"]),
    "concat": lambda given: np.concatenate(given["values"], int(given["axis"])),
    "constexpr_affine_dequantize": dequantised,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "cumsum": _cumsum,
    "erf": lambda given: erf(given["x"]),
    "expand_dims": lambda given: np.expand_dims(given["x"], tuple(ints(given["axes"]))),
    "fill": lambda given: np.full(ints(given["shape"]), given["value"]),
    "gather": lambda given: given["x"].take(given["indices"], int(given["axis"])),
    "gelu": _gelu,
    "gru": gru,
    "identity": lambda given: given["x"],
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "linear": _linear,
    "matmul": _matmul,
    "max_pool": max_pool,
    "maximum": lambda given: np.maximum(given["x"], given["y"]),
    "minimum": lambda given: np.minimum(given["x"], given["y"]),
    "mul": lambda given: given["x"] * given["y"],
    "pad": _pad,
    "pow": lambda given: given["x"] ** given["y"],
    "real_div": lambda given: given["x"] / given["y"],
    "reduce_max": _reduced(np.max),
    "reduce_mean": _reduced(np.mean),
    "reduce_sum": _reduced(np.sum),
    "relu": lambda given: np.maximum(given["x"], 0),
    "reshape": lambda given: given["x"].reshape(ints(given["shape"])),
    "shape": lambda given: np.array(given["x"].shape, np.int32),
    "sigmoid": lambda given: sigmoid(given["x"]),
    "sigmoid_hard": lambda given: np.clip(given["alpha"] * given["x"] + given["beta"], 0, 1),
    "sign": lambda given: np.sign(given["x"]),
    "silu": lambda given: given["x"] * sigmoid(given["x"]),
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "softmax": softmax,
    "sqrt": lambda given: np.sqrt(given["x"]),
    "squeeze": lambda given: np.squeeze(
        given["x"], tuple(ints(given["axes"])) if "axes" in given else None
    ),
    "sub": lambda given: given["x"] - given["y"],
    "tanh": lambda given: np.tanh(given["x"]),
    "topk": _top_k,
    "transpose": lambda given: np.transpose(given["x"], ints(given["perm"])),
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest,
}
