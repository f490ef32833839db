"""The table of ONNX operators, and those that work on each number by itself.

Each operator is one function from a node to its value. What it does not know (an operator, an
attribute, a value of one) is an `UnknownOperatorError` that names it: never a guess.
The definitions are those of https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from foveal.errors import UnknownOperatorError
from foveal.export.tensorflow.values import Data, Value, aligned


@final
@dataclass(frozen=True, slots=True)
class Node:
    """An operator of the graph, with what it is given.

    Attributes:
        op: Name of the operator.
        inputs: Its inputs; None for an optional one that is left out.
        attributes: Its attributes that are there.
        count: Number of outputs.
    """

    op: str
    inputs: tuple[Value | None, ...]
    attributes: Mapping[str, Any]
    count: int = 1

    def value(self, position: int = 0) -> Value:
        """Return an input that must be there."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if found is None:
            raise self.refusal(f"without its input {position}")
        return found

    def optional(self, position: int) -> Value | None:
        """Return an input, or None when it is left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    def known(self, position: int) -> NDArray[Any]:
        """Return an input that must be known before the network runs."""
        data = self.value(position).data
        if not isinstance(data, np.ndarray):
            raise self.refusal(f"whose input {position} is known only when it runs")
        return data

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.attributes.get(name, default)

    def require(self, name: str, *allowed: Any) -> None:
        """Raise unless an attribute is left out or has one of some values."""
        if (value := self.get(name)) is not None and value not in allowed:
            raise self.refusal(f"with {name}={value}")

    def axes(self, default: list[int] | None = None) -> list[int] | None:
        """Return the axes, which newer operators take as an input and older as an attribute."""
        if self.optional(1) is not None:
            return [int(axis) for axis in self.known(1)]
        axes = self.get("axes", default)
        return None if axes is None else [int(axis) for axis in axes]

    def refusal(self, how: str = "") -> UnknownOperatorError:
        """Return the error for a use of an operator that is not known."""
        used = f"{self.op} {how}" if how else self.op
        return UnknownOperatorError(
            f"The network uses the operator {used}, which foveal cannot convert to TensorFlow.",
            hint="foveal export RUN --to onnx, or train with another --backbone",
        )


Operator: TypeAlias = "Callable[[Node], Value | tuple[Value, ...]]"


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """An operator's function, and the attributes that it looks at."""

    write: Operator
    attributes: frozenset[str]


OPERATORS: dict[str, Entry] = {}


def operator(name: str, *attributes: str) -> Callable[[Operator], Operator]:
    """Add the decorated function to the table."""

    def add(write: Operator) -> Operator:
        OPERATORS[name] = Entry(write, frozenset(attributes))
        return write

    return add


def _hard_sigmoid(node: Node, data: Data) -> Data:
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        # The form that TensorFlow's and LiteRT's kernels know.
        return tf.nn.relu6(data + np.float32(3)) * np.float32(1 / 6)
    return tf.clip_by_value(data * np.float32(alpha) + np.float32(beta), 0.0, 1.0)


def _gelu(node: Node, data: Data) -> Data:
    return tf.nn.gelu(data, approximate=node.get("approximate", "none") == "tanh")


_EACH: dict[str, tuple[Callable[[Node, Data], Data], tuple[str, ...]]] = {
    "Abs": (lambda _, x: tf.abs(x), ()),
    "Ceil": (lambda _, x: tf.math.ceil(x), ()),
    "Elu": (
        lambda node, x: tf.where(x > 0, x, node.get("alpha", 1.0) * (tf.exp(x) - 1)),
        ("alpha",),
    ),
    "Erf": (lambda _, x: tf.math.erf(x), ()),
    "Exp": (lambda _, x: tf.exp(x), ()),
    "Floor": (lambda _, x: tf.floor(x), ()),
    "Gelu": (_gelu, ("approximate",)),
    "HardSigmoid": (_hard_sigmoid, ("alpha", "beta")),
    "HardSwish": (lambda _, x: x * tf.nn.relu6(x + np.float32(3)) * np.float32(1 / 6), ()),
    "Identity": (lambda _, x: tf.identity(x), ()),
    "LeakyRelu": (lambda node, x: tf.nn.leaky_relu(x, node.get("alpha", 0.01)), ("alpha",)),
    "Log": (lambda _, x: tf.math.log(x), ()),
    "Neg": (lambda _, x: tf.negative(x), ()),
    "Reciprocal": (lambda _, x: 1 / x, ()),
    "Relu": (lambda _, x: tf.nn.relu(x), ()),
    "Sigmoid": (lambda _, x: tf.sigmoid(x), ()),
    "Sign": (lambda _, x: tf.sign(x), ()),
    "Softplus": (lambda _, x: tf.nn.softplus(x), ()),
    "Sqrt": (lambda _, x: tf.sqrt(x), ()),
    "Tanh": (lambda _, x: tf.tanh(x), ()),
}
_PAIRS: dict[str, Callable[[Data, Data], Data]] = {
    "Add": tf.add,
    "Div": lambda x, y: x // y if x.dtype in (tf.int32, tf.int64) else tf.divide(x, y),
    "Equal": tf.equal,
    "Mul": tf.multiply,
    "Sub": tf.subtract,
}


def _add_each(
    name: str, compute: Callable[[Node, Data], Data], attributes: tuple[str, ...]
) -> None:
    @operator(name, *attributes)
    def write(node: Node) -> Value:
        value = node.value()
        return Value(compute(node, value.data), value.is_last)


def _add_pair(name: str, compute: Callable[[Data, Data], Data]) -> None:
    @operator(name)
    def write(node: Node) -> Value:
        (first, second), is_last = aligned([node.value(0), node.value(1)])
        return Value(compute(first, second), is_last)


for _name, (_compute, _attributes) in _EACH.items():
    _add_each(_name, _compute, _attributes)
for _name, _pair in _PAIRS.items():
    _add_pair(_name, _pair)


@operator("Pow")
def _pow(node: Node) -> Value:
    exponent = node.value(1)
    if exponent.is_known and np.size(exponent.data) == 1 and float(exponent.data) == 2.0:
        return Value(tf.square(node.value().data), node.value().is_last)
    (first, second), is_last = aligned([node.value(0), exponent])
    return Value(tf.pow(first, tf.cast(second, first.dtype)), is_last)


@operator("Where")
def _where(node: Node) -> Value:
    (condition, first, second), is_last = aligned([node.value(i) for i in range(3)])
    return Value(tf.where(condition, first, second), is_last)


@operator("Clip")
def _clip(node: Node) -> Value:
    value = node.value()
    low, high = (None if node.optional(i) is None else node.known(i).item() for i in (1, 2))
    data = value.data
    if (low, high) == (0, 6):
        return Value(tf.nn.relu6(data), value.is_last)
    if low is not None:
        data = tf.nn.relu(data) if low == 0 else tf.maximum(data, np.asarray(low, data.dtype.name))
    if high is not None:
        data = tf.minimum(data, np.asarray(high, data.dtype.name))
    return Value(data, value.is_last)


_TYPES = {
    1: tf.float32,
    2: tf.uint8,
    3: tf.int8,
    6: tf.int32,
    7: tf.int64,
    9: tf.bool,
    11: tf.float64,
}


@operator("Cast", "to", "saturate")
def _cast(node: Node) -> Value:
    node.require("to", *_TYPES)
    return Value(tf.cast(node.value().data, _TYPES[node.get("to")]), node.value().is_last)
