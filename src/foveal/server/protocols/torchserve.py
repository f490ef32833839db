"""Routes of TorchServe's inference API.

Protocol: pytorch/serve, docs/inference_api.md (Apache-2.0). What its own handlers answer depends on
the handler; the answer here is that of foveal's predictions contract.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from foveal.server.protocols.routes import answer_picture
from foveal.server.request.json_body import shown_text
from foveal.server.request.limits import RequestError
from foveal.server.request.responses import json_response
from foveal.server.state import ServerState


async def ping(request: Request) -> Response:
    """Say whether traffic should be sent here."""
    state: ServerState = request.app.state.foveal
    if state.ready:
        return json_response({"status": "Healthy"})
    return json_response({"status": "Unhealthy"}, 503, {"retry-after": "1"})


async def predictions(request: Request) -> Response:
    """Answer one picture: `POST /predictions/{model}[/{version}]`, or PUT as `curl -T` sends it."""
    state: ServerState = request.app.state.foveal
    version = _number(request.path_params.get("version"))
    served = state.models.request(request.path_params["model"], version)
    return await answer_picture(request, served)


def _number(version: str | None) -> int | None:
    if version is None:
        return None
    # TorchServe's versions are written 1.0.
    number = version.removesuffix(".0")
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise RequestError(404, f"There is no version {shown_text(version)!r} here.")
    return int(number)
