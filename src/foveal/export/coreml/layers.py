"""Layers of networks in MIL: convolutions, pools, normalisation, enlarging, recurrence.

Runs only in the process that converts: it needs coremltools.
"""

from __future__ import annotations

import numpy as np
from coremltools.converters.mil import Builder as mb

from foveal.export.coreml.node import NoCounterpartError, Node, Value, known, rank_of


def _pads(node: Node, rank: int) -> list[int]:
    """Return the padding as MIL wants it: before and after, axis by axis."""
    if node.attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise NoCounterpartError(f"{node.kind} with auto_pad")
    pads = node.attributes.get("pads") or [0] * 2 * rank
    return [int(pads[side * rank + axis]) for axis in range(rank) for side in (0, 1)]


def _convolution(node: Node) -> dict[str, Value]:
    """Return the arguments of a convolution, of 1 or 2 dimensions, in either direction."""
    weight, bias = known(node.inputs[1]), node.given(2)
    rank = weight.ndim - 2
    return {
        "x": node.inputs[0],
        "weight": weight,
        **({} if bias is None else {"bias": known(bias)}),
        "pad_type": "custom",
        "pad": _pads(node, rank),
        "strides": node.attributes.get("strides") or [1] * rank,
        "dilations": node.attributes.get("dilations") or [1] * rank,
        "groups": int(node.attributes.get("group", 1)),
    }


def conv(node: Node) -> Value:
    """Write Conv."""
    return mb.conv(**_convolution(node))


def conv_transpose(node: Node) -> Value:
    """Write ConvTranspose without a size of its own."""
    if any(node.attributes.get(name) for name in ("output_shape", "output_padding")):
        raise NoCounterpartError("ConvTranspose with a size of its own")
    return mb.conv_transpose(**_convolution(node))


def pool(node: Node) -> Value:
    """Write MaxPool or AveragePool."""
    kernel = [int(size) for size in node.attributes["kernel_shape"]]
    if any(step != 1 for step in node.attributes.get("dilations", ())):
        raise NoCounterpartError(f"{node.kind} with dilations")
    common = {
        "x": node.inputs[0],
        "kernel_sizes": kernel,
        "strides": node.attributes.get("strides") or [1] * len(kernel),
        "pad_type": "custom",
        "pad": _pads(node, len(kernel)),
        "ceil_mode": bool(node.attributes.get("ceil_mode", 0)),
    }
    if node.kind == "MaxPool":
        return mb.max_pool(**common)
    counts_padding = bool(node.attributes.get("count_include_pad", 0))
    return mb.avg_pool(**common, exclude_padding_from_average=not counts_padding)


def global_pool(node: Node) -> Value:
    """Write GlobalAveragePool."""
    image = node.inputs[0]
    return mb.reduce_mean(x=image, axes=list(range(2, rank_of(image))), keep_dims=True)


def norm(node: Node) -> Value:
    """Write InstanceNormalization or LayerNormalization."""
    value, gamma, beta = node.inputs[0], known(node.inputs[1]), node.given(2)
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    offset = np.zeros_like(gamma) if beta is None else known(beta)
    if node.kind == "InstanceNormalization":
        return mb.instance_norm(x=value, gamma=gamma, beta=offset, epsilon=epsilon)
    axis = int(node.attributes.get("axis", -1)) % rank_of(value)
    axes = list(range(axis, rank_of(value)))
    return mb.layer_norm(x=value, axes=axes, gamma=gamma, beta=offset, epsilon=epsilon)


def batch_norm(node: Node) -> Value:
    """Write BatchNormalization by the statistics of the training."""
    gamma, beta, mean, variance = (known(value) for value in node.inputs[1:5])
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    return mb.batch_norm(
        x=node.inputs[0], mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=epsilon
    )


