"""Run a LiteRT file as its users do, with `ai-edge-litert`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.agreement import INPUT_NAME
from foveal.export.litert.signatures import Signature
from foveal.extras import import_extra
from foveal.types import Outputs


@final
class LitertEngine:
    """A LiteRT file on the processor, one picture at a time.

    Args:
        model: The file.
        signatures: The file's signatures.
        threads: Threads of one run.

    Raises:
        MissingExtraError: If `ai-edge-litert` is not installed.
    """

    def __init__(self, model: bytes, signatures: Sequence[Signature], *, threads: int = 1) -> None:
        litert = import_extra(
            "ai_edge_litert.interpreter", "litert", "Running a LiteRT file needs ai-edge-litert"
        )
        self._interpreter = litert.Interpreter(model_content=model, num_threads=threads)
        self._signatures = signatures
        self._runners: dict[str, Any] = {}

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB."""
        fitting = [one for one in self._signatures if one.width == inputs.shape[2]]
        wanted = list(names or (name for one in fitting for name in one.outputs))
        rows = [self._run(pixels[None], fitting, wanted) for pixels in inputs]
        return {name: np.concatenate([row[name] for row in rows]) for name in wanted}

    def _run(
        self, pixels: NDArray[np.uint8], fitting: Sequence[Signature], wanted: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        found: dict[str, NDArray[np.float32]] = {}
        for one in fitting:
            if set(wanted) - set(found) and set(one.outputs) & set(wanted):
                # The arrays are the interpreter's, and change with its next run.
                outputs = self._runner(one.name)(**{INPUT_NAME: pixels})
                found |= {name: values.copy() for name, values in outputs.items()}
        return found

    def _runner(self, name: str) -> Any:
        if name not in self._runners:
            self._runners[name] = self._interpreter.get_signature_runner(name)
        return self._runners[name]
