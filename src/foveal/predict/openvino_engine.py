"""OpenVINO as an engine, on the CPU."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.errors import BundleError, NetworkError
from foveal.extras import import_extra
from foveal.machine import available_cores
from foveal.predict.engine import unavailable
from foveal.types import Outputs

OpenVinoPrecision: TypeAlias = Literal["f32", "bf16"]

# Converts models of other frameworks, which nothing here needs, and sends statistics of whoever
# imports it to its makers; OpenVINO imports it if it is there.
_CONVERTER = "openvino.tools.ovc"


def openvino() -> Any:
    """Import the package openvino without its telemetry.

    Raises:
        MissingExtraError: If it is not installed.
    """
    is_free = _CONVERTER not in sys.modules
    if is_free:
        # A name that stands for None cannot be imported.
        sys.modules[_CONVERTER] = None  # type: ignore[assignment]
    try:
        return import_extra("openvino", "openvino", "The engine openvino needs OpenVINO")
    finally:
        if is_free:
            del sys.modules[_CONVERTER]


@final
class OpenVinoEngine:
    """OpenVINO's CPU plug-in. Thread-safe.

    Args:
        model: A serialised ONNX model whose input is called `image`.
        threads: Number of threads of one run; None takes every core that the process may use.
        precision: Number format of the computation. By default, OpenVINO would choose the fastest.

    Attributes:
        threads: Number of threads of one run.

    Raises:
        MissingExtraError: If OpenVINO is not installed.
        UsageError: `engine_unavailable` if the CPU does not support that precision.
        BundleError: If OpenVINO rejects the model.
    """

    def __init__(
        self,
        model: bytes,
        *,
        threads: int | None = None,
        precision: OpenVinoPrecision = "f32",
    ) -> None:
        package = openvino()
        core = package.Core()
        # It would compute in 32 bits without a word.
        if precision == "bf16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise unavailable("openvino-bf16", "the processor has no bf16 instructions")
        cores = available_cores()
        self.threads = threads or cores
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": max(cores, self.threads),
            # Runs at the same time, each in `threads` of them.
            "NUM_STREAMS": max(1, cores // self.threads),
            # Several processes would be held to the same core.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            # By name: bytes that are ONNX to `check_onnx` must not be taken for another format.
            reader = package.frontend.FrontEndManager().load_by_framework("onnx")
            network = reader.convert(reader.load(io.BytesIO(model)))
            self._compiled = core.compile_model(network, "CPU", settings)
        except Exception as error:  # Its errors are RuntimeErrors, and others of Python's.
            raise BundleError(f"OpenVINO cannot load model.onnx: {error}") from error
        self.output_names = tuple(output.any_name for output in self._compiled.outputs)
        # A request holds the memory of one run; as many are made as there are runs at once.
        self._requests: SimpleQueue[Any] = SimpleQueue()

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs called `names` (all when None) for (N, H, W, 3) uint8 RGB."""
        try:
            request = self._requests.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        try:
            request.infer([np.ascontiguousarray(inputs)], share_inputs=True)
            wanted = names or self.output_names
            # Copied: the next run writes to the same memory.
            outputs = {name: request.get_tensor(name).data.copy() for name in wanted}
        except RuntimeError as error:
            raise NetworkError(
                f"The network failed: {error}", hint="use --engine onnxruntime"
            ) from error
        self._requests.put(request)
        return outputs
