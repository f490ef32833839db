"""The GRU of readers, both directions in one loop over the columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from foveal.export.tensorflow.operators import Node, operator
from foveal.export.tensorflow.values import Data, Value

_DIRECTIONS = {"forward": 1, "bidirectional": 2}


@operator(
    "GRU",
    *("activations", "direction", "hidden_size", "layout", "linear_before_reset"),
)
def _gru(node: Node) -> tuple[Value, ...]:
    """Write a GRU as torch defines it: the candidate's recurrent part is computed before the reset.

    Inputs: (T, N, I), weights (D, 3H, I), recurrent weights (D, 3H, H), biases (D, 6H); gates in
    the order update, reset, candidate. Outputs: (T, D, N, H) and the last state, (D, N, H).
    """
    node.require("direction", *_DIRECTIONS)
    node.require("layout", 0)
    node.require("activations", ["Sigmoid", "Tanh"] * _DIRECTIONS[node.get("direction", "forward")])
    if node.get("linear_before_reset", 0) != 1:
        raise node.refusal("with linear_before_reset=0")
    if node.optional(4) is not None:
        raise node.refusal("with lengths of sequences")
    data = node.value().plain
    weights, recurrent = node.known(1), node.known(2)
    directions, rows, size = recurrent.shape
    biases = np.zeros((directions, 2 * rows), np.float32)
    biases = biases if node.optional(3) is None else node.known(3)
    steps = _input_parts(data, weights, biases[:, :rows])
    shape = tf.shape(data)
    state = tf.zeros([directions, shape[1], size])
    if (first := node.optional(5)) is not None:
        state = tf.broadcast_to(first.plain, [directions, shape[1], size])
    states = _run(steps, state, recurrent.transpose(0, 2, 1), biases[:, np.newaxis, rows:])
    last = states[-1]
    if directions == 2:
        # The second direction met the columns from the right.
        states = tf.stack([states[:, 0], tf.reverse(states[:, 1], [0])], axis=1)
    return Value(states), Value(last)


def _input_parts(data: Data, weights: NDArray[Any], biases: NDArray[Any]) -> Data:
    """Return what the inputs add to all gates, (T, D, N, 3H), in each direction's order."""
    directions, rows, given = weights.shape
    shape = tf.shape(data)
    flat = tf.reshape(data, [-1, given])
    parts = []
    for direction in range(directions):
        part = tf.nn.bias_add(tf.matmul(flat, weights[direction].T), biases[direction])
        part = tf.reshape(part, [shape[0], shape[1], rows])
        parts.append(tf.reverse(part, [0]) if direction else part)
    return tf.stack(parts, axis=1)


def _run(steps: Data, state: Data, recurrent: NDArray[Any], biases: NDArray[Any]) -> Data:
    """Return the states after each column, (T, D, N, H)."""

    def step(before: Data, given: Data) -> Data:
        own = tf.matmul(before, recurrent) + biases
        size = recurrent.shape[1]
        gates = tf.sigmoid(given[:, :, : 2 * size] + own[:, :, : 2 * size])
        update, reset = gates[:, :, :size], gates[:, :, size:]
        candidate = tf.tanh(given[:, :, 2 * size :] + reset * own[:, :, 2 * size :])
        return candidate + update * (before - candidate)

    if steps.shape[0] is not None:
        states = []
        for given in tf.unstack(steps):
            state = step(state, given)
            states.append(state)
        return tf.stack(states)
    return tf.scan(step, steps, state)
