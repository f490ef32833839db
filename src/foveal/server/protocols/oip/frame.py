"""Parse and build bodies of inference requests: JSON followed by binary tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from foveal.server.protocols.oip.request import InferRequest, checked_id, checked_request
from foveal.server.protocols.oip.signature import Output, Signature
from foveal.server.protocols.oip.tensors import (
    Given,
    Tensor,
    checked_datatype,
    checked_shape,
    flattened,
)
from foveal.server.request.json_body import parse_json, shown_text
from foveal.server.request.limits import RequestError
from foveal.types import JsonObject

LENGTH_HEADER = "inference-header-content-length"
_FOR_PICTURE = (
    "Send it with the header 'Inference-Header-Content-Length: 0', as base64 in the data of a "
    "BYTES input, or as it is to POST /predict/MODEL."
)
_LENGTH = re.compile(r"[0-9]{1,18}")


def parse_infer(
    body: bytes, lengths: Sequence[str], signature: Signature, limit: int
) -> InferRequest:
    """Return what a body asks.

    Args:
        body: The whole body.
        lengths: Values of the header that says how many bytes of it are JSON; 0 for a raw request,
            whose body is the picture.
        signature: What the model takes and gives.
        limit: Most pictures.

    Raises:
        RequestError: 400, or 413 for too many pictures.
    """
    length = _json_length(lengths, len(body))
    if lengths and length == 0:
        given = Given(signature.input.name, "BYTES", (1,), [body])
        return checked_request("", [given], None, {"binary_data_output": True}, signature, limit)
    document = parse_json(body[:length], for_picture=_FOR_PICTURE)
    if not isinstance(document, dict):
        raise RequestError(400, "Expected a JSON object with 'inputs'.")
    parameters = _parameters(document, "The request")
    inputs = _inputs(document.get("inputs"), memoryview(body)[length:])
    outputs = document.get("outputs")
    return checked_request(
        checked_id(document.get("id", "")),
        inputs,
        None if outputs is None else [_output(item) for item in _listed(outputs, "outputs")],
        parameters,
        signature,
        limit,
    )


def encode_reply(head: JsonObject, tensors: Sequence[tuple[Tensor, bool]]) -> tuple[bytes, int]:
    """Return the body of a reply, and how many bytes of it are JSON if tensors follow; else -1.

    Args:
        head: What the reply says beside its outputs.
        tensors: Each output, and whether it is sent as bytes behind the JSON.
    """
    outputs, parts = [], []
    for tensor, is_binary in tensors:
        described = tensor.describe()
        if is_binary:
            parts.append(tensor.binary_data())
            described["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            described["data"] = tensor.json_data()
        outputs.append(described)
    text = orjson.dumps({**head, "outputs": outputs})
    return (b"".join([text, *parts]), len(text)) if parts else (text, -1)


def _json_length(lengths: Sequence[str], size: int) -> int:
    if not lengths:
        return size
    if len(set(lengths)) > 1 or not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) > size:
        shown = shown_text(", ".join(lengths))
        raise RequestError(
            400,
            f"Invalid Inference-Header-Content-Length: {shown}. "
            f"Expected the length of the JSON, at most that of the body, {size}.",
        )
    return int(lengths[0])


def _listed(value: Any, key: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RequestError(400, f"Expected '{key}' as a list of objects.")
    return value


def _named(item: Mapping[str, Any], kind: str) -> str:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise RequestError(400, f"Each {kind} needs a 'name'.")
    return shown_text(name)


def _parameters(item: Mapping[str, Any], owner: str) -> Mapping[str, Any]:
    parameters = item.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RequestError(400, f"{owner}: expected 'parameters' as an object.")
    return parameters


def _inputs(value: Any, binary: memoryview) -> list[Given]:
    """Return the inputs; those without `data` take their bytes from `binary`, in order."""
    inputs, position = [], 0
    for item in _listed(value, "inputs"):
        name = _named(item, "input")
        shape = checked_shape(name, item.get("shape"))
        datatype = checked_datatype(name, item.get("datatype"))
        parameters = _parameters(item, f"Input {name!r}")
        if "shared_memory_region" in parameters:
            raise RequestError(400, f"Input {name!r}: shared memory is not supported here.")
        size = parameters.get("binary_data_size")
        if size is None:
            given = Given(name, datatype, shape, ())
            data: Any = flattened(name, item.get("data"), given.count)
        else:
            if "data" in item:
                raise RequestError(400, f"Input {name!r} has both 'data' and 'binary_data_size'.")
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise RequestError(
                    400, f"Input {name!r}: expected 'binary_data_size' as an integer from 0 on."
                )
            if position + size > len(binary):
                raise RequestError(
                    400,
                    f"Input {name!r} says that it has {size} bytes. "
                    f"The body has {len(binary) - position} for it.",
                )
            data = bytes(binary[position : position + size])
            position += size
        inputs.append(Given(name, datatype, shape, data))
    if position != len(binary):
        raise RequestError(
            400, f"{len(binary) - position} bytes at the end of the body belong to no input."
        )
    return inputs


def _output(item: Mapping[str, Any]) -> Output:
    name = _named(item, "output")
    parameters = _parameters(item, f"Output {name!r}")
    return Output.checked(name, parameters)
