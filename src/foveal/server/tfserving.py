"""TensorFlow Serving's REST, in its words: predict, model status and metadata.

Protocol: tensorflow/serving, g3doc/api_rest.md (Apache-2.0). Its clients never see a picture's
class as a tensor index: each prediction is the object of foveal's predictions contract.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from foveal.errors import FovealError
from foveal.server.limits import Claim, RequestError, read_body
from foveal.server.models import Served
from foveal.server.payload import decode_base64, parse_json
from foveal.server.routes import json_response, status_of
from foveal.server.state import ServerState
from foveal.server.watch import Watch
from foveal.types import JsonObject

_CALL = re.compile(
    r"(?i)/v1/models/([^/:]+)(?:(?:/versions/([^/:]+))|(?:/labels/([^/:]+)))?"
    r":(classify|regress|predict)"
)
_STATUS = re.compile(
    r"(?i)/v1/models(?:/([^/:]+))?(?:(?:/versions/([^/:]+))|(?:/labels/([^/:]+)))?(/metadata)?"
)
_SIGNATURE = "serving_default"
_INPUT_NAMES = frozenset({"image", "image_bytes"})
# None: a text that the warm-up's answer happens to lack, such as the value of what is no sum.
_DTYPES = {
    str: "DT_STRING",
    float: "DT_FLOAT",
    bool: "DT_BOOL",
    int: "DT_INT64",
    type(None): "DT_STRING",
}


async def dispatch(request: Request) -> Response:
    """Answer everything under `/v1/`."""
    path = request.url.path
    if request.method == "POST" and (match := _CALL.fullmatch(path)):
        name, version, label, verb = match.groups()
        served = _servable(request, name, version, label)
        if verb.lower() != "predict":
            raise RequestError(400, f"This model has no {verb.lower()} signature. Use :predict.")
        return await _predict(request, served)
    if request.method == "GET" and (match := _STATUS.fullmatch(path)):
        name, version, label, metadata = match.groups()
        if not name:
            raise RequestError(400, "Missing model name in request.")
        if metadata:
            return json_response(_metadata(_servable(request, name, version, label)))
        return _status(request, name, version, label)
    raise RequestError(400, f"Malformed request: {request.method} {path[:256]}")


def _check_version(version: str | None) -> None:
    if version is not None and not re.fullmatch(r"[0-9]{1,18}", version):
        raise RequestError(400, f"Failed to convert version: {version[:256]} to numeric.")


def _servable(request: Request, name: str, version: str | None, label: str | None) -> Served:
    _check_version(version)
    state: ServerState = request.app.state.foveal
    versions = state.models.get(name)
    if label is not None and (versions is None or label not in versions.aliases):
        raise RequestError(400, f"Unrecognized servable version label: {label[:256]}")
    served = versions and versions.find(None if version is None else int(version), label)
    if served is None:
        wanted = f"Specific({name[:256]}, {version})" if version else f"Latest({name[:256]})"
        raise RequestError(404, f"Servable not found for request: {wanted}")
    return served


def _status(request: Request, name: str, version: str | None, label: str | None) -> Response:
    state: ServerState = request.app.state.foveal
    _check_version(version)
    versions = state.models.get(name)
    if versions is None:
        raise RequestError(404, f"Could not find any versions of model {name[:256]}")
    asked = list(versions.loaded.values())
    if version is not None or label is not None:
        found = versions.find(None if version is None else int(version), label)
        if found is None:
            raise RequestError(
                404, f"Could not find version {(label or version or '')[:256]} of model {name}"
            )
        asked = [found]
    statuses = [
        {
            "version": str(served.version),
            "state": "AVAILABLE" if served.is_ready else "LOADING",
            "status": {"error_code": "OK", "error_message": ""},
        }
        for served in asked
    ]
    return json_response({"model_version_status": statuses})


def _metadata(served: Served) -> JsonObject:
    outputs = {
        key: _tensor_info(key, _DTYPES[type(value)])
        for key, value in served.sample.items()
        if type(value) in _DTYPES
    }
    signature = {
        "inputs": {"image": _tensor_info("image", "DT_STRING")},
        "outputs": outputs,
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {
            "name": served.name,
            "signature_name": "",
            "version": str(served.version),
        },
        # The doubled key is TF Serving's own.
        "metadata": {"signature_def": {"signature_def": {_SIGNATURE: signature}}},
    }


def _tensor_info(name: str, dtype: str) -> JsonObject:
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    return {"dtype": dtype, "tensor_shape": shape, "name": f"{name}:0"}


async def _predict(request: Request, served: Served) -> Response:
    state: ServerState = request.app.state.foveal
    with Claim(state.budget) as claim:
        body = await read_body(request.receive, request.headers, claim, state.options)
        pictures, key = await asyncio.to_thread(_parse, body, state.options.max_instances)
        claim.grow(len(pictures), 0)
        async with Watch(request.receive):
            answers = await state.answer_all(served, pictures)
    records: list[JsonObject] = []
    for i, answer in enumerate(answers):
        if isinstance(answer, FovealError):
            status, message = status_of(answer)
            raise RequestError(status, _element_error(i, message))
        records.append(answer.record)
    if key == "instances":
        return json_response({"predictions": records})
    # An answer may have a field that another lacks.
    keys = dict.fromkeys(key for record in records for key in record)
    return json_response({"outputs": {key: [r.get(key) for r in records] for key in keys}})


def _element_error(index: int, why: str) -> str:
    return f"Failed to process element: {index} key: image of 'instances' list. Error: {why}"


def _parse(body: bytes, limit: int) -> tuple[list[bytes], str]:
    """Return the pictures of a predict request and the key they came under."""
    document = parse_json(body)
    if not isinstance(document, dict):
        raise RequestError(400, "Is not object")
    signature = document.get("signature_name", _SIGNATURE)
    if signature not in ("", _SIGNATURE):
        shown = str(signature)[:256]
        raise RequestError(400, f'Serving signature name: "{shown}" not found in signature def')
    if "instances" in document and "inputs" in document:
        raise RequestError(
            400,
            "JSON Value: Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist",
        )
    if "instances" in document:
        return _instances(document["instances"], limit), "instances"
    if "inputs" in document:
        return _inputs(document["inputs"], limit), "inputs"
    raise RequestError(400, "Missing 'inputs' or 'instances' key")


def _instances(values: Any, limit: int) -> list[bytes]:
    if not isinstance(values, list):
        raise RequestError(400, "Expecting 'instances' to be an list/array")
    if not values:
        raise RequestError(400, "No values in 'instances' array")
    return _pictures(values, limit)


def _inputs(value: Any, limit: int) -> list[bytes]:
    if isinstance(value, dict) and set(value) != {"b64"}:
        named = [value[name] for name in _INPUT_NAMES if name in value]
        if len(named) != 1:
            raise RequestError(400, "Missing named input: image in 'inputs' object.")
        value = named[0]
    values = value if isinstance(value, list) else [value]
    if not values:
        raise RequestError(400, "No values in 'inputs' array")
    return _pictures(values, limit)


def _pictures(values: Sequence[Any], limit: int) -> list[bytes]:
    if len(values) > limit:
        raise RequestError(413, f"At most {limit} pictures in one request. Got {len(values)}.")
    pictures = []
    for i, value in enumerate(values):
        if isinstance(value, dict) and len(value) == 1 and not set(value).isdisjoint(_INPUT_NAMES):
            (value,) = value.values()
        if not (isinstance(value, dict) and set(value) == {"b64"}):
            raise RequestError(400, _element_error(i, 'Expected {"b64": "<base64>"}.'))
        if not isinstance(value["b64"], str):
            raise RequestError(400, _element_error(i, "b64 must be a string."))
        try:
            pictures.append(decode_base64(value["b64"]))
        except RequestError as error:
            raise RequestError(400, _element_error(i, error.message)) from error
    return pictures
