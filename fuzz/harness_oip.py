"""Inference requests of the Open Inference Protocol: any is read, or refused by a RequestError."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from foveal.server.protocols.oip.frame import parse_infer
from foveal.server.protocols.oip.messages import method_types
from foveal.server.protocols.oip.rpc_codec import parse_infer as parse_message
from foveal.server.protocols.oip.signature import Signature, TensorInfo
from foveal.server.request.limits import RequestError

MAX_BYTES = 20_000
_OUTPUTS = (TensorInfo("label", "BYTES"), TensorInfo("probabilities", "FP32", (-1, 2), True))
_SIGNATURE = Signature("m", TensorInfo("image", "BYTES"), _OUTPUTS, ("a", "b"))
_LIMIT = 8
_GRPC = 0xFFFF
_WITHOUT_HEADER = 0xFFFE


def test_one(data: bytes) -> None:
    """Read the bytes after the first two, which say how: the length of the JSON, or as gRPC."""
    if len(data) < 2:
        return
    (kind,) = struct.unpack_from("<H", data)
    body = data[2:]
    try:
        if kind == _GRPC:
            request, _ = method_types()["ModelInfer"]
            try:
                message = request.FromString(body)
            except Exception:  # Whatever protobuf refuses, gRPC refuses before foveal sees it.
                return
            asked = parse_message(message, _SIGNATURE, _LIMIT)
        else:
            lengths = [] if kind == _WITHOUT_HEADER else [str(kind)]
            asked = parse_infer(body, lengths, _SIGNATURE, _LIMIT)
    except RequestError as error:
        if error.status not in (400, 413):
            raise AssertionError(f"a request is refused with {error.status}") from error
        if len(error.message.encode()) > 2000:
            raise AssertionError("an error repeats the request") from error
        return
    if not 0 < len(asked.pictures) <= _LIMIT or not asked.outputs:
        raise AssertionError("a request without pictures, with too many, or without outputs")


def seeds() -> Iterator[bytes]:
    """Give a request of each form."""
    picture = b"GIF89a-picture"
    image = {"name": "image", "shape": [1], "datatype": "BYTES"}
    asked = {"name": "probabilities", "parameters": {"classification": 2, "binary_data": True}}
    yield _framed({"inputs": [{**image, "data": ["R0lG"]}], "outputs": [asked]}, b"", header=False)
    element = struct.pack("<I", len(picture)) + picture
    sized = {**image, "parameters": {"binary_data_size": len(element)}}
    parameters = {"binary_data_output": True, "timeout": 5, "priority": 1}
    yield _framed({"id": "a", "parameters": parameters, "inputs": [sized]}, element)
    two = {**sized, "shape": [2, 1], "parameters": {"binary_data_size": 2 * len(element)}}
    yield _framed({"inputs": [two]}, 2 * element)
    pixels = {**image, "shape": [1, 1, 2, 3], "datatype": "UINT8"}
    yield _framed({"inputs": [{**pixels, "data": [[[[1, 2, 3], [4, 5, 6]]]]}]}, b"", header=False)
    yield _framed({"inputs": [{**pixels, "parameters": {"binary_data_size": 6}}]}, b"\0\1\2\3\4\5")
    yield struct.pack("<H", 0) + picture
    request, _ = method_types()["ModelInfer"]
    contents = {"bytes_contents": [picture]}
    message = request(model_name="m", inputs=[{**image, "contents": contents}])
    yield struct.pack("<H", _GRPC) + message.SerializeToString()
    message = request(model_name="m", inputs=[pixels], raw_input_contents=[b"\0\1\2\3\4\5"])
    yield struct.pack("<H", _GRPC) + message.SerializeToString()


def _framed(document: object, tail: bytes, *, header: bool = True) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    return struct.pack("<H", len(text) if header else _WITHOUT_HEADER) + text + tail
