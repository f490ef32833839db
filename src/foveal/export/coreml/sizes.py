"""Shape operations in MIL. Dynamic sizes of the ONNX graph may stay dynamic.

Runs only in the process that converts: it needs coremltools.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from coremltools.converters.mil import Builder as mb

from foveal.export.coreml.node import NoCounterpartError, Node, Value, known, rank_of

# Ends of slices that reach this far mean "to the end".
_FAR = 1 << 31


def shape(node: Node) -> Value:
    """Write Shape: an array where the sizes are known."""
    value = node.inputs[0]
    rank = rank_of(value)
    start, end, _ = slice(node.attributes.get("start"), node.attributes.get("end")).indices(rank)
    sizes = list(value.shape)[start:end]
    if all(isinstance(size, int | np.integer) for size in sizes):
        return np.array(sizes, np.int64)
    return mb.slice_by_index(x=mb.shape(x=value), begin=[start], end=[end])


def reshape(node: Node) -> Value:
    """Write Reshape, of which 0 copies a size where the operator set says so."""
    value, shape = node.inputs[0], node.inputs[1]
    if isinstance(shape, np.ndarray) and not node.attributes.get("allowzero") and 0 in shape:
        shape = _copied(list(value.shape), [int(size) for size in shape])
    return mb.reshape(x=value, shape=shape)


def _copied(sizes: list[Any], wanted: list[int]) -> list[int]:
    """Put in the sizes that are copied, which `wanted` has as 0; one may be free: it is -1 then."""
    made = [sizes[i] if size == 0 else size for i, size in enumerate(wanted)]
    is_free = [not isinstance(size, int | np.integer) for size in made]
    if any(is_free):
        # What is left for -1 are the sizes that are not copied.
        left = [sizes[i] for i in range(len(sizes)) if i >= len(wanted) or wanted[i] != 0]
        if sum(is_free) > 1 or not all(isinstance(size, int | np.integer) for size in left):
            raise NoCounterpartError("Reshape of several free sizes")
        rest = int(np.prod(left)) // int(np.prod([size for size in wanted if size > 0]))
        made = [rest if size == -1 else size for size in made]
    return [-1 if free else int(size) for free, size in zip(is_free, made, strict=True)]


def cut(node: Node) -> Value:
    """Write Slice with positive steps."""
    value = node.inputs[0]
    rank = rank_of(value)
    starts, ends = node.numbers(1, "starts") or [], node.numbers(2, "ends") or []
    axes, steps = node.numbers(3, "axes"), node.numbers(4, "steps")
    begin, end, stride = [0] * rank, [0] * rank, [1] * rank
    from_first, to_last = [True] * rank, [True] * rank
    for i, axis in enumerate(axes if axes is not None else range(len(starts))):
        begin[axis], stride[axis] = starts[i], 1 if steps is None else steps[i]
        if stride[axis] < 1:
            raise NoCounterpartError("Slice backwards")
        from_first[axis], to_last[axis] = starts[i] == 0, abs(ends[i]) >= _FAR - 1
        end[axis] = 0 if to_last[axis] else ends[i]
    return mb.slice_by_index(
        x=value, begin=begin, end=end, stride=stride, begin_mask=from_first, end_mask=to_last
    )


def concat(node: Node) -> Value:
    """Write Concat."""
    return mb.concat(values=list(node.inputs), axis=int(node.attributes["axis"]))


def pad(node: Node) -> Value:
    """Write Pad with one value."""
    pads = node.numbers(1, "pads") or []
    rank = rank_of(node.inputs[0])
    if node.given(3) is not None or node.attributes.get("mode", b"constant") != b"constant":
        raise NoCounterpartError("Pad of some axes, or not with one value")
    value = node.given(2)
    pairs = [[pads[axis], pads[rank + axis]] for axis in range(rank)]
    while len(pairs) > 1 and not any(pairs[0]):
        pairs.pop(0)
    return mb.pad(
        x=node.inputs[0],
        pad=[size for pair in pairs for size in pair],
        mode="constant",
        constant_val=0.0 if value is None else float(known(value)),
    )


def expand(node: Node) -> Value:
    """Repeat one number, which is all that our networks expand."""
    value = known(node.inputs[0])
    if value.size != 1:
        raise NoCounterpartError("Expand of more than one number")
    return mb.fill(shape=node.inputs[1], value=value.ravel()[0])


def squeeze(node: Node) -> Value:
    """Write Squeeze."""
    return mb.squeeze(x=node.inputs[0], axes=node.numbers(1, "axes"))


def unsqueeze(node: Node) -> Value:
    """Write Unsqueeze."""
    return mb.expand_dims(x=node.inputs[0], axes=node.numbers(1, "axes"))


def gather(node: Node) -> Value:
    """Write Gather by known positions."""
    value, indices = node.inputs[0], known(node.inputs[1])
    axis = int(node.attributes.get("axis", 0))
    if (indices < 0).any():
        size = value.shape[axis]
        if not isinstance(size, int | np.integer):
            raise NoCounterpartError("Gather from the end of a free axis")
        indices = np.where(indices < 0, indices + size, indices)
    return mb.gather(x=value, indices=indices, axis=axis)


def transpose(node: Node) -> Value:
    """Write Transpose."""
    rank = rank_of(node.inputs[0])
    perm = node.attributes.get("perm") or list(reversed(range(rank)))
    return mb.transpose(x=node.inputs[0], perm=list(perm))
