"""Routes of TensorFlow Serving's REST API, with the additions of KServe v1 and Vertex AI.

Protocol: tensorflow/serving, g3doc/api_rest.md (Apache-2.0). Its clients never see a picture's
class as a tensor index: each prediction is the object of foveal's predictions contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from foveal.errors import FovealError
from foveal.server.models.served import Served, VersionStatus
from foveal.server.protocols import tfrequest
from foveal.server.protocols.routes import mask_form, with_extras
from foveal.server.protocols.tfrequest import PictureRequest, element_error
from foveal.server.request.json_body import parse_aside, shown_text
from foveal.server.request.limits import Claim, RequestError, read_body
from foveal.server.request.responses import json_response, status_of
from foveal.server.request.watch import Watch
from foveal.server.scheduling.jobs import Reply
from foveal.server.state import ServerState
from foveal.types import JsonObject

# `explain` is KServe's, everything else TF Serving's.
_CALL = re.compile(
    r"(?i)/v1/models/([^/:]+)(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?"
    r":(classify|regress|predict|explain)"
)
_STATUS = re.compile(
    r"(?i)/v1/models(?:/([^/:]+))?(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?(/metadata)?"
)
# Where Vertex AI sends what it has no other route for.
_ENDPOINT = re.compile(r"(?i)/v1/endpoints/[^/:]+/deployedModels/[^/:]+(:predict)?")
_LARGEST_VERSION = 2**63 - 1
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
    path = _path(request)
    if request.method == "POST" and (match := _CALL.fullmatch(path)):
        name, version, label, verb = match.groups()
        served = _servable(request, unquote(name), version, label)
        return await _CALLS[verb.lower()](request, served)
    if request.method == "GET" and (match := _STATUS.fullmatch(path)):
        name, version, label, metadata = match.groups()
        if not name:
            raise RequestError(400, "Missing model name in request.")
        if metadata:
            served = _servable(request, unquote(name), version, label, answers=False)
            return json_response(_metadata(served))
        return _status(request, unquote(name), version, label)
    if match := _ENDPOINT.fullmatch(path):
        if match[1] and request.method == "POST":
            return await predict_only_model(request)
        if not match[1] and request.method == "GET":
            return health(request)
    raise RequestError(400, f"Malformed request: {request.method} {shown_text(path)}")


async def predict_only_model(request: Request) -> Response:
    """Answer instances with the one model that is served, on a route that names none.

    Raises:
        RequestError: 404 when several are.
    """
    state: ServerState = request.app.state.foveal
    if len(state.models) != 1:
        raise RequestError(404, "This address names no model, and several are served here.")
    return await _predict(request, state.models.request(next(iter(state.models))))


def health(request: Request) -> Response:
    """Say whether traffic should be sent here.

    Raises:
        RequestError: 503 when not.
    """
    state: ServerState = request.app.state.foveal
    if not state.ready:
        raise RequestError(503, "Not ready.", retry_after_s=1)
    return json_response({"status": "ready"})


def _path(request: Request) -> str:
    """Return the path as it was sent: names are found in it before they are decoded."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return raw.partition(b"?")[0].decode("utf-8", errors="replace")


def _number(version: str | None) -> int | None:
    if version is None:
        return None
    # Digits are counted first: reading a million of them takes long.
    if len(version) > len(str(_LARGEST_VERSION)) or int(version) > _LARGEST_VERSION:
        raise RequestError(400, f"Failed to convert version: {shown_text(version)} to numeric.")
    return int(version)


def _servable(
    request: Request, name: str, version: str | None, label: str | None, *, answers: bool = True
) -> Served:
    """Return the version that a request names; to answer, that may be the canary."""
    state: ServerState = request.app.state.foveal
    number = _number(version)
    label = None if label is None else unquote(label)
    versions = state.models.get(name)
    if label is not None and (versions is None or label not in versions.aliases):
        raise RequestError(400, f"Unrecognized servable version label: {shown_text(label)}")
    served = None
    if versions is not None:
        served = versions.choose(number, label) if answers else versions.find(number, label)
    if served is None:
        shown = shown_text(name)
        wanted = f"Latest({shown})" if number is None else f"Specific({shown}, {number})"
        raise RequestError(404, f"Servable not found for request: {wanted}")
    return served


