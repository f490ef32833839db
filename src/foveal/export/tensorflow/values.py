"""Values between operators: where their channels are stored, and what is known before a run.

ONNX has the channels of a map second, TensorFlow's kernels want them last. A map is therefore kept
as the kernels left it, and turned round only where an operator needs the order of ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import tensorflow as tf

Data: TypeAlias = Any
"""A `tf.Tensor`, or an array of numpy where it is known before the network runs."""


@final
@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of an operator.

    Attributes:
        data: An array where it is known before the network runs, else a tensor.
        is_last: Whether its channels, the second axis in ONNX, are stored as the last.
    """

    data: Data
    is_last: bool = False

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.data.shape)

    @property
    def is_known(self) -> bool:
        """Whether it is known before the network runs."""
        return isinstance(self.data, np.ndarray)

    @property
    def plain(self) -> Data:
        """The data with its axes in the order of ONNX."""
        if not self.is_last:
            return self.data
        channels = self.data.shape[-1]
        if channels is not None and all(side == 1 for side in self.data.shape[1:-1]):
            # Without positions there is nothing to move.
            return tf.reshape(self.data, [-1, channels, *[1] * (self.rank - 2)])
        return transposed(self.data, last_to_plain(self.rank))

    @property
    def last(self) -> Data:
        """The data with its channels last."""
        return self.data if self.is_last else transposed(self.data, plain_to_last(self.rank))

    def axis(self, axis: int) -> int:
        """Return where an axis of ONNX, which may count from the end, is stored."""
        axis %= self.rank
        return last_to_plain(self.rank)[axis] if self.is_last else axis

    @property
    def sizes(self) -> list[int | None]:
        """Sizes in the order of ONNX, None where they are known only in a run."""
        shape = [None if side is None else int(side) for side in self.data.shape]
        return [shape[self.axis(axis)] for axis in range(self.rank)]


def plain_to_last(rank: int) -> tuple[int, ...]:
    """Return the permutation that brings the second axis to the end."""
    return (0, *range(2, rank), 1)


def last_to_plain(rank: int) -> tuple[int, ...]:
    """Return the permutation that undoes `plain_to_last`."""
    return (0, rank - 1, *range(1, rank - 1))


def transposed(data: Data, order: Sequence[int]) -> Data:
    """Return the data with its axes in another order."""
    if tuple(order) == tuple(range(len(order))):
        return data
    if isinstance(data, np.ndarray):
        return data.transpose(order)
    return tf.transpose(data, order)


def aligned(values: Sequence[Value]) -> tuple[list[Data], bool]:
    """Return data that broadcasts as ONNX says, and whether its channels are last."""
    rank = max(value.rank for value in values)
    if not any(value.is_last and value.rank == rank for value in values):
        return [value.plain for value in values], False
    return [_raised(value, rank) for value in values], True


def _raised(value: Value, rank: int) -> Data:
    """Return the data with so many axes, channels last; a single number as it is."""
    if value.rank == 0 or (value.is_last and value.rank == rank):
        return value.data
    data = value.plain
    missing = rank - value.rank
    if isinstance(data, np.ndarray):
        data = data.reshape((1,) * missing + data.shape)
    elif missing:
        data = data[(tf.newaxis,) * missing]
    return transposed(data, plain_to_last(rank))
