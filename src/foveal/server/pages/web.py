"""Routes of the web page and of the API documentation."""

from __future__ import annotations

import json
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from foveal.predict import Predictor
from foveal.server.models.served import Served
from foveal.server.pages.openapi import build_openapi
from foveal.server.pages.templating import page
from foveal.server.request.responses import json_response
from foveal.server.state import ServerState
from foveal.types import JsonObject

# What the example in the description shows of long answers.
_SHOWN_ENTRIES, _SHOWN_CHARACTERS = 5, 24


async def index(request: Request) -> Response:
    """Give the web page, which says what is kept before anything is sent."""
    state: ServerState = request.app.state.foveal
    options = state.options
    return page(
        "index.html",
        here="/",
        keeps_feedback=options.collect is not None,
        keeps_unsure=options.collect_unsure,
        with_keys=options.keys is not None,
    )


async def docs(request: Request) -> Response:
    """Describe the API for people, with this server's names in the examples."""
    state: ServerState = request.app.state.foveal
    first = state.models.current()[0]
    compared = _first(state, with_masks=False)
    marking = _first(state, with_masks=True)
    return page(
        "docs.html",
        here="/docs",
        curl="curl" if state.options.keys is None else 'curl -H "Authorization: Bearer $KEY"',
        models=", ".join(state.models),
        model=first.name,
        compared=compared.name if compared else "MODEL",
        expected=_example(compared.predictor) if compared else "CLASS",
        marking=marking.name if marking else "MODEL",
        base=f"{request.url.scheme}://{request.url.netloc}",
        keeps_feedback=state.options.collect is not None,
        takes_new_labels=state.options.collect_new_labels,
        max_bytes=f"{state.options.max_body_bytes / 2**20:.3g} MiB",
        max_pixels=f"{first.predictor.limits.max_pixels:,}",
        sample=json.dumps(_shortened(first.sample), indent=2, ensure_ascii=False),
    )


def _first(state: ServerState, *, with_masks: bool) -> Served | None:
    """Return the first model that answers with masks, or the first that does not."""
    for served in state.models.current():
        if (served.predictor.task.target_kind == "mask") is with_masks:
            return served
    return None


def _example(predictor: Predictor) -> str:
    """Return something that could be expected, as it stands in an address."""
    task = predictor.task
    names = task.labels.names
    return quote("".join(names[:4]) if task.target_kind == "text" else names[0])


def _shortened(sample: JsonObject) -> JsonObject:
    return {key: _cut(value) if isinstance(value, dict) else value for key, value in sample.items()}


def _cut(values: JsonObject) -> JsonObject:
    return {
        key: f"{value[:_SHOWN_CHARACTERS]}…"
        if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS
        else value
        for key, value in list(values.items())[:_SHOWN_ENTRIES]
    }


def openapi(request: Request) -> Response:
    """Describe the API for programs."""
    state: ServerState = request.app.state.foveal
    return json_response(
        build_openapi(
            {m.name: m.predictor for m in state.models.current()},
            asks_for_keys=state.options.keys is not None,
            keeps_feedback=state.options.collect is not None,
        )
    )
