"""The Open Inference Protocol over HTTP: health, metadata, inference, model repository."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from foveal.errors import FovealError
from foveal.server.models.served import Served
from foveal.server.protocols.oip.frame import LENGTH_HEADER, encode_reply, parse_infer
from foveal.server.protocols.oip.request import InferRequest
from foveal.server.protocols.oip.signature import PLATFORM, output_tensor, signature_of
from foveal.server.request.json_body import parse_aside, parse_json, shown_text
from foveal.server.request.limits import Claim, RequestError, read_body
from foveal.server.request.responses import json_response, status_of
from foveal.server.request.watch import Watch
from foveal.server.scheduling.jobs import Reply
from foveal.server.state import ServerState
from foveal.types import JsonObject
from foveal.version import __version__

# As Triton's index has them.
_STATES = {
    "START": "LOADING",
    "LOADING": "LOADING",
    "AVAILABLE": "READY",
    "UNLOADING": "UNLOADING",
    "END": "UNAVAILABLE",
}
EXTENSIONS = ("binary_tensor_data", "classification", "model_repository", "schedule_policy")


def server_metadata() -> JsonObject:
    """Return the server's name, version and extensions."""
    return {"name": "foveal", "version": __version__, "extensions": list(EXTENSIONS)}


async def metadata(_: Request) -> Response:
    """Describe the server: `GET /v2`."""
    return json_response(server_metadata())


async def live(request: Request) -> Response:
    """Say that the process can answer at all."""
    state: ServerState = request.app.state.foveal
    return json_response({"live": True, "ready": state.ready})


async def ready(request: Request) -> Response:
    """Say whether traffic should be sent here."""
    state: ServerState = request.app.state.foveal
    body = {"live": True, "ready": state.ready}
    return json_response(body) if state.ready else json_response(body, 503, {"retry-after": "1"})


async def models(request: Request) -> Response:
    """List the models: `GET /v2/models`."""
    state: ServerState = request.app.state.foveal
    return json_response({"models": list(state.models)})


async def model_metadata(request: Request) -> Response:
    """Describe a model: `GET /v2/models/{model}[/versions/{version}]`."""
    return json_response(model_description(request.app.state.foveal, _described(request)))


def model_description(state: ServerState, served: Served) -> JsonObject:
    """Return the metadata of a model."""
    signature = signature_of(served)
    return {
        "name": served.name,
        "versions": [str(number) for number in sorted(state.models[served.name].loaded)],
        "platform": PLATFORM,
        "inputs": [signature.input.to_json()],
        "outputs": [info.to_json() for info in signature.outputs],
    }


async def model_ready(request: Request) -> Response:
    """Say whether a model answers: `GET /v2/models/{model}[/versions/{version}]/ready`."""
    state: ServerState = request.app.state.foveal
    served = _described(request)
    is_ready = served.is_ready and not state.draining
    body = {"name": served.name, "ready": is_ready}
    return json_response(body) if is_ready else json_response(body, 503, {"retry-after": "1"})


async def index(request: Request) -> Response:
    """List the versions of all models: `POST /v2/repository/index`."""
    state: ServerState = request.app.state.foveal
    with Claim(state.budget) as claim:
        body = await read_body(request.receive, request.headers, claim, state.options)
        document = parse_json(body) if body else {}
    only_ready = document.get("ready", False) if isinstance(document, dict) else None
    if not isinstance(only_ready, bool):
        raise RequestError(400, 'Expected {"ready": true or false}.')
    return json_response(repository_index(state, only_ready=only_ready))


def repository_index(state: ServerState, *, only_ready: bool) -> list[JsonObject]:
    """Return all versions of the models and how far they are."""
    entries = [
        {
            "name": name,
            "version": str(status.version),
            "state": _STATES[status.state],
            "reason": status.error,
        }
        for name in state.models
        for status in state.models.statuses(name)
    ]
    return [e for e in entries if not only_ready or e["state"] == "READY"]


async def infer(request: Request) -> Response:
    """Answer pictures: `POST /v2/models/{model}[/versions/{version}]/infer`."""
    state: ServerState = request.app.state.foveal
    served = _asked(request)
    signature = signature_of(served)
    lengths = request.headers.getlist(LENGTH_HEADER)
    limit = state.options.max_instances
    with Claim(state.budget) as claim:
        body = await read_body(request.receive, request.headers, claim, state.options)
        asked = await parse_aside(body, lambda: parse_infer(body, lengths, signature, limit))
        claim.grow(len(asked.pictures), 0)
        async with Watch(request.receive):
            replies = await answered(state, served, asked)
    tensors = [(output_tensor(o, signature, replies), bool(o.binary)) for o in asked.outputs]
    content, length = encode_reply(reply_head(served, asked), tensors)
    if length < 0:
        return Response(content, media_type="application/json")
    headers = {LENGTH_HEADER: str(length)}
    return Response(content, headers=headers, media_type="application/octet-stream")


async def answered(
    state: ServerState, served: Served, asked: InferRequest, wait_s: float | None = None
) -> list[Reply]:
    """Return the answers to all pictures of a request.

    Args:
        state: The server's.
        served: The model.
        asked: The request.
        wait_s: How long the client's call has left; None when it does not say.

    Raises:
        RequestError: If a picture, which is named, has no answer; 504 when it takes longer than
            the client or the server waits.
    """
    timeout_s = min((t for t in (asked.timeout_s, wait_s) if t is not None), default=None)
    answers = await state.answer_all(
        served, asked.pictures, timeout_s=timeout_s, priority=asked.priority
    )
    replies: list[Reply] = []
    for i, answer in enumerate(answers):
        if isinstance(answer, FovealError):
            status, message = status_of(answer)
            raise RequestError(status, _of_picture(i, asked.pictures, message))
        replies.append(answer)
    return replies


def reply_head(served: Served, asked: InferRequest) -> JsonObject:
    """Return what a reply says beside its outputs."""
    head = {"model_name": served.name, "model_version": str(served.version)}
    return {**head, "id": asked.id} if asked.id else head


def _of_picture(index: int, pictures: Sequence[bytes], message: str) -> str:
    return message if len(pictures) == 1 else f"Picture {index}: {message}"


def _asked(request: Request) -> Served:
    state: ServerState = request.app.state.foveal
    return find(state, request.path_params["model"], request.path_params.get("version", ""))


def _described(request: Request) -> Served:
    state: ServerState = request.app.state.foveal
    name = request.path_params["model"]
    return find(state, name, request.path_params.get("version", ""), answers=False)


def find(state: ServerState, name: str, version: str, *, answers: bool = True) -> Served:
    """Return the model that a request names.

    Args:
        state: The server's models.
        name: The model's.
        version: Its number, or an alias; "" for the one that answers.
        answers: Whether it is to answer pictures, which may then be the canary's turn.

    Raises:
        RequestError: 404 when it is not there.
    """
    if not version:
        current = None if answers or name not in state.models else state.models[name].current
        return state.models.request(name, current)
    if version.isascii() and version.isdigit():
        if len(version) > 18:
            raise RequestError(404, f"Model {shown_text(name)!r} has no such version here.")
        return state.models.request(name, int(version))
    return state.models.request(name, alias=version)
