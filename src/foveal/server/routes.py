"""foveal's own routes: predictions, the list of models, health and counters."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from foveal.errors import FovealError, unknown_name
from foveal.predict import Predictor
from foveal.server.batcher import Answer
from foveal.server.limits import Claim, RequestError, read_body
from foveal.server.payload import picture_bytes
from foveal.server.state import ServerState
from foveal.server.watch import Watch
from foveal.types import JsonObject

_TRUE, _FALSE = frozenset({"1", "true", "yes", ""}), frozenset({"0", "false", "no"})
# A body over this is parsed off the event loop: 256 KiB of JSON takes under a millisecond.
_PARSE_INLINE_BYTES = 256 * 1024


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return `{"error": message}`."""
    return json_response({"error": message}, status, headers)


def status_of(error: FovealError) -> tuple[int, str]:
    """Return the HTTP status and the sentence for an error that a request caused."""
    hint = f" {error.hint}" if error.hint and error.http_status == 415 else ""
    return error.http_status, f"{error.message}{hint}"


async def predict(request: Request) -> Response:
    """Answer one picture: `POST /predict/{model}`."""
    state: ServerState = request.app.state.foveal
    name = request.path_params["model"]
    predictor = state.model(name)
    query = request.query_params
    explain = _flag(query.get("explain"))
    expected = query.get("expected")
    if expected is not None:
        _check_label(predictor, expected)
    with Claim(state.budget) as claim:
        claim.grow(1, 0)
        body = await read_body(request.receive, request.headers, claim, state.options)
        content_type = request.headers.get("content-type", "")
        if len(body) > _PARSE_INLINE_BYTES and "json" in content_type.lower():
            data = await asyncio.to_thread(picture_bytes, body, content_type)
        else:
            data = picture_bytes(body, content_type)
        async with Watch(request.receive):
            answer = (await state.answer_all(name, [data], explain=explain))[0]
    if isinstance(answer, FovealError):
        return error_response(*status_of(answer))
    return json_response(_with_extras(answer, expected))


def _with_extras(answer: Answer, expected: str | None) -> JsonObject:
    record = answer.record
    if expected is not None:
        given = record.get("labels", [record["label"]])
        record = {**record, "expected": expected, "matches": expected in given}
    if answer.overlay_png is not None:
        png = base64.b64encode(answer.overlay_png).decode()
        record = {**record, "explanation": {"png_b64": png}}
    return record


def _flag(text: str | None) -> bool:
    if text is None or text.lower() in _FALSE:
        return False
    if text.lower() in _TRUE:
        return True
    raise RequestError(400, "Invalid value for 'explain'. Expected true or false.")


def _check_label(predictor: Predictor, expected: str) -> None:
    labels = predictor.task.labels
    if predictor.task.name != "classify":
        raise RequestError(400, "'expected' works with models that classify.")
    if labels.index(expected) is None:
        raise RequestError(400, unknown_name("class", expected[:256], labels.names))


async def models(request: Request) -> Response:
    """Describe the models: `GET /models`."""
    state: ServerState = request.app.state.foveal
    options = state.options
    limits = {"max_body_bytes": options.max_body_bytes, "max_pixels": options.max_pixels}
    described = [_describe(name, predictor) for name, predictor in state.models.items()]
    return json_response({"models": described, "limits": limits})


def _describe(name: str, predictor: Predictor) -> JsonObject:
    manifest = predictor.bundle.manifest
    return {
        "name": name,
        "version": predictor.bundle.version,
        "task": manifest.task,
        "labels": list(manifest.labels),
        "input": {"height": manifest.pipeline.height, "width": manifest.pipeline.width},
        "unsure_below": manifest.calibration.unsure_below,
        "backbone": manifest.backbone,
        "metrics": {key: dict(value) for key, value in manifest.metrics.items()},
    }


async def healthz(_: Request) -> Response:
    """Say that the process can answer at all."""
    return json_response({"status": "alive"})


async def readyz(request: Request) -> Response:
    """Say whether traffic should be sent here."""
    state: ServerState = request.app.state.foveal
    if state.ready:
        return json_response({"status": "ready"})
    reason = "draining" if state.draining else "loading"
    return error_response(503, f"Not ready: {reason}.", {"retry-after": "1"})


async def metrics(request: Request) -> Response:
    """Give the counters in Prometheus' text format."""
    state: ServerState = request.app.state.foveal
    stats = state.batcher.stats
    plain = {
        "foveal_batches_total": ("counter", stats.batches),
        "foveal_batched_pictures_total": ("counter", stats.pictures),
        "foveal_failed_pictures_total": ("counter", stats.failed),
        "foveal_dropped_pictures_total": ("counter", stats.dropped),
        "foveal_decode_seconds_total": ("counter", stats.decode_s),
        "foveal_network_seconds_total": ("counter", stats.network_s),
        "foveal_queue_pictures": ("gauge", state.budget.items),
        "foveal_queue_bytes": ("gauge", state.budget.bytes),
        "foveal_ready": ("gauge", state.ready),
    }
    text = state.telemetry.render(plain)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")
