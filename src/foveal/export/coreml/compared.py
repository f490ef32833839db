"""Compare all outputs of a saved program with the network of the bundle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import NetworkError, ParityError
from foveal.predict.engine import Engine
from foveal.types import Outputs

# A map whose differences are a larger share of its values (root mean square) is another map. In 16
# bits, that of an efficientnet_lite0 had 2.3 % at 160 px; in 32 bits, 1e-6.
_SAME_MAP = 0.05


@final
class WatchedEngine:
    """An engine that is compared with the bundle's own, output by output.

    Args:
        engine: The saved program.
        own: ONNX Runtime with the bundle's network.
    """

    def __init__(self, engine: Engine, own: Engine) -> None:
        self._engine, self._own = engine, own
        self._largest: dict[str, float] = defaultdict(float)
        # Sums of squares: of the differences, and of the values themselves.
        self._squares: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the program's outputs, of which all are compared whatever was asked for."""
        said, expected = self._engine.run(inputs), self._own.run(inputs)
        for name, values in expected.items():
            if name == "logits":
                continue  # Compared as probabilities, see `Proof`.
            if said[name].shape != values.shape:
                raise NetworkError(
                    f"{name} has the shape {said[name].shape}. Expected: {values.shape}."
                )
            difference = np.abs(said[name].astype(np.float64) - values)
            # Not-a-number is no difference to Python's max.
            largest = float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0))
            self._largest[name] = max(self._largest[name], largest)
            differing, whole = self._squares[name]
            self._squares[name] = (
                differing + float((difference * difference).sum()),
                whole + float(np.square(values, dtype=np.float64).sum()),
            )
        return {name: said[name] for name in names or said}

    def measured(self) -> dict[str, dict[str, float]]:
        """Return for each output the largest difference, and the root-mean-square share of all."""
        return {
            name: {
                "largest": self._largest[name],
                "share": float(np.sqrt(differing / whole)) if whole else float(differing > 0),
            }
            for name, (differing, whole) in self._squares.items()
        }


def check_maps(measured: Mapping[str, Mapping[str, float]]) -> None:
    """Raise when an output that explains or judges an answer is another one."""
    for name, found in measured.items():
        if not found["share"] <= _SAME_MAP:
            raise ParityError(
                f"The export gives another {name} than the bundle: it differs by up to "
                f"{found['largest']:.3g}, {found['share']:.1%} of its size (root mean square; at "
                f"most {_SAME_MAP:.0%}). Nothing was written."
            )
