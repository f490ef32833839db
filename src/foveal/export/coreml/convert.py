"""Write an ONNX network as a package for Core ML. Runs in a process of its own.

    python -m foveal.export.coreml.convert ORDER.json

coremltools imports every framework that it can convert from, where that is installed, and works on
any system. The order is a `foveal.export.coreml.order.Order`; what cannot be done is said as one
line of JSON on stdout.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

# None of these is needed here, and importing them takes seconds.
for _framework in ("tensorflow", "torch", "sklearn", "xgboost", "libsvm"):
    sys.modules[_framework] = None  # type: ignore[assignment]
logging.getLogger("coremltools").setLevel(logging.CRITICAL)

import coremltools as ct  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
from coremltools.converters.mil import Builder as mb  # noqa: E402
from coremltools.converters.mil.mil import get_new_symbol  # noqa: E402
from coremltools.optimize import coreml as compression  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from foveal.export.coreml.node import NoCounterpartError, Node, Value  # noqa: E402
from foveal.export.coreml.operators import OPERATORS  # noqa: E402
from foveal.export.coreml.order import INPUT, PROBABILITIES, Order  # noqa: E402
from foveal.types import UNFAMILIARITY  # noqa: E402

# The oldest system that the application and its widths are written for; specification 8.
_TARGET = ct.target.iOS17
_CALIBRATED = "calibrated"
# Core ML lists at most so many sizes of an input; of more, it is told the smallest and the largest.
_MOST_WIDTHS = 128
# Smaller weights are few, and are the ones that tell: biases, and those of the normalisation.
_LEAST_QUANTISED = 512


def build(order: Order, graph: onnx.GraphProto) -> Any:
    """Return the program of a network: a picture in [0, 255] in, the calibrated outputs out.

    Raises:
        NoCounterpartError: For what MIL has no counterpart for.
    """
    height, widths = order.height, order.widths
    width = widths[0] if len(widths) == 1 else get_new_symbol("width")

    def program(image: Value) -> tuple[Value, ...]:
        # The graph takes (N, H, W, 3); the converter sees that both transpositions cancel.
        values = _run(graph, mb.transpose(x=image, perm=[0, 2, 3, 1]))
        return tuple(_finish(order, name, values[name]) for name in order.outputs)

    pictures = [mb.TensorSpec(shape=(1, 3, height, width))]
    return mb.program(input_specs=pictures, opset_version=_TARGET)(program)


def _run(graph: onnx.GraphProto, image: Value) -> dict[str, Value]:
    """Return the variable, or the known array, of every value of the graph."""
    values: dict[str, Value] = {graph.input[0].name: image}
    for tensor in graph.initializer:
        values[tensor.name] = numpy_helper.to_array(tensor)
    for proto in graph.node:
        inputs = [values[name] if name else None for name in proto.input]
        if all(value is None or isinstance(value, np.ndarray) for value in inputs):
            made = _computed(proto, values)
        else:
            made = _translated(proto, inputs)
        values.update(zip(proto.output, made, strict=False))
    return values


def _computed(proto: onnx.NodeProto, values: Mapping[str, Value]) -> Sequence[Value]:
    """Return the outputs of an operator whose inputs are all known: sizes, mostly."""
    given = {name: values[name] for name in proto.input if name}
    return [np.asarray(value) for value in ReferenceEvaluator(proto).run(None, given)]


def _translated(proto: onnx.NodeProto, inputs: Sequence[Value]) -> Sequence[Value]:
    make = OPERATORS.get(proto.op_type)
    if make is None:
        raise NoCounterpartError(proto.op_type)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    narrow = [_narrow(value) if isinstance(value, np.ndarray) else value for value in inputs]
    made = make(Node(proto.op_type, narrow, attributes))
    return [_settled(value) for value in (made if isinstance(made, tuple) else (made,))]


def _settled(value: Value) -> Value:
    """Return a size that does not depend on the picture as an array: more becomes known by it."""
    if isinstance(value, np.ndarray) or value.val is None:
        return value
    known = np.asarray(value.val)
    return known.astype(np.int64) if known.dtype.kind == "i" else value


def _narrow(array: Any) -> Any:
    """Return an array in a type that MIL knows; sizes that mean "to the end" stay far out."""
    if array.dtype == np.int64:
        return np.clip(array, -(1 << 31), (1 << 31) - 1).astype(np.int32)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _finish(order: Order, name: str, value: Value) -> Value:
    """Return an output under its name; the logits of a classifier become probabilities."""
    if name != "logits" or order.activation is None:
        return mb.identity(x=value, name=name)
    calibrated = mb.mul(x=value, y=np.float32(1.0 / order.temperature), name=_CALIBRATED)
    if order.activation == "sigmoid":
        return mb.sigmoid(x=calibrated, name=PROBABILITIES)
    return mb.softmax(x=calibrated, axis=1, name=PROBABILITIES)


@final
class _Halved:
    """Chooses the operations that are computed in 16 bits: all but those that judge.

    How unfamiliar a picture is comes from sums of squares, which 16 bits cannot hold; and the
    calibration would round the probabilities a second time.
    """

    def __init__(self) -> None:
        self._names: set[str] | None = None

    def __call__(self, operation: Any) -> bool:
        if self._names is None:
            # At the first operation, before any is changed.
            block = operation.enclosing_block
            self._names = set()
            wanted = [v.op for v in block.outputs if v.name != UNFAMILIARITY]
            while wanted:
                found = wanted.pop()
                if found is None or found.name in self._names:
                    continue
                if found.name not in (PROBABILITIES, _CALIBRATED):
                    self._names.add(found.name)
                for value in found.inputs.values():
                    several = value if isinstance(value, list | tuple) else [value]
                    wanted += [one.op for one in several]
        return operation.name in self._names


def convert(order: Order) -> None:
    """Write the package that an order describes."""
    model = onnx.load(order.network)
    is_whole = order.precision == "fp32"
    precision = ct.precision.FLOAT32 if is_whole else ct.transform.FP16ComputePrecision(_Halved())
    shape: Any = (1, 3, order.height, order.widths[0])
    if len(order.widths) > _MOST_WIDTHS:
        between = ct.RangeDim(order.widths[0], order.widths[-1], default=order.widths[-1])
        shape = ct.Shape((1, 3, order.height, between))
    elif len(order.widths) > 1:
        shapes = [(1, 3, order.height, width) for width in order.widths]
        shape = ct.EnumeratedShapes(shapes, default=shapes[-1])
    converted = ct.convert(
        build(order, model.graph),
        inputs=[ct.ImageType(name=INPUT, shape=shape, color_layout=ct.colorlayout.RGB)],
        convert_to="mlprogram",
        minimum_deployment_target=_TARGET,
        compute_precision=precision,
        skip_model_load=True,
    )
    if order.precision == "int8":
        scheme = compression.OpLinearQuantizerConfig(
            mode="linear_symmetric", dtype="int8", weight_threshold=_LEAST_QUANTISED
        )
        converted = compression.linear_quantize_weights(
            converted, compression.OptimizationConfig(global_config=scheme)
        )
    for name, meaning in order.meanings.items():
        described = converted.input_description if name == INPUT else converted.output_description
        described[name] = meaning
    converted.author, converted.license = order.author, order.licence
    converted.short_description, converted.version = order.summary, order.version
    converted.save(order.package)


def main() -> None:
    """Convert as the order says that is named on the command line."""
    order = Order.from_json(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            convert(order)
    except NoCounterpartError as error:
        print(json.dumps({"unknown": str(error)}))


if __name__ == "__main__":
    main()