def _status(request: Request, name: str, version: str | None, label: str | None) -> Response:
    state: ServerState = request.app.state.foveal
    number = _number(version)
    if label is not None:
        number = _servable(request, name, version, label, answers=False).version
    known = state.models.statuses(name)
    if not known:
        raise RequestError(404, f"Could not find any versions of model {shown_text(name)}")
    asked = [status for status in known if number in (None, status.version)]
    if not asked:
        raise RequestError(404, f"Could not find version {number} of model {name}")
    body: JsonObject = {"model_version_status": [_state(status) for status in asked]}
    if number is None:
        # KServe's v1 protocol has the same address: its clients look at `ready` alone.
        body |= {"name": name, "ready": name in state.models and state.ready}
    return json_response(body)


def _state(status: VersionStatus) -> JsonObject:
    code = "FAILED_PRECONDITION" if status.error else "OK"
    return {
        "version": str(status.version),
        "state": status.state,
        "status": {"error_code": code, "error_message": status.error},
    }


def _metadata(served: Served) -> JsonObject:
    outputs = {
        key: _tensor_info(key, _DTYPES[type(value)])
        for key, value in served.sample.items()
        if type(value) in _DTYPES
    }
    signature = {
        "inputs": {tfrequest.INPUT: _tensor_info(tfrequest.INPUT, "DT_STRING")},
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
        "metadata": {"signature_def": {"signature_def": {tfrequest.SIGNATURE: signature}}},
    }


def _tensor_info(name: str, dtype: str) -> JsonObject:
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    return {"dtype": dtype, "tensor_shape": shape, "name": f"{name}:0"}


async def _predict(request: Request, served: Served) -> Response:
    asked, answers = await _answers(request, served, _parse_predict)
    records = [with_extras(answer) for answer in answers]
    if asked.by_row:
        return json_response({"predictions": records})
    # An answer may have a field that another lacks.
    keys = dict.fromkeys(key for record in records for key in record)
    return json_response({"outputs": {key: [r.get(key) for r in records] for key in keys}})


async def _explain(request: Request, served: Served) -> Response:
    _, answers = await _answers(request, served, _parse_predict, explain=True)
    return json_response({"explanations": [with_extras(answer) for answer in answers]})


async def _classify(request: Request, served: Served) -> Response:
    if served.predictor.task.target_kind != "labels":
        raise RequestError(400, _method_error("classification", "classify"))
    _, answers = await _answers(request, served, _parse_classify)
    results = [
        [[label, round(score, 6)] for label, score in answer.prediction.scores.items()]
        for answer in answers
    ]
    return json_response({"results": results})


async def _regress(_: Request, __: Served) -> Response:
    raise RequestError(400, _method_error("regression", "regress"))


def _method_error(kind: str, verb: str) -> str:
    return (
        f"Expected {kind} signature method_name to be tensorflow/serving/{verb}. "
        "Was: tensorflow/serving/predict"
    )


_CALLS = {"predict": _predict, "classify": _classify, "regress": _regress, "explain": _explain}


def _parse_predict(body: bytes, content_type: str, limit: int) -> PictureRequest:
    return tfrequest.parse_predict(body, content_type, limit)


def _parse_classify(body: bytes, _: str, limit: int) -> PictureRequest:
    return tfrequest.parse_classify(body, limit)


async def _answers(
    request: Request,
    served: Served,
    parse: Callable[[bytes, str, int], PictureRequest],
    *,
    explain: bool = False,
) -> tuple[PictureRequest, list[Reply]]:
    """Return what a request asks, and the answers to its pictures.

    Raises:
        RequestError: If a picture, which is named, has no answer.
    """
    state: ServerState = request.app.state.foveal
    content_type = request.headers.get("content-type", "")
    with Claim(state.budget) as claim:
        body = await read_body(request.receive, request.headers, claim, state.options)
        asked = await parse_aside(
            body, lambda: parse(body, content_type, state.options.max_instances)
        )
        claim.grow(len(asked.pictures), 0)
        mask = mask_form(served.predictor, asked.mask)
        explain = explain or asked.explain
        async with Watch(request.receive):
            answers = await state.answer_all(served, asked.pictures, explain=explain, mask=mask)
    replies = []
    for i, answer in enumerate(answers):
        if isinstance(answer, FovealError):
            status, message = status_of(answer)
            raise RequestError(status, element_error(i, tfrequest.INPUT, message))
        replies.append(answer)
    return asked, replies
