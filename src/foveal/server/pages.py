"""What a person sees: the web page, its files, and the description of the API."""

from __future__ import annotations

import hashlib
import html
import json
from functools import lru_cache
from importlib.resources import files
from string import Template
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from foveal.predict import Predictor
from foveal.server.limits import RequestError
from foveal.server.openapi import build_openapi
from foveal.server.routes import json_response
from foveal.server.state import ServerState

_TYPES = {
    "app.js": "text/javascript",
    "api.js": "text/javascript",
    "card.js": "text/javascript",
    "check.js": "text/javascript",
    "mask.js": "text/javascript",
    "paint.js": "text/javascript",
    "png.js": "text/javascript",
    "reading.js": "text/javascript",
    "viewer.js": "text/javascript",
    "words.js": "text/javascript",
    "style.css": "text/css",
    "mark.svg": "image/svg+xml",
}
# What the example in the description shows of long answers.
_SHOWN_SCORES, _SHOWN_BASE64 = 5, 24


@lru_cache(maxsize=16)
def _read(name: str) -> tuple[bytes, str]:
    content = files("foveal.server").joinpath("static", name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def _file_response(request: Request, name: str, media_type: str) -> Response:
    content, tag = _read(name)
    # Asked for again each time, and answered with 304: an upgraded server never meets old scripts.
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)


async def index(request: Request) -> Response:
    """Give the web page."""
    return _file_response(request, "index.html", "text/html")


async def static(request: Request) -> Response:
    """Give one of the web page's files; the list is closed, no path is built from the name."""
    name = request.path_params["name"]
    media_type = _TYPES.get(name)
    if media_type is None:
        raise RequestError(404, "There is nothing at this address. See /docs.")
    return _file_response(request, name, media_type)


async def docs(request: Request) -> Response:
    """Describe the API for people, with this server's names in the examples."""
    state: ServerState = request.app.state.foveal
    name = next(iter(state.models))
    compared = _first(state, with_masks=False)
    marking = _first(state, with_masks=True)
    sample = state.samples.get(name, {})
    values = {
        "models": ", ".join(state.models),
        "model": name,
        "compared": compared or "MODEL",
        "expected": _example(state.models[compared]) if compared else "CLASS",
        "marking": marking or "MODEL",
        "base": f"{request.url.scheme}://{request.url.netloc}",
        "max_bytes": f"{state.options.max_body_bytes / 2**20:.3g} MiB",
        "max_pixels": f"{state.options.max_pixels:,}",
        "sample": json.dumps(_shortened(sample), indent=2, ensure_ascii=False),
    }
    template = Template(_read("docs.html")[0].decode())
    text = template.substitute({key: html.escape(value) for key, value in values.items()})
    return Response(text, media_type="text/html")


def _first(state: ServerState, *, with_masks: bool) -> str | None:
    """Return the name of the first model that answers with masks, or of the first that does not."""
    kinds = {name: predictor.task.target_kind for name, predictor in state.models.items()}
    return next((name for name, kind in kinds.items() if (kind == "mask") is with_masks), None)


def _example(predictor: Predictor) -> str:
    """Return something that could be expected, as it stands in an address."""
    task = predictor.task
    names = task.labels.names
    return quote("".join(names[:4]) if task.target_kind == "text" else names[0])


def _shortened(sample: dict[str, object]) -> dict[str, object]:
    scores, mask = sample.get("scores"), sample.get("mask")
    if isinstance(scores, dict):
        return {**sample, "scores": dict(list(scores.items())[:_SHOWN_SCORES])}
    if isinstance(mask, dict):
        return {**sample, "mask": {"png_b64": f"{mask['png_b64'][:_SHOWN_BASE64]}…"}}
    return sample


async def openapi(request: Request) -> Response:
    """Describe the API for programs."""
    state: ServerState = request.app.state.foveal
    return json_response(build_openapi(list(state.models)))
