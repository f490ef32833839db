"""Run a saved program of Core ML without a Mac: one operation after the other, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import NetworkError
from foveal.export.coreml.arithmetic import OPERATIONS
from foveal.export.coreml.order import INPUT, PROBABILITIES
from foveal.export.coreml.saved import Operation, SavedProgram
from foveal.types import Outputs

# The smallest share that is told from none: its logarithm is finite.
_LEAST_SHARE = np.float32(1e-38)


@final
class ProgramEngine:
    """A saved program as an engine.

    Numbers that the program holds in 16 bits are rounded to 16 bits after every operation, and
    computed with in 32; an iPhone's processors may round inside of an operation, too.

    Args:
        program: The program of a package that `foveal export --to coreml` wrote.
        temperature: The temperature that is part of the program.
        multi_label: Whether its probabilities are of labels one by one.

    Raises:
        NetworkError: If it holds an operation that is not known.
    """

    def __init__(
        self, program: SavedProgram, *, temperature: float = 1.0, multi_label: bool = False
    ) -> None:
        self._program = program
        unknown = {operation.kind for operation in self._program.operations}
        unknown -= {"const", *OPERATIONS}
        if unknown:
            raise NetworkError(
                "The program for Core ML cannot be proven: it contains "
                f"{', '.join(sorted(unknown))}."
            )
        self._temperature = np.float32(temperature)
        self._multi_label = multi_label
        self._constants = _constants(self._program.operations)
        self._steps = [
            one for one in self._program.operations if one.outputs[0] not in self._constants
        ]
        self._last_use = {
            name: position
            for position, one in enumerate(self._steps)
            for names in one.inputs.values()
            for name in names
            if isinstance(name, str)
        }

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the network's outputs for (N, H, W, 3) uint8 RGB.

        The logits are those that give the program's probabilities.
        """
        rows = [self.answer(picture) for picture in inputs]
        outputs = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        if PROBABILITIES in outputs:
            outputs["logits"] = self._logits(outputs.pop(PROBABILITIES))
        return {name: outputs[name] for name in names or outputs}

    def answer(self, picture: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return what the program gives for one picture, (H, W, 3) uint8 RGB."""
        values = dict(self._constants)
        values[INPUT] = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
        with np.errstate(all="ignore"):
            for position, step in enumerate(self._steps):
                values.update(_run(step, values))
                for name in _names(step):
                    if self._last_use[name] == position and name not in self._program.outputs:
                        values.pop(name, None)
        return {name: values[name] for name in self._program.outputs}

    def _logits(self, shares: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = np.log(np.maximum(shares, _LEAST_SHARE))
        if self._multi_label:
            logits -= np.log(np.maximum(1 - shares, _LEAST_SHARE))
        return np.asarray(logits * self._temperature, np.float32)


def _names(step: Operation) -> set[str]:
    return {name for names in step.inputs.values() for name in names if isinstance(name, str)}


def _constants(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return everything that does not depend on the picture; numbers of 16 bits in 32."""
    constants: dict[str, Any] = {}
    for operation in operations:
        if operation.kind == "const":
            constants[operation.outputs[0]] = _widened(operation.value)
        elif operation.kind.startswith("constexpr_"):
            constants.update(_run(operation, constants))
    return constants


def _widened(value: Any) -> Any:
    is_half = isinstance(value, np.ndarray) and value.dtype == np.float16
    return value.astype(np.float32) if is_half else value


def _run(step: Operation, values: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs of one operation by name."""
    given = {}
    for name, sources in step.inputs.items():
        found = tuple(values[s] if isinstance(s, str) else _widened(s) for s in sources)
        # Only the arrays that are joined are several.
        given[name] = found if name == "values" else found[0]
    try:
        results = OPERATIONS[step.kind](given)
    except NotImplementedError as error:
        raise NetworkError(f"The program for Core ML cannot be proven: {error}.") from error
    results = results if isinstance(results, tuple) else (results,)
    made = zip(step.outputs, results, step.halves, strict=True)
    return {name: _halved(result) if half else result for name, result, half in made}


def _halved(value: NDArray[Any]) -> NDArray[np.float32]:
    return value.astype(np.float16).astype(np.float32)
