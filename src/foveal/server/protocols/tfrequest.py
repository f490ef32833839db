"""Parse the request bodies of TF Serving, Vertex AI and KServe v1.

Sentences: tensorflow/serving, util/json_tensor.cc (Apache-2.0); clients look for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from foveal.server.request.json_body import parse_json, parse_json_lines, shown, shown_text
from foveal.server.request.limits import RequestError
from foveal.server.request.payload import decode_base64

SIGNATURE = "serving_default"
INPUT = "image"
# Names under which clients send the picture; the signature calls it by the first.
_INPUT_NAMES = (INPUT, "image_bytes")
_FEATURE_NAMES = (*_INPUT_NAMES, "image/encoded")
_LINES = frozenset(
    f"application/{kind}" for kind in ("x-ndjson", "ndjson", "jsonl", "jsonlines", "x-jsonlines")
)
_INSTANCE, _EXAMPLE = (
    f"Send it as {body}, or as it is to POST /predict/MODEL."
    for body in (
        '{"instances": [{"b64": "<base64>"}]}',
        '{"examples": [{"image": {"b64": "<base64>"}}]}',
    )
)
_TYPES: dict[type, str] = {
    type(None): "Null",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}


@final
@dataclass(frozen=True, slots=True)
class PictureRequest:
    """A request with pictures.

    Attributes:
        pictures: Picture files.
        by_row: Whether they came as `instances`, and are answered row by row.
        explain: Whether answers are explained.
        mask: How a mask is given; None for the usual way.
    """

    pictures: list[bytes]
    by_row: bool = True
    explain: bool = False
    mask: str | None = None


def parse_predict(body: bytes, content_type: str, limit: int) -> PictureRequest:
    """Return what a predict request asks.

    Args:
        body: JSON, or a line of JSON for each instance.
        content_type: As TF Serving does, anything is taken for JSON; except for the types of JSON
            lines, whose lines are the instances.
        limit: Most pictures.

    Raises:
        RequestError: 400 in TF Serving's words, or 413.
    """
    if content_type.partition(";")[0].strip().lower() in _LINES:
        document: dict[str, Any] = {"instances": parse_json_lines(body)}
    else:
        document = _object(parse_json(body, lenient=True, for_picture=_INSTANCE))
        _check_signature(document)
    explain, mask = _parameters(document.get("parameters"))
    if "instances" in document and "inputs" in document:
        raise _format_error(
            document,
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
        )
    if "instances" in document:
        values = document["instances"]
        if not isinstance(values, list):
            raise _format_error(document, "Expecting 'instances' to be an list/array")
        if not values:
            raise _format_error(document, "No values in 'instances' array")
        _check_count(len(values), limit)
        return PictureRequest(_instances(values), True, explain, mask)
    if "inputs" in document:
        return PictureRequest(_inputs(document["inputs"], limit), False, explain, mask)
    raise RequestError(400, "Missing 'inputs' or 'instances' key")


def parse_classify(body: bytes, limit: int) -> PictureRequest:
    """Return what a classify request asks: the pictures of its examples.

    Raises:
        RequestError: 400 in TF Serving's words, or 413.
    """
    document = _object(parse_json(body, lenient=True, for_picture=_EXAMPLE))
    _check_signature(document)
    context = document.get("context", {})
    if "examples" not in document:
        raise _format_error(
            document, "When method is classify, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise _format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise _format_error(document, "'examples' value is an empty array")
    _check_count(len(examples), limit)
    for example in (context, *examples):
        if not isinstance(example, dict):
            raise RequestError(400, f"Example must be JSON object but got JSON {_type(example)}")
    return PictureRequest([_feature({**context, **example}) for example in examples])


def element_error(index: int, name: str | None, why: str) -> str:
    """Return TF Serving's sentence for a bad element of `instances`.

    Args:
        index: Which one.
        name: Its key, if it is an object.
        why: What is wrong.
    """
    key = "" if name is None else f" key: {shown_text(name)}"
    return f"Failed to process element: {index}{key} of 'instances' list. Error: {why}"


def _object(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise _format_error(document, "Is not object")
    return document


def _format_error(value: Any, what: str) -> RequestError:
    return RequestError(400, f"JSON Value: {shown(value)} {what}")


def _type(value: Any) -> str:
    return str(value) if isinstance(value, bool) else _TYPES[type(value)]


def _check_count(count: int, limit: int) -> None:
    if count > limit:
        raise RequestError(413, f"At most {limit} pictures in one request. Got {count}.")


def _check_signature(document: Mapping[str, Any]) -> None:
    name = document.get("signature_name", SIGNATURE)
    if not isinstance(name, str):
        raise _format_error(
            document, "not formatted correctly. 'signature_name' key must be a string value."
        )
    if name not in ("", SIGNATURE):
        raise RequestError(
            400, f'Serving signature name: "{shown_text(name)}" not found in signature def'
        )


def _parameters(value: Any) -> tuple[bool, str | None]:
    """Return `explain` and `mask` of what Vertex AI's clients call `parameters`."""
    given = {} if value is None else value
    if not isinstance(given, dict):
        raise RequestError(400, f"Expecting 'parameters' to be an object. Got {_type(given)}.")
    unknown = sorted(set(given) - {"explain", "mask"})
    if unknown:
        raise RequestError(
            400, f"Unknown parameter {shown(unknown[0])}. Expected 'explain' or 'mask'."
        )
    explain, mask = given.get("explain", False), given.get("mask")
    if not isinstance(explain, bool):
        raise RequestError(400, "Invalid parameter 'explain'. Expected true or false.")
    if mask is not None and not isinstance(mask, str):
        raise RequestError(400, "Invalid parameter 'mask'. Expected png, rle or none.")
    return explain, mask


