"""JSON bodies of TF Serving, KServe v1, Vertex AI and `/predict`: read, or a RequestError."""

from __future__ import annotations

import json
from collections.abc import Iterator

from foveal.server.protocols.tfrequest import parse_classify, parse_predict
from foveal.server.request.limits import RequestError
from foveal.server.request.payload import picture_bytes

MAX_BYTES = 20_000
_LIMIT = 8
_PARSERS = (
    lambda body: parse_predict(body, "application/json", _LIMIT).pictures,
    lambda body: parse_predict(body, "application/x-ndjson", _LIMIT).pictures,
    lambda body: parse_classify(body, _LIMIT).pictures,
    lambda body: [picture_bytes(body, "application/json")],
)


def test_one(data: bytes) -> None:
    """Read the bytes after the first, which says by which route."""
    if not data:
        return
    try:
        pictures = _PARSERS[data[0] % len(_PARSERS)](data[1:])
    except RequestError as error:
        if error.status not in (400, 413):
            raise AssertionError(f"a request is refused with {error.status}") from error
        if len(error.message.encode()) > 2000:
            raise AssertionError("an error repeats the request") from error
        return
    if not 0 < len(pictures) <= _LIMIT:
        raise AssertionError("a request without pictures, or with too many")


def seeds() -> Iterator[bytes]:
    """Give a body of each form."""
    picture = {"b64": "R0lGODlh"}
    for document in (
        {"instances": [picture, picture], "signature_name": "serving_default"},
        {"instances": [{"image": picture}], "parameters": {"explain": True, "mask": "rle"}},
        {"instances": [{"content": "R0lG", "mimeType": "image/gif"}]},
        {"inputs": {"image": [picture]}},
    ):
        yield b"\0" + json.dumps(document).encode()
    yield b'\0{"instances": [{"b64": "R0lG"}], "x": NaN} trailing'
    yield b"\1" + json.dumps(picture).encode() + b"\n" + json.dumps({"image": picture}).encode()
    examples = {"context": {"image/format": "gif"}, "examples": [{"image": [picture]}]}
    yield b"\2" + json.dumps(examples).encode()
    yield b'\3{"image": {"b64": "data:image/gif;base64,R0lG"}}'
