"""Export a network to ONNX: uint8 pictures in, normalisation inside, one self-contained file."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import onnx
import torch
from google.protobuf.message import Message
from onnx import numpy_helper
from torch import Tensor, nn

from foveal.models.network import Network
from foveal.pipeline import Pipeline
from foveal.tasks.base import Task
from foveal.types import UNFAMILIARITY, TensorSpec

# What ONNX Runtime 1.17 and later understand; the exporter's own operators need no newer one.
_OPSET = 18
# The newest whose operators the tracing exporter was tried with.
_TRACED_OPSET = 17
# Loggers of the exporter that tell of its progress and optimisations at INFO and WARNING.
_NOISY_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir")


@final
class _Shipped(nn.Module):
    """The network as it ships: (N, H, W, 3) uint8 in, a tuple of outputs in the spec's order."""

    def __init__(self, network: Network, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network(image.permute(0, 3, 1, 2).float())
        return tuple(outputs[name] for name in self.names)


@final
class _Clamp(nn.Module):
    """ReLU6 as the exporter translates it at once.

    It takes `hardtanh` apart first, with comparisons of shapes that are a fifth of the time of an
    export of EfficientNet-Lite 0. The graph and its numbers are the same.
    """

    def forward(self, maps: Tensor) -> Tensor:
        return torch.clamp(maps, 0.0, 6.0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says about itself; everything else is still heard."""
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for module in (r"torch\.", r"onnxscript\.", r"onnx_ir\.", r"copyreg"):
                warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)
                warnings.filterwarnings("ignore", category=FutureWarning, module=module)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def shipped_outputs(network: Network, task: Task) -> tuple[TensorSpec, ...]:
    """Return what the exported network gives."""
    specs = task.output_specs()
    if network.familiarity is None:
        return specs
    return (*specs, TensorSpec(UNFAMILIARITY, "float32", (None,)))


def export_onnx(network: Network, task: Task, pipeline: Pipeline) -> bytes:
    """Return the network as a serialised ONNX model in float32.

    Args:
        network: Left as it is; a copy in evaluation mode is exported.
        task: Its `output_specs` name and order the outputs; how unfamiliar a picture is comes last,
            where the network says so.
        pipeline: Gives the size of the input.

    Returns:
        A model with the input `image`, (N, height, width, 3) uint8 RGB; N is free, and the width
        too where the pipeline's widths differ.
    """
    return export_outputs(
        network, tuple(spec.name for spec in shipped_outputs(network, task)), pipeline
    )


def export_outputs(network: Network, names: tuple[str, ...], pipeline: Pipeline) -> bytes:
    """Return a network that gives the outputs `names` as a serialised ONNX model; as above."""
    shipped = _Shipped(copy.deepcopy(network).float().cpu(), names)
    # The memory order in which it was trained is of no use to ONNX Runtime.
    shipped = shipped.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    for module in [*shipped.modules()]:
        for name, part in module.named_children():
            if type(part) is nn.ReLU6:
                setattr(module, name, _Clamp())
    # Two pictures: torch.export would take a batch of one as a constant.
    example = torch.zeros((2, *pipeline.example_size, 3), dtype=torch.uint8)
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in shipped.modules())
    export = _export_traced if is_recurrent else _export
    with _quiet(), torch.inference_mode():
        model = export(shipped, example, pipeline, names)
    _pool_globally(model)
    _strip(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def _export(
    shipped: _Shipped, example: Tensor, pipeline: Pipeline, names: tuple[str, ...]
) -> onnx.ModelProto:
    free: dict[int, Any] = {0: torch.export.Dim("batch")}
    if pipeline.is_ragged:
        # The multiple lets the exporter see that strided layers divide without remainder.
        free[2] = pipeline.width_step * torch.export.Dim("steps", min=1)
    program = torch.onnx.export(
        shipped,
        (example,),
        input_names=["image"],
        output_names=list(names),
        dynamo=True,
        opset_version=_OPSET,
        dynamic_shapes={"image": free},
        verbose=False,
    )
    if program is None:  # only without `dynamo`; says so to the type checker
        raise RuntimeError("The exporter returned no program.")
    return program.model_proto


def _export_traced(
    shipped: _Shipped, example: Tensor, pipeline: Pipeline, names: tuple[str, ...]
) -> onnx.ModelProto:
    """Export by tracing: torch 2.13's other exporter fails on a GRU over a free width."""
    free = {0: "batch", 2: "width"} if pipeline.is_ragged else {0: "batch"}
    maps = [name for name in names if name != UNFAMILIARITY]
    outputs = {name: {0: "batch", 1: "columns"} for name in maps if pipeline.is_ragged}
    buffer = io.BytesIO()
    # Sizes that are taken for constants are those of the height; a GRU whose batch is free was
    # run with other batches and widths (tests/export).
    warnings.filterwarnings("ignore", message="You are using the legacy TorchScript-based ONNX")
    warnings.filterwarnings("ignore", message="Constant folding - Only steps=1")
    warnings.filterwarnings("ignore", message="Converting a tensor to a Python")
    warnings.filterwarnings("ignore", message="Exporting a model to ONNX with a batch_size")
    torch.onnx.export(
        shipped,
        (example,),
        buffer,  # type: ignore[arg-type]  # the stub names paths only; files are written too
        input_names=["image"],
        output_names=list(names),
        dynamo=False,
        opset_version=_TRACED_OPSET,
        dynamic_axes={"image": free, **{name: {0: "batch"} for name in names}, **outputs},
        verbose=False,
    )
    return onnx.load_from_string(buffer.getvalue())


def _pool_globally(model: onnx.ModelProto) -> None:
    """Replace means over all positions of maps by the operator of that name.

    ONNX Runtime computes it where convolutions leave their maps, in an order of its own; for any
    other operator it writes each map to memory again, which costs a tenth of the network's time.
    """
    graph = model.graph
    axes = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.dims == [2]}
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in graph.value_info}
    for node in graph.node:
        if node.op_type != "ReduceMean" or ranks.get(node.input[0]) != 4:
            continue
        over = axes.get(node.input[1]) if len(node.input) > 1 else None
        keeps = all(a.i == 1 for a in node.attribute if a.name == "keepdims")
        if keeps and over is not None and sorted(int(axis) % 4 for axis in over) == [2, 3]:
            node.op_type = "GlobalAveragePool"
            del node.input[1:]
            del node.attribute[:]
    # ONNX Runtime warns of each constant that no operator reads.
    unread = axes.keys() - {name for node in graph.node for name in node.input}
    for tensor in [t for t in graph.initializer if t.name in unread]:
        graph.initializer.remove(tensor)


def _strip(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes for debugging: stack traces, with paths of this machine."""
    parts: list[Message] = [model]
    while parts:
        part = parts.pop()
        for name in ("doc_string", "metadata_props"):
            if name in part.DESCRIPTOR.fields_by_name:
                part.ClearField(name)
        # Graphs, nodes, functions, and the graphs in a node's attributes.
        for field, value in part.ListFields():
            if field.message_type is not None:
                parts += [value] if isinstance(value, Message) else value