def _is_binary(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_binary(value)


def _instances(values: Sequence[Any]) -> list[bytes]:
    by_name = _is_named(values[0])
    pictures = []
    for i, value in enumerate(values):
        if by_name and not _is_named(value):
            raise RequestError(400, f"Expecting object but got list at item {i} of input list")
        if not by_name and _is_named(value):
            raise RequestError(
                400, f"Expecting value/list but got object at item {i} of input list"
            )
        name, content = _named(i, value) if by_name else (None, value)
        try:
            pictures.append(_picture(content, 0, 0))
        except RequestError as error:
            why = f"INVALID_ARGUMENT: {error.message}"
            raise RequestError(error.status, element_error(i, name, why)) from error
    return pictures


def _named(index: int, value: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the name and the content of the one input of an instance."""
    # As Vertex AI's own models of pictures take them: base64 without a `b64`, and what type it is.
    if isinstance(value.get("content"), str) and set(value) <= {"content", "mimeType"}:
        return "content", {"b64": value["content"]}
    for name in value:
        if name not in _INPUT_NAMES:
            why = f"INVALID_ARGUMENT: JSON object: does not have named input: {shown_text(name)}"
            raise RequestError(400, element_error(index, name, why))
    if len(value) != 1:
        raise RequestError(
            400,
            f"Failed to process element: {index} of 'instances' list. "
            f"JSON object: {shown(value)} keys must be equal to: {INPUT}",
        )
    return next(iter(value.items()))


def _inputs(value: Any, limit: int) -> list[bytes]:
    if _is_named(value):
        named = [value[name] for name in _INPUT_NAMES if name in value]
        if len(named) != 1:
            raise RequestError(400, f"Missing named input: {INPUT} in 'inputs' object.")
        value = named[0]
    if not isinstance(value, list):
        return [_picture(value, 0, 0)]
    if not value:
        raise RequestError(400, "No values in 'inputs' array")
    _check_count(len(value), limit)
    return [_picture(item, 1, 1) for item in value]


def _picture(value: Any, level: int, rank: int) -> bytes:
    """Return the bytes of `{"b64": …}` at a level of the document."""
    if _is_binary(value):
        return decode_base64(value["b64"])
    if isinstance(value, list):
        raise RequestError(400, f"Encountered list at unexpected level: {level} expected < {rank}")
    if isinstance(value, dict | str):
        # A plain string would be a picture file written as text, which none can be.
        raise RequestError(
            400,
            f"JSON Value: {shown(value)} not formatted correctly for base64 data. "
            'Expected {"b64": "<base64>"}.',
        )
    raise RequestError(
        400, f"JSON Value: {shown(value)} Type: {_type(value)} is not of expected type: string"
    )


def _feature(example: Mapping[str, Any]) -> bytes:
    """Return the picture of an example."""
    for name in _FEATURE_NAMES:
        if name not in example:
            continue
        value = example[name]
        values = value if isinstance(value, list) else [value]
        if len(values) != 1:
            raise RequestError(400, f"Feature: {name} has {len(values)} values. Expected 1.")
        if _is_binary(values[0]):
            return decode_base64(values[0]["b64"])
        raise RequestError(
            400, f"Feature: {name} has element with unexpected JSON type: {_type(values[0])}"
        )
    raise RequestError(
        400, f"Feature: {INPUT} (data type: string) is required but could not be found."
    )
