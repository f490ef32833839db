"""Inference requests of both transports, validated against the signature of the model."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from PIL import Image as PILImage

from foveal.server.protocols.oip.signature import Output, Signature, is_count
from foveal.server.protocols.oip.tensors import Given, split_bytes
from foveal.server.request.json_body import shown_text
from foveal.server.request.limits import RequestError
from foveal.server.request.payload import decode_base64

_LONGEST_ID = 1024


@final
@dataclass(frozen=True, slots=True)
class InferRequest:
    """An inference request.

    Attributes:
        id: Repeated in the reply; "" for none.
        pictures: Picture files.
        outputs: What is answered, in this order.
        timeout_s: How long the client waits; None when it does not say.
        priority: Order among the pictures of one client: 1 comes first, 0 last.
    """

    id: str
    pictures: list[bytes]
    outputs: tuple[Output, ...]
    timeout_s: float | None
    priority: int


def checked_id(value: Any) -> str:
    """Return the identifier of a request.

    Raises:
        RequestError: 400 for what is no text, or a long one.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_ID:
        raise RequestError(400, f"Expected 'id' as a text of at most {_LONGEST_ID} characters.")
    return value


def checked_request(
    id: str,
    inputs: Sequence[Given],
    outputs: Sequence[Output] | None,
    parameters: Mapping[str, Any],
    signature: Signature,
    limit: int,
) -> InferRequest:
    """Return the request, held to what the model takes and gives.

    Args:
        id: The client's id for the request.
        inputs: What came.
        outputs: What is asked for; None for all.
        parameters: What the request sets for all its inputs.
        signature: What the model takes and gives.
        limit: Most pictures.

    Raises:
        RequestError: 400, or 413 for too many pictures.
    """
    binary, timeout = parameters.get("binary_data_output", False), parameters.get("timeout", 0)
    if not isinstance(binary, bool):
        raise RequestError(400, "Expected the parameter 'binary_data_output' as true or false.")
    for name in ("timeout", "priority"):
        if not is_count(parameters.get(name, 0)):
            raise RequestError(400, f"Expected the parameter {name!r} as an integer from 0 on.")
    asked = tuple(Output(spec.name) for spec in signature.outputs)
    if outputs:
        asked = tuple(outputs)
        _check_outputs(asked, signature)
    return InferRequest(
        id,
        _pictures(_only_input(inputs, signature), limit),
        tuple(Output(o.name, binary if o.binary is None else o.binary, o.classes) for o in asked),
        timeout / 1e6 if timeout else None,
        parameters.get("priority", 0),
    )


def _only_input(inputs: Sequence[Given], signature: Signature) -> Given:
    name, model = signature.input.name, signature.model
    for given in inputs:
        if given.name != name:
            raise RequestError(
                400,
                f"Unexpected inference input {given.name!r} for model {model!r}. "
                f"Expected {name!r}.",
            )
    if len(inputs) > 1:
        raise RequestError(400, f"The input {name!r} is there {len(inputs)} times.")
    if not inputs:
        raise RequestError(400, f"Expected 1 input, {name!r}, but got 0 for model {model!r}.")
    return inputs[0]


def _check_outputs(asked: Sequence[Output], signature: Signature) -> None:
    known = {spec.name: spec for spec in signature.outputs}
    for i, output in enumerate(asked):
        if output.name not in known:
            raise RequestError(
                400,
                f"Unexpected inference output {output.name!r} for model {signature.model!r}. "
                f"Expected one of {', '.join(known)}.",
            )
        if any(other.name == output.name for other in asked[:i]):
            raise RequestError(400, f"The output {output.name!r} is asked for twice.")
        if output.classes and not known[output.name].has_scores:
            raise RequestError(
                400, f"The output {output.name!r} has no classes. Leave out 'classification'."
            )


def _pictures(given: Given, limit: int) -> list[bytes]:
    if given.datatype == "BYTES":
        return _files(given, limit)
    if given.datatype == "UINT8":
        return _arrays(given, limit)
    raise RequestError(
        400,
        f"Input {given.name!r} has the datatype {given.datatype}. Expected BYTES (picture files) "
        "or UINT8 (pixels).",
    )


def _check_count(given: Given, count: int, limit: int) -> None:
    if count == 0:
        raise RequestError(400, f"Input {given.name!r} has no pictures.")
    if count > limit:
        raise RequestError(413, f"At most {limit} pictures in one request. Got {count}.")


def _files(given: Given, limit: int) -> list[bytes]:
    if len(given.shape) != 1 and not (len(given.shape) == 2 and given.shape[1] == 1):
        raise RequestError(
            400, f"Input {given.name!r} has the shape {list(given.shape)}. Expected [N] or [N, 1]."
        )
    _check_count(given, given.count, limit)
    if isinstance(given.data, bytes):
        return split_bytes(given.name, given.data, given.count)
    files = []
    for element in given.data:
        if isinstance(element, bytes):
            files.append(element)
        elif isinstance(element, str):
            files.append(decode_base64(element))
        else:
            raise RequestError(
                400, f"Input {given.name!r}: expected each picture as a text of base64."
            )
    return files


def _arrays(given: Given, limit: int) -> list[bytes]:
    """Return pixels as picture files: they are then held to the same limits as those."""
    shape = given.shape if len(given.shape) == 4 else (1, *given.shape)
    if len(shape) != 4 or shape[3] != 3 or 0 in shape[1:]:
        raise RequestError(
            400,
            f"Input {given.name!r} has the shape {list(given.shape)}. Expected [N, H, W, 3] or "
            "[H, W, 3] of RGB.",
        )
    _check_count(given, shape[0], limit)
    if isinstance(given.data, bytes):
        if len(given.data) != given.count:
            raise RequestError(
                400,
                f"Input {given.name!r} has {len(given.data)} bytes. Its shape says {given.count}.",
            )
        flat = np.frombuffer(given.data, np.uint8)
    else:
        for value in given.data:
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
                shown = shown_text(str(value))
                raise RequestError(
                    400, f"Input {given.name!r}: expected numbers from 0 to 255. Got {shown}."
                )
        flat = np.array(given.data, np.uint8)
    return [_bmp(PILImage.fromarray(pixels)) for pixels in flat.reshape(shape)]


def _bmp(image: PILImage.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return buffer.getvalue()
