"""Quantise a network to 8-bit integers with ONNX Runtime's tool, on inputs that it is given.

Integer Arithmetic-Only Inference of quantized networks: Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference, 2018, https://arxiv.org/abs/1712.05877.
Weights have a scale for each channel, activations one whose range leaves out the rarest values.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.agreement import INPUT_NAME
from foveal.extras import import_extra

if TYPE_CHECKING:
    import onnx

# Operators that integers make faster; what lies between them is quantised with them, so that
# values stay integers from one to the next.
_OPERATORS = (
    *("Conv", "Gemm", "MatMul", "Add", "Relu", "Clip"),
    *("MaxPool", "GlobalAveragePool", "Concat"),
)
_PERCENTILE = 99.999
# Levels of ONNX Runtime's own log; the second is its default.
_ERRORS, _WARNINGS = 3, 2


@final
@dataclass(frozen=True, slots=True)
class Scheme:
    """How values become integers.

    Attributes:
        name: Activations and weights: U8S8 are unsigned and signed ones of 8 bits.
        is_signed: Whether activations are signed.
        weight_bits: Bits of the weights.
    """

    name: str
    is_signed: bool
    weight_bits: int


# Of the processor's instructions, those before VNNI add two products of U8 and S8 in 16 bits, and
# cut off what does not fit: with 7 bits, all does. Which of the two is faster depends on the
# processor.
SCHEMES = (Scheme("S8S8", True, 8), Scheme("U8S7", False, 7))


def quantised(
    model: bytes, inputs: Sequence[NDArray[np.uint8]], core: Sequence[str], scheme: Scheme
) -> bytes:
    """Return a network whose convolutions and products are computed in 8-bit integers.

    Args:
        model: The serialised ONNX model.
        inputs: Model inputs, each (1, H, W, 3) uint8, from which the ranges are taken.
        core: Outputs that answers are made of; what only serves the others stays as it is.
        scheme: How values become integers.

    Raises:
        MissingExtraError: If the `onnx` package is not installed.
    """
    need = "Quantising needs the package onnx"
    onnx = import_extra("onnx", "train", need)
    quantization = import_extra("onnxruntime.quantization", "train", need)
    pre_process = import_extra("onnxruntime.quantization.shape_inference", "train", need)
    types = quantization.QuantType
    with TemporaryDirectory(prefix="foveal-int8-") as folder, _quiet():
        given, prepared, out = (Path(folder) / name for name in ("given", "prepared", "out"))
        given.write_bytes(model)
        pre_process.quant_pre_process(given, prepared, skip_symbolic_shape=True)
        network = onnx.load(prepared)
        for number, node in enumerate(network.graph.node):
            # The tool tells nodes apart by names, which they need not have.
            node.name = f"{node.op_type}_{number}"
        onnx.save(network, prepared)
        quantization.quantize_static(
            prepared,
            out,
            _Inputs(inputs),
            op_types_to_quantize=list(_OPERATORS),
            per_channel=True,
            reduce_range=scheme.weight_bits == 7,
            activation_type=types.QInt8 if scheme.is_signed else types.QUInt8,
            weight_type=types.QInt8,
            nodes_to_exclude=_kept(network.graph, core),
            calibrate_method=quantization.CalibrationMethod.Percentile,
            # One input at a time: their widths may differ, and all that is computed for one is kept
            # until its histograms are made.
            extra_options={
                "CalibStridedMinMax": 1,
                "CalibPercentile": _PERCENTILE,
                "CalibTensorRangeSymmetric": False,
            },
        )
        integer = onnx.load(out)
    _forget_unused(integer)
    serialised: bytes = integer.SerializeToString()
    return serialised


def _kept(graph: onnx.GraphProto, core: Sequence[str]) -> list[str]:
    """Return the names of the nodes that are not quantised.

    These are what comes before the first convolution, which normalises, and what answers are not
    made of: evidence and unfamiliarity are small, and are read as numbers.
    """
    makers = {name: node for node in graph.node for name in node.output}
    needed: set[str] = set()
    waiting = list(core)
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in needed:
            needed.add(node.name)
            waiting += node.input
    kept = [node.name for node in graph.node if node.name not in needed]
    for node in graph.node:
        if node.op_type == "Conv":
            break
        kept.append(node.name)
    return kept


def _forget_unused(model: onnx.ModelProto) -> None:
    """Remove domains of operators that ONNX Runtime lists whenever it writes a model."""
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


@final
class _Inputs:
    """Inputs as ONNX Runtime's tool asks for them."""

    def __init__(self, inputs: Sequence[NDArray[np.uint8]]) -> None:
        self._inputs = inputs
        self._rest: Iterator[NDArray[np.uint8]] = iter(inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with these inputs."""
        self._rest = iter(self._inputs[start_index:end_index])

    def get_next(self) -> dict[str, Any] | None:
        """Return the next one, None after the last."""
        given = next(self._rest, None)
        return None if given is None else {INPUT_NAME: given}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the tool, which prints on stdout and logs to the root logger."""
    # Imported late: it starts a thread.
    import onnxruntime as ort

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    ort.set_default_logger_severity(_ERRORS)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
        ort.set_default_logger_severity(_WARNINGS)
