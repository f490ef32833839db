"""The conversion of ONNX operators to MIL, the language of Core ML programs.

Runs only in the process that converts: it needs coremltools. Batches are of one picture, as Core
ML's image inputs are.

The operators of both sides are described at https://onnx.ai/onnx/operators/ and
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from coremltools.converters.mil import Builder as mb

from foveal.export.coreml import layers, sizes
from foveal.export.coreml.node import NoCounterpartError, Node, Value, known, rank_of


def _one(make: Callable[..., Value]) -> Callable[[Node], Value]:
    return lambda node: make(x=node.inputs[0])


def _two(make: Callable[..., Value]) -> Callable[[Node], Value]:
    return lambda node: make(x=node.inputs[0], y=node.inputs[1])


def _reduce(make: Callable[..., Value]) -> Callable[[Node], Value]:
    def built(node: Node) -> Value:
        axes = node.numbers(1, "axes")
        return make(
            x=node.inputs[0],
            axes=list(range(rank_of(node.inputs[0]))) if axes is None else axes,
            keep_dims=bool(node.attributes.get("keepdims", 1)),
        )

    return built


def _clip(node: Node) -> Value:
    low, high = node.given(1), node.given(2)
    if low is not None and high is not None:
        return mb.clip(x=node.inputs[0], alpha=float(known(low)), beta=float(known(high)))
    value = node.inputs[0]
    if low is not None:
        value = mb.maximum(x=value, y=float(known(low)))
    return value if high is None else mb.minimum(x=value, y=float(known(high)))


def _pow(node: Node) -> Value:
    base, exponent = node.inputs[0], node.inputs[1]
    power = np.asarray(known(exponent))
    # The power of a negative number is not the same everywhere; its square is.
    if power.size == 1 and float(power.ravel()[0]) == 2.0:
        return mb.mul(x=base, y=base)
    if power.size == 1 and float(power.ravel()[0]) == 0.5:
        return mb.sqrt(x=base)
    return mb.pow(x=base, y=power)


def _cast(node: Node) -> Value:
    kinds = {1: "fp32", 6: "int32", 7: "int32", 9: "bool", 10: "fp16"}
    to = kinds.get(int(node.attributes["to"]))
    if to is None:
        raise NoCounterpartError(f"Cast to the type {node.attributes['to']}")
    return mb.cast(x=node.inputs[0], dtype=to)


def _gemm(node: Node) -> Value:
    first, second = node.inputs[0], node.inputs[1]
    product = mb.matmul(
        x=first,
        y=second,
        transpose_x=bool(node.attributes.get("transA", 0)),
        transpose_y=bool(node.attributes.get("transB", 0)),
    )
    if (alpha := float(node.attributes.get("alpha", 1.0))) != 1.0:
        product = mb.mul(x=product, y=alpha)
    added = node.given(2)
    if added is None:
        return product
    beta = np.float32(node.attributes.get("beta", 1.0))
    return mb.add(x=product, y=known(added) * beta)


def _hard_sigmoid(node: Node) -> Value:
    alpha, beta = (
        float(node.attributes.get(name, d)) for name, d in (("alpha", 0.2), ("beta", 0.5))
    )
    return mb.sigmoid_hard(x=node.inputs[0], alpha=alpha, beta=beta)


def _hard_swish(node: Node) -> Value:
    gate = mb.sigmoid_hard(x=node.inputs[0], alpha=1.0 / 6.0, beta=0.5)
    return mb.mul(x=node.inputs[0], y=gate)


def _softmax(node: Node) -> Value:
    return mb.softmax(x=node.inputs[0], axis=int(node.attributes.get("axis", -1)))


def _cumsum(node: Node) -> Value:
    return mb.cumsum(
        x=node.inputs[0],
        axis=int(known(node.inputs[1])),
        exclusive=bool(node.attributes.get("exclusive", 0)),
        reverse=bool(node.attributes.get("reverse", 0)),
    )


def _top_k(node: Node) -> tuple[Value, ...]:
    count = int(known(node.inputs[1]).ravel()[0])
    ascending = not node.attributes.get("largest", 1)
    # A list of the values and their places.
    return tuple(
        mb.topk(
            x=node.inputs[0],
            k=count,
            axis=int(node.attributes.get("axis", -1)),
            ascending=ascending,
        )
    )


def _einsum(node: Node) -> Value:
    """Write a sum of products over one axis as a product of matrices."""
    terms, _, result = node.attributes["equation"].decode().replace(" ", "").partition("->")
    first, second = terms.split(",")
    batch = [axis for axis in first if axis in second and axis in result]
    summed = [axis for axis in first if axis in second and axis not in result]
    rows, columns = (
        [a for a in own if a not in other] for own, other in ((first, second), (second, first))
    )
    if not len(summed) == len(rows) == len(columns) == 1:
        raise NoCounterpartError(f"Einsum {terms}->{result}")
    product = mb.matmul(
        x=mb.transpose(x=node.inputs[0], perm=[first.index(a) for a in (*batch, *rows, *summed)]),
        y=mb.transpose(
            x=node.inputs[1], perm=[second.index(a) for a in (*batch, *summed, *columns)]
        ),
    )
    made = [*batch, *rows, *columns]
    return mb.transpose(x=product, perm=[made.index(axis) for axis in result])


OPERATORS: Mapping[str, Callable[[Node], Value | tuple[Value, ...]]] = {
    "Abs": _one(mb.abs),
    "Add": _two(mb.add),
    "AveragePool": layers.pool,
    "BatchNormalization": layers.batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": sizes.concat,
    "Conv": layers.conv,
    "ConvTranspose": layers.conv_transpose,
    "CumSum": _cumsum,
    "Div": _two(mb.real_div),
    "Einsum": _einsum,
    "Erf": _one(mb.erf),
    "Expand": sizes.expand,
    "GRU": layers.gru,
    "Gather": sizes.gather,
    "Gemm": _gemm,
    "GlobalAveragePool": layers.global_pool,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": lambda node: node.inputs[0],
    "InstanceNormalization": layers.norm,
    "LayerNormalization": layers.norm,
    "MatMul": _two(mb.matmul),
    "MaxPool": layers.pool,
    "Mul": _two(mb.mul),
    "Pad": sizes.pad,
    "Pow": _pow,
    "ReduceMax": _reduce(mb.reduce_max),
    "ReduceMean": _reduce(mb.reduce_mean),
    "ReduceSum": _reduce(mb.reduce_sum),
    "Relu": _one(mb.relu),
    "Reshape": sizes.reshape,
    "Resize": layers.resize,
    "Shape": sizes.shape,
    "Sigmoid": _one(mb.sigmoid),
    "Sign": _one(mb.sign),
    "Slice": sizes.cut,
    "Softmax": _softmax,
    "Sqrt": _one(mb.sqrt),
    "Squeeze": sizes.squeeze,
    "Sub": _two(mb.sub),
    "TopK": _top_k,
    "Transpose": sizes.transpose,
    "Unsqueeze": sizes.unsqueeze,
}
