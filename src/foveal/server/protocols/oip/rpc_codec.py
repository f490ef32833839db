"""Inference requests and replies as messages of gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foveal.server.protocols.oip.messages import Message
from foveal.server.protocols.oip.request import InferRequest, checked_id, checked_request
from foveal.server.protocols.oip.signature import Output, Signature, output_tensor
from foveal.server.protocols.oip.tensors import (
    Given,
    Tensor,
    checked_datatype,
    checked_shape,
    flattened,
)
from foveal.server.request.json_body import shown_text
from foveal.server.request.limits import RequestError
from foveal.server.scheduling.jobs import Reply
from foveal.types import JsonObject

# The field of InferTensorContents that has the elements of a type.
_FIELDS = {"BYTES": "bytes_contents", "UINT8": "uint_contents"}


def parse_infer(message: Message, signature: Signature, limit: int) -> InferRequest:
    """Return what a ModelInferRequest asks.

    Args:
        message: The request.
        signature: What the model takes and gives.
        limit: Most pictures.

    Raises:
        RequestError: 400, or 413 for too many pictures.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise RequestError(
            400, f"There are {len(raw)} raw_input_contents for {len(message.inputs)} inputs."
        )
    inputs = [_given(item, raw[i] if raw else None) for i, item in enumerate(message.inputs)]
    outputs = [Output.checked(o.name, _parameters(o)) for o in message.outputs]
    return checked_request(
        checked_id(message.id), inputs, outputs, _parameters(message), signature, limit
    )


def encode_infer(
    asked: InferRequest, signature: Signature, replies: Sequence[Reply], raw: bool
) -> JsonObject:
    """Return the outputs as fields of a ModelInferResponse.

    Args:
        asked: What is answered.
        signature: What the model takes and gives.
        replies: The answers.
        raw: Whether elements are sent as raw bytes.
    """
    tensors = [output_tensor(output, signature, replies) for output in asked.outputs]
    outputs = [_described(tensor) for tensor in tensors]
    if raw:
        return {"outputs": outputs, "raw_output_contents": [t.binary_data() for t in tensors]}
    for output, tensor in zip(outputs, tensors, strict=True):
        output["contents"] = _contents(tensor)
    return {"outputs": outputs}


def _described(tensor: Tensor) -> dict[str, Any]:
    # Pictures are bytes here: no base64, so no parameter that says so.
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _contents(tensor: Tensor) -> dict[str, Any]:
    if isinstance(tensor.values, list):
        return {"bytes_contents": tensor.values}
    field = "bool_contents" if tensor.datatype == "BOOL" else "fp32_contents"
    return {field: tensor.values.tolist()}


def _given(item: Message, raw: bytes | None) -> Given:
    name = shown_text(item.name)
    shape = checked_shape(name, list(item.shape))
    datatype = checked_datatype(name, item.datatype)
    if "shared_memory_region" in item.parameters:
        raise RequestError(400, f"Input {name!r}: shared memory is not supported here.")
    if raw is not None:
        if item.HasField("contents"):
            raise RequestError(400, f"Input {name!r} has both contents and raw_input_contents.")
        return Given(name, datatype, shape, raw)
    given = Given(name, datatype, shape, ())
    # Of another type, which is refused later, no elements are looked at.
    field = _FIELDS.get(datatype)
    elements = list(getattr(item.contents, field)) if field else []
    return Given(name, datatype, shape, flattened(name, elements, given.count) if field else ())


def _parameters(message: Message) -> dict[str, Any]:
    found = {}
    for name, value in message.parameters.items():
        choice = value.WhichOneof("parameter_choice")
        if choice is not None:
            found[name] = getattr(value, choice)
    return found
