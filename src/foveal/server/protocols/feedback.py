"""The feedback route: `POST /feedback`, with the picture and its correct label.

The picture comes again, so that it does not matter which process answered it, or when, and so that
no picture is kept of whoever says nothing. It is answered again: what is kept is an answer of this
server, and a picture that could be decoded, whatever a client claims.
"""

from __future__ import annotations

import math

from starlette.requests import Request
from starlette.responses import Response

from foveal.curation.feedback_folder import FolderFull
from foveal.curation.names import is_folder_name
from foveal.errors import FovealError
from foveal.server.collector import Collector, right_mask, said_of
from foveal.server.models.served import Served
from foveal.server.request.json_body import parse_aside, shown
from foveal.server.request.limits import Claim, RequestError, read_body
from foveal.server.request.notes import current_notes
from foveal.server.request.responses import json_response
from foveal.server.request.said import Sent, read_sent
from foveal.server.request.watch import Watch
from foveal.server.state import ServerState
from foveal.tasks.prediction import Prediction

_LONGEST_NAME = 100
# In names of new classes, which become names of folders: what separates, and what systems reserve.
_NOT_IN_NAMES = frozenset('/\\|:*?"<>')


async def keep(request: Request) -> Response:
    """Keep a picture and what was said about its answer: `POST /feedback`."""
    state: ServerState = request.app.state.foveal
    collector = state.collector
    if collector is None:
        raise RequestError(404, "This server keeps no feedback.")
    caller = current_notes().caller
    if wait_s := state.access.wait_for_feedback(caller):
        raise RequestError(
            429,
            f"Too much feedback. The limit for each client is {state.options.collect_rate}.",
            retry_after_s=math.ceil(wait_s),
        )
    with Claim(state.budget) as claim:
        body = await read_body(request.receive, request.headers, claim, state.options)
        claim.grow(1, 0)
        content_type = request.headers.get("content-type", "")
        sent = await parse_aside(body, lambda: read_sent(body, content_type))
        served = _served(state, sent)
        truth = _truth(served, sent, takes_new=state.options.collect_new_labels)
        async with Watch(request.receive):
            (answer,) = await state.answer_all(served, [sent.picture], for_feedback=True)
        if isinstance(answer, FovealError):
            raise answer
        return await _kept(collector, served, answer.prediction, sent, truth)


async def _kept(
    collector: Collector,
    served: Served,
    prediction: Prediction,
    sent: Sent,
    truth: tuple[str, ...] | None,
) -> Response:
    by = current_notes().caller.key_id
    said = said_of(served, prediction, truth=truth, right=bool(sent.right), note=sent.note, by=by)
    if truth is not None:
        said = said.judged(truth)
    elif sent.right and said.target != "mask":
        said = said.judged(said.answer)
    mask = right_mask(served, prediction) if said.right and said.target == "mask" else None
    try:
        number, is_new = await collector.keep(sent.picture, said, mask)
    except FolderFull as error:
        raise RequestError(507, error.message) from error
    except OSError as error:
        raise RequestError(
            503, "The feedback cannot be saved at the moment.", retry_after_s=60
        ) from error
    answered = {"id": number, "new": is_new, "right": said.right, "version": said.version}
    return json_response(answered, 201 if is_new else 200)


def _served(state: ServerState, sent: Sent) -> Served:
    """Return the model that answers again: the version that the client has seen, if it is there.

    Raises:
        RequestError: 404 for an unknown model, 409 when what was seen is gone and only that could
            be called right.
    """
    models = state.models
    if sent.model is None and len(models) > 1:
        raise RequestError(
            400, (f"The field 'model' is required. Expected one of: {', '.join(models)}.")
        )
    name = _name(state, sent)
    served = models.request(name)
    if sent.version is None or _is_version(served, sent.version):
        return served
    for other in models[name].loaded.values():
        if _is_version(other, sent.version):
            return other
    if sent.label is None and sent.text is None:
        raise RequestError(
            409,
            f"The model has changed since: version {served.predictor.bundle.version} now answers. "
            "Send the picture to it again, or say what the picture shows instead of whether the "
            "answer is right.",
        )
    return served


def _name(state: ServerState, sent: Sent) -> str:
    """Return the name under which the model is served.

    An answer has the name of the run that its version was trained in: that is taken for the model
    where only one is meant.
    """
    models = state.models
    if sent.model is None or sent.model in models:
        return sent.model or next(iter(models))
    named = [
        name
        for name, versions in models.items()
        if any(
            one.predictor.bundle.name == sent.model
            and (sent.version is None or _is_version(one, sent.version))
            for one in versions.loaded.values()
        )
    ]
    return named[0] if len(named) == 1 else sent.model


def _is_version(served: Served, text: str) -> bool:
    """Whether a client means this version: by the answer's `version` or by `x-model-version`."""
    return text in (served.predictor.bundle.version, str(served.version))


def _truth(served: Served, sent: Sent, *, takes_new: bool) -> tuple[str, ...] | None:
    """Return what the client says the picture is; None when that only follows from the answer.

    Raises:
        RequestError: 400 for what does not fit the model.
        TargetError: For a class or a character that the model does not know.
    """
    task = served.predictor.task
    name = {"labels": "label", "text": "text", "mask": "right"}[task.target_kind]
    if task.target_kind == "mask":
        if sent.label is not None or sent.text is not None or sent.right is None:
            raise RequestError(
                400, ("This model predicts masks. Expected 'right', with a 'note' if you like.")
            )
        return None
    given: tuple[str, ...] | None = sent.label
    if task.target_kind == "text":
        given = None if sent.text is None else (sent.text,)
    if (sent.label if name == "text" else sent.text) is not None:
        raise RequestError(400, f"Unexpected field. Expected '{name}' for this model.")
    if given is None and sent.right is None:
        raise RequestError(400, f"Expected either '{name}' (what the picture shows) or 'right'.")
    if given is not None and sent.right is not None:
        raise RequestError(400, f"Expected either '{name}' or 'right', not both.")
    if given is None:
        return None
    if takes_new:
        _check_new(task.target_kind, given, several=_takes_several(served))
    else:
        task.parse_target(given)
    return given


def _takes_several(served: Served) -> bool:
    return bool(served.predictor.bundle.manifest.task_options.get("multi_label", False))


def _check_new(target: str, given: tuple[str, ...], *, several: bool) -> None:
    if target == "text":
        if not given[0]:
            raise RequestError(400, "'text' is empty.")
        return
    if not several and len(given) != 1:
        raise RequestError(400, "Expected exactly one 'label'.")
    for name in given:
        if (
            len(name) > _LONGEST_NAME
            or not is_folder_name(name)
            or name != name.strip()
            or name.startswith((".", "_"))
            or name.endswith(".")
            or not _NOT_IN_NAMES.isdisjoint(name)
        ):
            raise RequestError(
                400,
                f"Invalid class {shown(name)}. Expected up to {_LONGEST_NAME} characters (255 "
                "bytes) that are allowed in the name of a folder, not beginning with '.' or '_'.",
            )
