"""foveal's own routes: predictions, the list of models, health and counters."""

from __future__ import annotations

import base64

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response

from foveal.bundle.promise import promise
from foveal.errors import FovealError
from foveal.predict import Predictor
from foveal.render.masks import MASK_FORMS, MaskForm
from foveal.server.models.served import Served
from foveal.server.request.json_body import parse_aside
from foveal.server.request.limits import Claim, RequestError, read_body
from foveal.server.request.payload import picture_bytes
from foveal.server.request.responses import error_response, json_response
from foveal.server.request.watch import Watch
from foveal.server.scheduling.jobs import Reply
from foveal.server.state import ServerState
from foveal.types import JsonObject

_TRUE, _FALSE = frozenset({"1", "true", "yes", ""}), frozenset({"0", "false", "no"})
# Longer than any label or text; finding the nearest of a thousand names to more would take long.
_LONGEST_EXPECTED = 1000


async def predict(request: Request) -> Response:
    """Answer one picture: `POST /predict/{model}`."""
    state: ServerState = request.app.state.foveal
    return await answer_picture(request, state.models.request(request.path_params["model"]))


async def answer_picture(request: Request, served: Served) -> Response:
    """Answer the picture that a body carries with one model.

    Raises:
        RequestError: For what is wrong with the request.
        FovealError: For what is wrong with the picture.
    """
    state: ServerState = request.app.state.foveal
    predictor = served.predictor
    query = request.query_params
    explain = _flag(query.get("explain"))
    mask = mask_form(predictor, query.get("mask"))
    expected = query.get("expected")
    if expected is not None:
        _check_expected(predictor, expected)
    with Claim(state.budget) as claim:
        body = await read_body(request.receive, request.headers, claim, state.options)
        claim.grow(1, 0)
        content_type = request.headers.get("content-type", "")
        if "json" in content_type.lower():
            data = await parse_aside(body, lambda: picture_bytes(body, content_type))
        else:
            data = picture_bytes(body, content_type)
        async with Watch(request.receive):
            answer = (await state.answer_all(served, [data], explain=explain, mask=mask))[0]
    if isinstance(answer, FovealError):
        raise answer
    return json_response(with_extras(answer, expected))


def with_extras(answer: Reply, expected: str | None = None) -> JsonObject:
    """Return the record of an answer, with whether it is the expected one and its explanation.

    Args:
        answer: The answer, including its explanation if one was asked for.
        expected: What the picture should be, if that was asked.
    """
    record = answer.record
    if expected is not None:
        record = {**record, "expected": expected, "matches": answer.prediction.says(expected)}
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


def mask_form(predictor: Predictor, text: str | None) -> MaskForm:
    """Return the form of masks that a request asks for, the first when it asks for none.

    Raises:
        RequestError: 400 for another, or when the model answers without masks.
    """
    if text is None:
        return MASK_FORMS[0]
    if predictor.task.target_kind != "mask":
        raise RequestError(400, "This model predicts no mask. Leave out 'mask'.")
    for form in MASK_FORMS:
        if text.lower() == form:
            return form
    raise RequestError(400, "Invalid value for 'mask'. Expected png, rle or none.")


def _check_expected(predictor: Predictor, expected: str) -> None:
    if predictor.task.target_kind == "mask":
        raise RequestError(400, "A mask cannot be compared with 'expected'. Leave out 'expected'.")
    if len(expected) > _LONGEST_EXPECTED:
        raise RequestError(400, f"'expected' is longer than {_LONGEST_EXPECTED} characters.")
    # A label or text that no answer can match is a mistake of the client: TargetError, 400.
    predictor.task.parse_target((expected,))


async def models(request: Request) -> Response:
    """Describe the models: `GET /models`."""
    state: ServerState = request.app.state.foveal
    options, current = state.options, state.models.current()
    limits = {
        "max_body_bytes": options.max_body_bytes,
        # What every model here takes; each says below what it takes itself.
        "max_pixels": min(served.predictor.limits.max_pixels for served in current),
    }
    described = [_describe(served) for served in current]
    about: JsonObject = {"models": described, "limits": limits}
    if options.collect is not None:
        about["feedback"] = {
            "new_labels": options.collect_new_labels,
            "keeps_unsure": options.collect_unsure,
        }
    return json_response(about)


def _describe(served: Served) -> JsonObject:
    predictor = served.predictor
    manifest = predictor.bundle.manifest
    pipeline = manifest.pipeline
    return {
        "name": served.name,
        "version": predictor.bundle.version,
        "task": manifest.task,
        "target": predictor.task.target_kind,
        "labels": list(manifest.labels),
        "multi_label": bool(manifest.task_options.get("multi_label", False)),
        # The width of a line is the largest that is taken.
        "input": {
            "height": pipeline.height,
            "width": pipeline.width,
            "fit": pipeline.fit,
            "steps": list(pipeline.steps),
        },
        "max_pixels": predictor.limits.max_pixels,
        "unsure_below": manifest.calibration.unsure_below,
        "usable": manifest.calibration.not_usable is None,
        "promise": promise(manifest.calibration, predictor.task, folds=manifest.folds),
        "backbone": manifest.backbone,
        "primary_metric": predictor.task.primary_metric,
        "metrics": {key: dict(value) for key, value in manifest.metrics.items()},
        "engine": None if served.engine is None else served.engine.to_json(),
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
    return Response(state.telemetry.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
