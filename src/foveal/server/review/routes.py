"""Routes of a review: page, suspects, decisions and pictures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import chain
from typing import Any, get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from foveal.curation.decisions import Action
from foveal.curation.queues import Queue
from foveal.curation.review import Act
from foveal.errors import FovealError
from foveal.server.gate import framed_policy
from foveal.server.pages import templating
from foveal.server.request.json_body import parse_json
from foveal.server.request.limits import Claim, ClientGoneError, RequestError, read_body
from foveal.server.request.responses import error_response
from foveal.server.review.pictures import Encoded
from foveal.server.review.state import ReviewState
from foveal.types import JsonObject

# Rows of a window of the grid, with some to spare.
_MOST_SUSPECTS = 500
_LONGEST_BY = 64
_FORMS = ("thumbnail", "large", "evidence")


def _state(request: Request) -> ReviewState:
    state: ReviewState = request.app.state.foveal
    return state


async def page(request: Request) -> Response:
    """Give the page."""
    state = _state(request)
    response = templating.page("review.html", root="", target=state.review.target)
    if state.framed_by is not None:
        response.headers.update(framed_policy(state.framed_by))
    return response


def state(request: Request) -> Response:
    """Describe the review: `GET /state`, or with `?since=N&session=S` what changed since."""
    state = _state(request)
    state.review.refresh()
    query = request.query_params
    since = _number(query["since"]) if query.get("session") == state.review.session else None
    return _json(state.described() if since is None else state.changed(since))


def suspects(request: Request) -> Response:
    """Give some suspects of a queue: `GET /queues/{queue}?start=0&count=100`."""
    state, queue = _state(request), _queue(request)
    start = _number(request.query_params.get("start", "0"))
    count = min(_number(request.query_params.get("count", "100")), _MOST_SUSPECTS)
    review, shown = state.review, []
    best = review.best_copies(request.path_params["queue"])
    for suspect in queue.suspects[start : start + count]:
        number = review.number(suspect.sample)
        like = (review.number(sample) for sample in suspect.like)
        if number is not None:
            shown.append(
                {
                    **state.about(number),
                    "suggestion": suspect.label,
                    "chance": suspect.score if queue.scores_are_chances else None,
                    "note": "best copy" if suspect.sample in best else None,
                    "like": [state.about(other) for other in like if other is not None],
                }
            )
    return _json({"session": review.session, "start": start, "suspects": shown})


def next_open(request: Request) -> Response:
    """Give the first undecided place from one on: `GET /queues/{queue}/next?from=N`."""
    _queue(request)
    start = _number(request.query_params.get("from", "0"))
    return _json({"next": _state(request).review.next_open(request.path_params["queue"], start)})


async def decide(request: Request) -> Response:
    """Write decisions: `POST /decide`."""
    body = await _body(request)
    action, label = _action(body), body.get("label")
    if label is not None and (not isinstance(label, str) or action != "relabel"):
        raise RequestError(400, 'Invalid "label". Expected text, with the action relabel.')
    review, by = _state(request).review, _by(body)
    number, positions = _asked(request, body)
    act = await _acting(lambda: review.decide(number, positions, action, label, by=by))
    return _acted(request, body, act)


async def undo(request: Request) -> Response:
    """Take back the last act of a person, or the decisions about some suspects: `POST /undo`."""
    body = await _body(request)
    review, by, samples = _state(request).review, _by(body), None
    if "ranges" in body:
        number, positions = _asked(request, body)
        samples = [review.queues[number].suspects[i].sample for i in positions]
    return _acted(request, body, await _acting(lambda: review.undo(samples, by=by)))


async def picture(request: Request) -> Response:
    """Give a picture: `GET /pictures/{number}/{form}`."""
    state, form = _state(request), request.path_params["form"]
    number = _known_number(request)
    if form not in _FORMS or (form == "evidence" and state.model is None):
        raise HTTPException(404)
    query = request.query_params
    label, outlined = query.get("label"), query.get("outlined") == "true"
    named = f"{form}-{outlined:d}" if label is None else f"{form}-{label.encode().hex()}"
    pictures = state.pictures

    def made(stamp: str) -> Encoded:
        if form == "evidence":
            return pictures.evidence(number, stamp, label)
        make = pictures.thumbnail if form == "thumbnail" else pictures.large
        return make(number, stamp, outlined=outlined)

    async with state.room:
        # Who scrolls by fast asks for much that nobody waits for any more.
        if await request.is_disconnected():
            raise ClientGoneError
        stamp = await asyncio.to_thread(pictures.stamp, number, named)
        if request.headers.get("if-none-match") == stamp:
            return Response(status_code=304, headers={"etag": stamp})
        try:
            encoded = await asyncio.to_thread(made, stamp)
        except FovealError as error:
            # The page shows the sentence in the place of the picture.
            return error_response(422, error.message)
    return Response(encoded.data, headers={"etag": stamp}, media_type=encoded.media_type)


async def facts(request: Request) -> Response:
    """Say what is known of a picture: `GET /pictures/{number}`."""
    state, number = _state(request), _known_number(request)
    async with state.room:
        try:
            known = await asyncio.to_thread(state.pictures.facts, number)
        except FovealError as error:
            return error_response(422, error.message)
    return _json(known)


def _json(value: JsonObject) -> Response:
    """Return a JSON response in ASCII: names of files need not be valid Unicode."""
    return Response(json.dumps(value), media_type="application/json")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:
        raise RequestError(400, f"Expected a number from 0 on. Received: {text!r}.")
    return int(text)


def _known_number(request: Request) -> int:
    number: int = request.path_params["number"]
    if number >= len(_state(request).review.source.samples):
        raise HTTPException(404)
    return number


def _queue(request: Request) -> Queue:
    queues = _state(request).review.queues
    number: int = request.path_params["queue"]
    if number >= len(queues):
        raise HTTPException(404)
    return queues[number]


async def _body(request: Request) -> dict[str, Any]:
    state = _state(request)
    with Claim(state.budget) as claim:
        content = await read_body(request.receive, request.headers, claim, state.options)
        body: Any = parse_json(content)
    if not isinstance(body, dict):
        raise RequestError(400, "Expected a JSON object.")
    if body.get("session") != state.review.session:
        raise RequestError(409, "This page shows an earlier check. Reload the page.")
    return body


def _asked(request: Request, body: dict[str, Any]) -> tuple[int, list[int]]:
    """Return the queue of a request and the positions in it."""
    queues = _state(request).review.queues
    number, ranges = body.get("queue"), body.get("ranges")
    if type(number) is not int or not 0 <= number < len(queues):
        raise RequestError(400, 'Invalid "queue". Expected the number of a queue.')
    count = len(queues[number].suspects)
    if (
        not isinstance(ranges, list)
        or not all(_is_range(each, count) for each in ranges)
        or sum(end - first for first, end in ranges) > count
    ):
        raise RequestError(400, 'Invalid "ranges". Expected [[first, end], ...].')
    return number, list(chain.from_iterable(range(*each) for each in ranges))


def _is_range(value: object, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(each) is int for each in value)
        and 0 <= value[0] < value[1] <= count
    )


def _action(body: dict[str, Any]) -> Action:
    action: Action = body.get("action", "")
    if action not in get_args(Action) or action == "undo":
        raise RequestError(400, 'Invalid "action". Expected keep, relabel, quarantine or skip.')
    return action


def _by(body: dict[str, Any]) -> str | None:
    """Return who decides, as the page says: the other pages of the same browser say the same."""
    by = body.get("by")
    if by is not None and (not isinstance(by, str) or not 0 < len(by) <= _LONGEST_BY):
        raise RequestError(400, f'Invalid "by". Expected 1 to {_LONGEST_BY} characters.')
    return by


async def _acting(act: Callable[[], Act]) -> Act:
    try:
        return await asyncio.to_thread(act)
    except FovealError as error:
        raise RequestError(422, error.message) from error
    except OSError as error:
        raise RequestError(507, f"The decision was not written: {error.strerror}.") from error


def _acted(request: Request, body: dict[str, Any], act: Act) -> Response:
    state, since = _state(request), body.get("version")
    changed = state.changed(since if type(since) is int and since >= 0 else 0)
    return _json({**changed, "acted": len(act.samples), "passed_over": act.passed_over})
