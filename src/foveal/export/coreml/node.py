"""Operators of an ONNX graph to be converted to MIL. Does not need coremltools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Value: TypeAlias = Any
"""A variable of the program, or a numpy array where the value is known."""


class NoCounterpartError(Exception):
    """Raised if a network has an operator that cannot be converted."""


@final
@dataclass(frozen=True, slots=True)
class Node:
    """One operator of the ONNX graph.

    Attributes:
        kind: Its operator.
        inputs: Its inputs; None where an optional one is left out.
        attributes: Its attributes.
    """

    kind: str
    inputs: Sequence[Any]
    attributes: Mapping[str, Any]

    def given(self, position: int) -> Value | None:
        """Return an input; None where it is left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    def numbers(self, position: int, attribute: str) -> list[int] | None:
        """Return whole numbers that are an input, or in older operator sets an attribute."""
        value = self.given(position)
        if value is None:
            found = self.attributes.get(attribute)
            return None if found is None else [int(number) for number in found]
        return [int(number) for number in np.atleast_1d(known(value))]


def known(value: Value) -> NDArray[Any]:
    """Return a value that does not depend on the picture.

    Raises:
        NoCounterpartError: If it does.
    """
    found = value if isinstance(value, np.ndarray | np.generic) else value.val
    if found is None:
        raise NoCounterpartError("a size or a weight that depends on the picture")
    return np.asarray(found)


def rank_of(value: Any) -> int:
    """Return the number of axes of a value."""
    return len(value.shape)
