"""A bundle's network as a TensorFlow function: `network_function`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper

from foveal.errors import BundleError
from foveal.export.tensorflow import convolutions, recurrent, shapes
from foveal.export.tensorflow.operators import OPERATORS, Node
from foveal.export.tensorflow.values import Value

# Importing these modules fills the table.
_MODULES = (convolutions, recurrent, shapes)


def network_function(
    model: bytes,
    outputs: Sequence[str] | None = None,
    *,
    batch: int | None = None,
    width: int | None = None,
) -> Any:
    """Return the network as a concrete function whose weights are constants of its graph.

    Args:
        model: A serialised ONNX model with the one input `image`, as bundles have it.
        outputs: Names of the outputs that it gives; None for all.
        batch: Number of pictures at a time; None for any.
        width: Width of the input, in pixels, where the network takes several; None for any.

    Returns:
        A `ConcreteFunction` from `image`, (N, H, W, 3) uint8 RGB, to a dict of the outputs.

    Raises:
        UnknownOperatorError: If the network uses an operator, or an operator in a way, that has
            no counterpart here.
        BundleError: If the model is none.
    """
    graph = onnx.load_from_string(model).graph
    (given,) = graph.input
    sides = [d.dim_value or None for d in given.type.tensor_type.shape.dim]
    shape = [batch, sides[1], sides[2] or width, sides[3]]
    wanted = list(outputs or [output.name for output in graph.output])

    def network(image: Any) -> dict[str, Any]:
        found = _run(graph, Value(image), wanted)
        # Named, so that they are called alike in a graph without signatures.
        return {name: tf.identity(found[name].plain, name=name) for name in wanted}

    spec = tf.TensorSpec(shape, tf.uint8, name="image")
    return tf.function(network, input_signature=[spec], autograph=False).get_concrete_function()


def _run(graph: onnx.GraphProto, image: Value, wanted: Sequence[str]) -> dict[str, Value]:
    """Return all values that the wanted outputs depend on, by their names."""
    values: dict[str, Value | None] = {"": None, graph.input[0].name: image}
    values |= {t.name: Value(np.array(numpy_helper.to_array(t))) for t in graph.initializer}
    for node in _needed(graph, wanted):
        if node.op_type == "Constant":
            values[node.output[0]] = Value(_constant(node))
            continue
        results = _write(node, [values[name] for name in node.input])
        values |= dict(zip(node.output, results, strict=False))
    found = {name: value for name in wanted if (value := values.get(name)) is not None}
    if len(found) < len(wanted):
        raise BundleError(f"model.onnx lacks the outputs {sorted(set(wanted) - set(found))}.")
    return found


def _needed(graph: onnx.GraphProto, wanted: Sequence[str]) -> list[onnx.NodeProto]:
    """Return the nodes that the wanted values depend on, in order."""
    names, nodes = set(wanted), []
    for node in reversed(graph.node):
        if names.intersection(node.output):
            names.update(node.input)
            nodes.append(node)
    return nodes[::-1]


def _write(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> tuple[Value, ...]:
    attributes = {a.name: _attribute(a) for a in node.attribute}
    written = Node(node.op_type, tuple(inputs), attributes, len(node.output))
    entry = OPERATORS.get(node.op_type)
    if entry is None:
        raise written.refusal(f"(node {node.name!r})" if node.name else "")
    if unknown := sorted(set(attributes) - entry.attributes):
        raise written.refusal(f"with the attribute {unknown[0]}")
    if all(value is None or value.is_known for value in inputs):
        # Known before the network runs: computed now, once.
        with tf.init_scope():
            results = _all(entry.write(written))
            return tuple(Value(np.asarray(value.data), value.is_last) for value in results)
    return _all(entry.write(written))


def _all(results: Value | tuple[Value, ...]) -> tuple[Value, ...]:
    return (results,) if isinstance(results, Value) else results


def _constant(node: onnx.NodeProto) -> Any:
    (attribute,) = node.attribute
    return np.asarray(_attribute(attribute))


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return np.array(numpy_helper.to_array(value))
    if isinstance(value, bytes):
        return value.decode()
    if attribute.type == onnx.AttributeProto.STRINGS:
        return [text.decode() for text in value]
    return list(value) if hasattr(value, "__len__") and not isinstance(value, str) else value
