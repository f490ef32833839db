"""Operators over windows: convolutions, pooling, normalisation of channels, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from foveal.export.tensorflow.operators import Node, operator
from foveal.export.tensorflow.values import Data, Value

_WINDOW = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
# The least number of float32: what padding is to a maximum.
_LEAST = float(np.finfo(np.float32).min)


@operator("Conv", "group", *_WINDOW)
def _conv(node: Node) -> Value:
    node.require("auto_pad", "NOTSET")
    weights, group = node.known(1), node.get("group", 1)
    is_line = weights.ndim == 3
    if weights.ndim not in (3, 4):
        raise node.refusal(f"over {weights.ndim - 2} axes")
    data = node.value().last
    if is_line:
        # One row of a map: LiteRT and TensorFlow compute in two dimensions either way.
        data, weights = data[:, tf.newaxis], weights[:, :, np.newaxis]
    strides, dilations = (_pair(node.get(name), is_line, 1) for name in ("strides", "dilations"))
    pads = _pads(node.get("pads"), is_line)
    bias = None if node.optional(2) is None else node.known(2)
    data, padding = _padded(data, pads, weights.shape[2:], strides, dilations)
    result = _convolved(node, data, weights, (strides, dilations), padding, group)
    if bias is not None:
        result = tf.nn.bias_add(result, bias)
    return Value(result[:, 0] if is_line else result, is_last=True)


def _convolved(
    node: Node,
    data: Data,
    weights: NDArray[Any],
    steps: tuple[list[int], list[int]],
    padding: str,
    group: int,
) -> Data:
    strides, dilations = steps
    count, each = weights.shape[:2]
    kernel = weights.transpose(2, 3, 1, 0)
    if group == 1:
        return tf.nn.conv2d(data, kernel, strides, padding, dilations=dilations)
    if each == 1:
        if strides[0] != strides[1]:
            raise node.refusal(f"by channel with strides {strides}")
        # (h, w, 1, groups x multiplier) is in the same order as (h, w, groups, multiplier).
        kernel = kernel.reshape(*kernel.shape[:2], group, count // group)
        steps_4 = [1, *strides, 1]
        return tf.nn.depthwise_conv2d(data, kernel, steps_4, padding, dilations=dilations)
    parts = zip(tf.split(data, group, axis=3), np.split(kernel, group, axis=3), strict=True)
    results = [tf.nn.conv2d(x, k, strides, padding, dilations=dilations) for x, k in parts]
    return tf.concat(results, axis=3)


def _pair(value: Sequence[int] | None, is_line: bool, default: int) -> list[int]:
    if value is None:
        return [default, default]
    return [1, value[0]] if is_line else list(value)


def _pads(value: Sequence[int] | None, is_line: bool) -> list[tuple[int, int]]:
    """Return what is added before and after each of two axes."""
    if value is None:
        return [(0, 0), (0, 0)]
    half = len(value) // 2
    pads = list(zip(value[:half], value[half:], strict=True))
    return [(0, 0), *pads] if is_line else pads


def _padded(
    data: Data,
    pads: list[tuple[int, int]],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    fill: float = 0.0,
) -> tuple[Data, str]:
    """Return what a window runs over, and TensorFlow's word for the padding that is left to it.

    Its "SAME" is taken only where it means the same: with strides, it pads by the size.
    """
    if not any(map(any, pads)):
        return data, "VALID"
    if fill == 0.0:
        sides = data.shape[1:3]
        same = [
            _same(side, k, stride, dilation)
            for side, k, stride, dilation in zip(sides, kernel, strides, dilations, strict=True)
        ]
        if same == pads:
            return data, "SAME"
    return tf.pad(data, [(0, 0), *pads, (0, 0)], constant_values=fill), "VALID"


def _same(side: int | None, kernel: int, stride: int, dilation: int) -> tuple[int, int] | None:
    """Return what TensorFlow's "SAME" adds before and after; None where the size decides."""
    reach = (kernel - 1) * dilation
    if stride == 1:
        total = reach
    elif side is None:
        return None
    else:
        total = max((-(-side // stride) - 1) * stride + reach + 1 - side, 0)
    return total // 2, total - total // 2


def _pool_window(node: Node) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    node.require("auto_pad", "NOTSET")
    node.require("ceil_mode", 0)
    node.require("dilations", [1, 1])
    kernel = list(node.get("kernel_shape"))
    if len(kernel) != 2:
        raise node.refusal(f"over {len(kernel)} axes")
    return kernel, _pair(node.get("strides"), False, 1), _pads(node.get("pads"), False)


@operator("MaxPool", "ceil_mode", "storage_order", *_WINDOW)
def _max_pool(node: Node) -> Value:
    kernel, strides, pads = _pool_window(node)
    node.require("storage_order", 0)
    data, padding = _padded(node.value().last, pads, kernel, strides, [1, 1], fill=_LEAST)
    return Value(tf.nn.max_pool2d(data, kernel, strides, padding), is_last=True)


@operator("AveragePool", "ceil_mode", "count_include_pad", *_WINDOW)
def _average_pool(node: Node) -> Value:
    kernel, strides, pads = _pool_window(node)
    data = node.value().last
    if any(map(any, pads)):
        node.require("count_include_pad", 1)
        if node.get("count_include_pad") is None:
            raise node.refusal("with pads that do not count")
        data = tf.pad(data, [(0, 0), *pads, (0, 0)])
    return Value(tf.nn.avg_pool2d(data, kernel, strides, "VALID"), is_last=True)


@operator("GlobalAveragePool")
def _global_average_pool(node: Node) -> Value:
    value = node.value()
    spatial = [value.axis(axis) for axis in range(2, value.rank)]
    return Value(tf.reduce_mean(value.data, spatial, keepdims=True), value.is_last)


@operator("BatchNormalization", "epsilon", "momentum", "training_mode")
def _batch_normalization(node: Node) -> Value:
    node.require("training_mode", 0)
    scale, shift, mean, variance = (node.known(i).astype(np.float64) for i in range(1, 5))
    factor = scale / np.sqrt(variance + node.get("epsilon", 1e-5))
    both = (factor.astype(np.float32), (shift - mean * factor).astype(np.float32))
    value = node.value()
    if value.rank == 2:
        return Value(value.data * both[0] + both[1])
    return Value(value.last * both[0] + both[1], is_last=True)


@operator("InstanceNormalization", "epsilon")
def _instance_normalization(node: Node) -> Value:
    value = node.value()
    scale, shift = (
        node.known(i).reshape(-1, *(1,) * (0 if value.is_last else value.rank - 2)) for i in (1, 2)
    )
    axes = [value.axis(axis) for axis in range(2, value.rank)]
    centred, spread = _standard(value.data, axes, node.get("epsilon", 1e-5))
    return Value(centred * (spread * scale) + shift, value.is_last)


@operator("LayerNormalization", "axis", "epsilon", "stash_type")
def _layer_normalization(node: Node) -> Value:
    node.require("stash_type", 1)
    data = node.value().plain
    axes = list(range(node.get("axis", -1) % len(data.shape), len(data.shape)))
    centred, spread = _standard(data, axes, node.get("epsilon", 1e-5))
    result = centred * spread * node.value(1).plain
    return Value(result if node.optional(2) is None else result + node.value(2).plain)


def _standard(data: Data, axes: list[int], epsilon: float) -> tuple[Data, Data]:
    """Return the differences from the mean over some axes, and 1 / their standard deviation."""
    centred = data - tf.reduce_mean(data, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    return centred, tf.math.rsqrt(variance + np.float32(epsilon))


@operator(
    "Resize",
    *("antialias", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside"),
    *("extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode"),
)
def _resize(node: Node) -> Value:
    for name, allowed in (
        ("antialias", 0),
        ("exclude_outside", 0),
        ("keep_aspect_ratio_policy", "stretch"),
        ("nearest_mode", "floor"),
    ):
        node.require(name, allowed)
    value = node.value()
    if value.rank != 4:
        raise node.refusal(f"over {value.rank - 2} axes")
    data, size = value.last, _resized(node, value)
    place = node.get("coordinate_transformation_mode", "half_pixel")
    if node.get("mode", "nearest") == "nearest":
        node.require("coordinate_transformation_mode", "asymmetric")
        if node.get("nearest_mode") != "floor" or place != "asymmetric":
            raise node.refusal(f"to the nearest, {place}")
        return Value(tf.raw_ops.ResizeNearestNeighbor(images=data, size=size), is_last=True)
    node.require("mode", "linear")
    if place not in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        raise node.refusal(f"with coordinate_transformation_mode={place}")
    result = tf.raw_ops.ResizeBilinear(
        images=data,
        size=size,
        half_pixel_centers="half_pixel" in place,
        align_corners=place == "align_corners",
    )
    return Value(result, is_last=True)


def _resized(node: Node, value: Value) -> Data:
    """Return (height, width) after a resize, int32."""
    if node.optional(3) is not None:
        return tf.cast(node.value(3).plain[2:], tf.int32)
    scales = node.known(2)[2:]
    sides = value.sizes[2:]
    if None not in sides:
        return np.floor(np.array(sides) * scales.astype(np.float64)).astype(np.int32)
    dynamic = tf.shape(value.last)[1:3]
    return tf.cast(tf.floor(tf.cast(dynamic, tf.float32) * scales), tf.int32)
