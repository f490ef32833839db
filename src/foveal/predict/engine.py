"""The engine protocol, and ONNX Runtime as an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.agreement import INPUT_NAME, fits
from foveal.errors import BundleError, NetworkError, UsageError
from foveal.machine import available_cores
from foveal.types import Outputs, TensorSpec

ONNX_RUNTIME = "onnxruntime"
"""The engine that bundles are proven in: the default, and what others are compared with."""

# Divided by the smallest temperature of a bundle, this is still a number of 32 bits.
_LARGEST = 1e30


class Engine(Protocol):
    """Interface of engines, which run a network on a batch of model inputs."""

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB."""


@final
@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider of ONNX Runtime besides the CPU.

    Attributes:
        name: Name, such as `CUDAExecutionProvider`.
        options: Provider options.
    """

    name: str
    options: Mapping[str, str]


@final
class OnnxEngine:
    """ONNX Runtime, by default on the CPU.

    Args:
        model: A serialised ONNX model whose input is called `image`.
        threads: Number of threads of one run; None takes every core that the process may use (ONNX
            Runtime itself would count the cores of the host, not of the container).
        providers: Execution providers that take precedence over the CPU, in this order. All must be
            available; ONNX Runtime itself would fall back to the CPU silently.

    Attributes:
        threads: Number of threads of one run.

    Raises:
        BundleError: If ONNX Runtime rejects the model.
        UsageError: `engine_unavailable` if a provider is not available.
    """

    def __init__(
        self, model: bytes, *, threads: int | None = None, providers: Sequence[Provider] = ()
    ) -> None:
        # Here, because it starts a thread: the supervisor of a server's workers, which forks, must
        # be able to import this module.
        import onnxruntime as ort

        options = ort.SessionOptions()
        self.threads = threads or available_cores()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Bytes that are ONNX to `check_onnx` must not be taken for the runtime's own format.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # Spinning threads steal the cores from decoding, which runs at the same time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                model,
                sess_options=options,
                providers=[*(provider.name for provider in providers), "CPUExecutionProvider"],
                provider_options=[*(dict(provider.options) for provider in providers), {}],
                # Or it goes on with other providers when one fails, also in the middle of a run.
                enable_fallback=0,
            )
        except Exception as error:  # ONNX Runtime's errors share no public base class.
            _check_memory(error)
            if providers:
                raise unavailable(providers[0].name, str(error)) from error
            raise BundleError(f"ONNX Runtime cannot load model.onnx: {error}") from error
        there = self._session.get_providers()
        for provider in providers:
            if provider.name not in there:
                raise unavailable(provider.name, f"it uses {', '.join(there)} instead")
        inputs = [i.name for i in self._session.get_inputs()]
        if inputs != [INPUT_NAME]:
            raise BundleError(
                f"Invalid inputs of model.onnx. Expected {[INPUT_NAME]}. Received: {inputs}."
            )
        self.output_names = tuple(o.name for o in self._session.get_outputs())

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB."""
        wanted = list(names or self.output_names)
        try:
            outputs = self._session.run(wanted, {INPUT_NAME: inputs})
        except Exception as error:  # As above.
            _check_memory(error)
            raise NetworkError(
                f"The network failed: {error}", hint="copy the bundle again, or train again"
            ) from error
        return dict(zip(wanted, outputs, strict=True))


def unavailable(what: str, why: str) -> UsageError:
    """Return the error for an engine that is installed but cannot run on this machine."""
    return UsageError(
        f"{what} cannot run on this machine: {' '.join(why.split())}.",
        hint="use --engine onnxruntime, which runs on any machine",
        code="engine_unavailable",
    )


def _check_memory(error: Exception) -> None:
    """Raise a MemoryError if an error of ONNX Runtime means that memory ran out."""
    said = str(error)
    if any(words in said for words in ("allocate memory", "bad_alloc", "bad allocation")):
        raise MemoryError(f"the network needs more memory: {said}") from error


@final
class CheckedEngine:
    """An engine that validates its outputs.

    Args:
        engine: Runs the network.
        specs: Shapes of the outputs; other outputs are not checked.
    """

    def __init__(self, engine: Engine, specs: Sequence[TensorSpec]) -> None:
        self._engine = engine
        self._specs = {spec.name: spec for spec in specs}

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB.

        Raises:
            NetworkError: If an output is not finite or has the wrong shape.
        """
        outputs = self._engine.run(inputs, names)
        for name, values in outputs.items():
            if name in self._specs:
                _check_values(values, self._specs[name], len(inputs))
        return outputs


def _check_values(values: NDArray[np.float32], spec: TensorSpec, count: int) -> None:
    expected = (count, *spec.shape[1:])
    if not fits(values.shape, expected):
        shape = " x ".join("any" if size is None else str(size) for size in expected)
        raise NetworkError(
            f"The network returned {spec.name!r} with the shape "
            f"{' x '.join(map(str, values.shape))}. Expected: {shape}.",
            hint="copy the bundle again, or train again",
        )
    # NaN is not within limits, and makes least and largest NaN.
    if values.size and not (-_LARGEST <= values.min() and values.max() <= _LARGEST):
        raise NetworkError(
            f"The network returned NaN or infinity in {spec.name!r}, so there is no answer to "
            "this picture.",
            hint="train again with a smaller --lr",
        )