def resize(node: Node) -> Value:
    """Nearest or bilinear enlargement of the last two axes by whole factors."""
    value, scales, sizes = node.inputs[0], node.given(2), node.given(3)
    if sizes is not None and np.size(known(sizes)):
        factors = [int(s) / int(size) for s, size in zip(known(sizes), value.shape, strict=True)]
    else:
        factors = [float(scale) for scale in known(scales)]
    mode = node.attributes.get("mode", b"nearest")
    where = node.attributes.get("coordinate_transformation_mode", b"half_pixel")
    is_whole = factors[:2] == [1.0, 1.0] and all(factor == int(factor) for factor in factors)
    if not is_whole or len(factors) != 4:
        raise NoCounterpartError(f"Resize by {factors}")
    height, width = int(factors[2]), int(factors[3])
    if mode == b"nearest":
        # By whole factors, all of these take the pixel that a new one lies in.
        rounding = node.attributes.get("nearest_mode", b"round_prefer_floor")
        if (where, rounding) != (b"asymmetric", b"floor") and where != b"half_pixel":
            raise NoCounterpartError(f"Resize with {where!r} and {rounding!r}")
        return mb.upsample_nearest_neighbor(
            x=value, scale_factor_height=height, scale_factor_width=width
        )
    if mode == b"linear" and where in (b"half_pixel", b"pytorch_half_pixel", b"align_corners"):
        return mb.upsample_bilinear(
            x=value,
            scale_factor_height=height,
            scale_factor_width=width,
            align_corners=where == b"align_corners",
        )
    raise NoCounterpartError(f"Resize with {mode!r} and {where!r}")


def gru(node: Node) -> tuple[Value, Value]:
    """Return the states of both directions, (T, D, N, H), and the last ones, (D, N, H)."""
    names = [b"forward"] if len(known(node.inputs[1])) == 1 else [b"forward", b"reverse"]
    said = node.attributes.get("direction", b"forward")
    given = {b"forward": [b"forward"], b"reverse": [b"reverse"], b"bidirectional": names}[said]
    if not node.attributes.get("linear_before_reset", 0) or node.given(4) is not None:
        raise NoCounterpartError("GRU of another kind than that of torch")
    states, lasts = [], []
    for position, direction in enumerate(given):
        state, last = _gru_one(node, position, direction.decode())
        states.append(mb.expand_dims(x=state, axes=[1]))
        lasts.append(mb.expand_dims(x=last, axes=[0]))
    if len(given) == 1:
        return states[0], lasts[0]
    return mb.concat(values=states, axis=1), mb.concat(values=lasts, axis=0)


def _gru_one(node: Node, position: int, direction: str) -> tuple[Value, Value]:
    """Return the states of one direction, (T, N, H), and the last one, (N, H).

    The GRU of MIL has no bias inside the product with the reset gate, as that of torch has. A
    unit more, whose state is always 1, carries it: its update gate is held open by a bias.
    """
    hidden = int(node.attributes["hidden_size"])
    kernel, recurrent = (known(node.inputs[i])[position] for i in (1, 2))
    given = node.given(3)
    biases = np.zeros(6 * hidden, np.float32) if given is None else known(given)[position]
    # ONNX has the gates in the order update, reset, new; MIL has reset, new, update.
    update, reset, new = range(3)
    rows_in, rows_state, row_biases = [], [], []
    for gate in (reset, new, update):
        part = slice(gate * hidden, (gate + 1) * hidden)
        outer, inner = biases[part], biases[3 * hidden :][part]
        state = np.zeros((hidden + 1, hidden + 1), np.float32)
        state[:hidden, :hidden] = recurrent[part]
        bias = np.zeros(hidden + 1, np.float32)
        bias[:hidden] = outer if gate == new else outer + inner
        if gate == new:
            state[:hidden, hidden] = inner
        # The sigmoid of 100 is 1 in 32 and in 16 bits.
        bias[hidden] = 100.0 if gate == update else 0.0
        rows_in.append(np.vstack([kernel[part], np.zeros((1, kernel.shape[1]), np.float32)]))
        rows_state.append(state)
        row_biases.append(bias)
    start = np.zeros((1, hidden + 1), np.float32)
    start[0, hidden] = 1.0
    if node.given(5) is not None:
        start[0, :hidden] = known(node.inputs[5])[position][0]
    states, last = mb.gru(
        x=node.inputs[0],
        initial_h=start,
        weight_ih=np.vstack(rows_in),
        weight_hh=np.vstack(rows_state),
        bias=np.concatenate(row_biases),
        direction=direction,
        output_sequence=True,
    )
    return (
        mb.slice_by_size(x=states, begin=[0, 0, 0], size=[-1, -1, hidden]),
        mb.slice_by_size(x=last, begin=[0, 0], size=[-1, hidden]),
    )
