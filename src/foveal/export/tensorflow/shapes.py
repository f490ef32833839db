"""Operators that move, join, cut and sum numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from foveal.export.tensorflow.operators import Node, operator
from foveal.export.tensorflow.values import (
    Data,
    Value,
    last_to_plain,
    plain_to_last,
    transposed,
)

# Ends of slices that mean "to the end".
_TO_THE_END = 2**31 - 1


@operator("Transpose", "perm")
def _transpose(node: Node) -> Value:
    value = node.value()
    order = tuple(node.get("perm") or range(value.rank)[::-1])
    stored = tuple(value.axis(axis) for axis in order)
    if stored == tuple(range(value.rank)):
        return Value(value.data)
    if value.rank in (3, 4):
        # The result with its channels last: where that is how it is stored already, nothing moves.
        last = tuple(stored[axis] for axis in plain_to_last(value.rank))
        if last == tuple(range(value.rank)):
            return Value(value.data, is_last=True)
    return Value(transposed(value.data, stored))


@operator("Reshape", "allowzero")
def _reshape(node: Node) -> Value:
    data = node.value().plain
    wanted = node.value(1).data
    if not isinstance(wanted, np.ndarray):
        return Value(tf.reshape(data, wanted))
    shape = [int(side) for side in wanted]
    if not node.get("allowzero", 0):
        sizes = list(data.shape)
        shape = [sizes[i] if side == 0 else side for i, side in enumerate(shape)]
    if None in shape and -1 in shape:
        dynamic = tf.shape(data)
        return Value(
            tf.reshape(data, [dynamic[i] if side is None else side for i, side in enumerate(shape)])
        )
    return Value(tf.reshape(data, [-1 if side is None else side for side in shape]))


@operator("Flatten", "axis")
def _flatten(node: Node) -> Value:
    data = node.value().plain
    axis = node.get("axis", 1) % (len(data.shape) + 1)
    if axis == 1 and None not in data.shape[1:]:
        return Value(tf.reshape(data, [-1, int(np.prod(data.shape[1:]))]))
    before = tf.reduce_prod(tf.shape(data)[:axis])
    return Value(tf.reshape(data, [before, -1]))


@operator("Squeeze", "axes")
def _squeeze(node: Node) -> Value:
    return Value(tf.squeeze(node.value().plain, node.axes()))


@operator("Unsqueeze", "axes")
def _unsqueeze(node: Node) -> Value:
    data, axes = node.value().plain, node.axes([])
    rank = len(data.shape) + len(axes or [])
    for axis in sorted(axis % rank for axis in axes or []):
        data = tf.expand_dims(data, axis)
    return Value(data)


@operator("Concat", "axis")
def _concat(node: Node) -> Value:
    values = [node.value(i) for i in range(len(node.inputs))]
    if not any(value.is_last for value in values):
        return Value(tf.concat([value.data for value in values], node.get("axis")))
    last = [value.last for value in values]
    return Value(tf.concat(last, Value(last[0], is_last=True).axis(node.get("axis"))), is_last=True)


@operator("Split", "axis", "num_outputs", "split")
def _split(node: Node) -> tuple[Value, ...]:
    value = node.value()
    axis = value.axis(node.get("axis", 0))
    sizes: Any = node.get("split", node.count)
    if node.optional(1) is not None:
        sizes = [int(size) for size in node.known(1)]
    return tuple(Value(part, value.is_last) for part in tf.split(value.data, sizes, axis))


@operator("Slice", "axes", "ends", "starts")
def _slice(node: Node) -> Value:
    value = node.value()
    if "starts" in node.attributes:
        starts, ends = np.array(node.get("starts")), np.array(node.get("ends"))
        axes = node.get("axes", range(len(starts)))
        steps = np.ones(len(starts), np.int64)
    else:
        starts, ends = (node.value(i).data for i in (1, 2))
        count = int(starts.shape[0])
        axes = range(count) if node.optional(3) is None else node.known(3).tolist()
        steps = np.ones(count, np.int64) if node.optional(4) is None else node.known(4)
    cuts = [slice(None)] * value.rank
    for i, axis in enumerate(axes):
        cuts[value.axis(axis)] = slice(_bound(starts[i]), _bound(ends[i]), int(steps[i]))
    return Value(value.data[tuple(cuts)], value.is_last)


def _bound(bound: Any) -> Any:
    """Return a bound of a slice; None where it is beyond the end or the beginning."""
    if not isinstance(bound, np.integer):
        return tf.cast(bound, tf.int32)
    return None if abs(int(bound)) >= _TO_THE_END else int(bound)


@operator("Gather", "axis")
def _gather(node: Node) -> Value:
    data, indices = node.value().plain, node.value(1).plain
    axis = node.get("axis", 0)
    # TensorFlow refuses indices that count from the end.
    if not isinstance(indices, np.ndarray) or (indices < 0).any():
        size = data.shape[axis]
        end = tf.cast(tf.shape(data)[axis], indices.dtype) if size is None else int(size)
        indices = tf.where(indices < 0, indices + end, indices)
    return Value(tf.gather(data, indices, axis=axis))


@operator("Shape", "start", "end")
def _shape(node: Node) -> Value:
    value = node.value()
    part = slice(node.get("start", 0), node.get("end"))
    sizes = value.sizes
    if None not in sizes[part]:
        return Value(np.array(sizes[part], np.int64))
    dynamic = tf.cast(tf.shape(value.data), tf.int64)
    if value.is_last:
        dynamic = tf.gather(dynamic, last_to_plain(value.rank))
    return Value(dynamic[part])


@operator("Expand")
def _expand(node: Node) -> Value:
    data, shape = node.value().plain, node.value(1).plain
    # Where the shape says 1, the size of the data stays.
    rank = int(shape.shape[0])
    if rank < len(data.shape):
        shape = tf.concat([np.ones(len(data.shape) - rank, np.int64), shape], 0)
    own = tf.cast(tf.shape(data), tf.int64)
    missing = max(0, rank - len(data.shape))
    own = tf.concat([np.ones(missing, np.int64), own], 0)
    return Value(tf.broadcast_to(data, tf.maximum(own, shape)))


@operator("ConstantOfShape", "value")
def _constant_of_shape(node: Node) -> Value:
    fill = node.get("value", np.zeros(1, np.float32))
    return Value(tf.fill(node.value().plain, fill.reshape(())[()]))


@operator("Pad", "mode", "pads", "value")
def _pad(node: Node) -> Value:
    node.require("mode", "constant", "reflect")
    value = node.value()
    pads = node.get("pads") if "pads" in node.attributes else node.known(1).tolist()
    fill = node.get("value", 0.0) if node.optional(2) is None else node.known(2).item()
    axes = range(value.rank) if node.optional(3) is None else node.known(3).tolist()
    amounts = [(0, 0)] * value.rank
    for i, axis in enumerate(axes):
        amounts[value.axis(axis)] = (pads[i], pads[i + len(pads) // 2])
    mode = node.get("mode", "constant").upper()
    return Value(tf.pad(value.data, amounts, mode, fill), value.is_last)


def _reduce(name: str, reduce: Callable[..., Data]) -> None:
    @operator(name, "axes", "keepdims", "noop_with_empty_axes")
    def write(node: Node) -> Value:
        value = node.value()
        axes = node.axes()
        if not axes and node.get("noop_with_empty_axes", 0):
            return value
        reduced = [axis % value.rank for axis in axes or range(value.rank)]
        if node.get("keepdims", 1):
            return Value(
                reduce(value.data, [value.axis(a) for a in reduced], keepdims=True), value.is_last
            )
        left = [value.axis(axis) for axis in range(value.rank) if axis not in reduced]
        if left == sorted(left):
            return Value(reduce(value.data, [value.axis(axis) for axis in reduced]))
        return Value(reduce(value.plain, reduced))


for _name, _compute in (
    ("ReduceMax", tf.reduce_max),
    ("ReduceMean", tf.reduce_mean),
    ("ReduceMin", tf.reduce_min),
    ("ReduceProd", tf.reduce_prod),
    ("ReduceSum", tf.reduce_sum),
):
    _reduce(_name, _compute)


@operator("Softmax", "axis")
def _softmax(node: Node) -> Value:
    value = node.value()
    return Value(tf.nn.softmax(value.data, value.axis(node.get("axis", -1))), value.is_last)


@operator("CumSum", "exclusive", "reverse")
def _cumsum(node: Node) -> Value:
    value = node.value()
    axis = value.axis(node.known(1).item())
    exclusive, reverse = (bool(node.get(name, 0)) for name in ("exclusive", "reverse"))
    return Value(tf.cumsum(value.data, axis, exclusive=exclusive, reverse=reverse), value.is_last)


@operator("TopK", "axis", "largest", "sorted")
def _top_k(node: Node) -> tuple[Value, ...]:
    value = node.value()
    if node.get("axis", -1) % value.rank != value.rank - 1 or not node.get("largest", 1):
        raise node.refusal("but for the largest of the last axis")
    # LiteRT has no 64-bit positions; the cast is left out where nothing takes them.
    found = tf.math.top_k(value.plain, node.known(1).item())
    return Value(found.values), Value(tf.cast(found.indices, tf.int64))


@operator("MatMul")
def _matmul(node: Node) -> Value:
    first, second = node.value(0).plain, node.value(1).plain
    if len(second.shape) == 2 and len(first.shape) > 2:
        # One product of matrices, where a batch of them would be computed one by one.
        sizes = first.shape
        flat = tf.matmul(tf.reshape(first, [-1, second.shape[0]]), second)
        known = [sizes[i] for i in range(len(sizes) - 1)]
        if known.count(None) <= 1:
            shape = [-1 if side is None else side for side in known]
        else:
            dynamic = tf.shape(first)
            shape = [dynamic[i] if side is None else side for i, side in enumerate(known)]
        return Value(tf.reshape(flat, [*shape, second.shape[-1]]))
    return Value(tf.matmul(first, second))


@operator("Einsum", "equation")
def _einsum(node: Node) -> Value:
    inputs = [node.value(i).plain for i in range(len(node.inputs))]
    return Value(tf.einsum(node.get("equation"), *inputs))


@operator("Gemm", "alpha", "beta", "transA", "transB")
def _gemm(node: Node) -> Value:
    first, second = node.value(0).plain, node.value(1).plain
    result = tf.matmul(
        first,
        second,
        transpose_a=bool(node.get("transA", 0)),
        transpose_b=bool(node.get("transB", 0)),
    )
    if (alpha := node.get("alpha", 1.0)) != 1.0:
        result *= np.float32(alpha)
    if node.optional(2) is None:
        return Value(result)
    addend = node.value(2).plain
    beta = node.get("beta", 1.0)
    return Value(result + (addend if beta == 1.0 else addend * np.float32(beta)))
