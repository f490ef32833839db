"""Routes that list versions of a model, promote them and roll back."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from foveal.bundle.manifest import Manifest
from foveal.errors import FovealError, PromotionRefused
from foveal.server.access.auth import admin_act, require_scope
from foveal.server.models.served import Served
from foveal.server.pages import templating
from foveal.server.pages.exports import described_exports
from foveal.server.request.json_body import parse_json
from foveal.server.request.limits import Claim, RequestError, read_body
from foveal.server.request.responses import json_response
from foveal.server.state import ServerState
from foveal.store.difference import Difference
from foveal.store.record import StoredVersion
from foveal.store.reference import Reference
from foveal.store.state import LIVE, Move
from foveal.store.store import Store
from foveal.types import JsonObject

logger = logging.getLogger(__name__)

_SHOWN_MOVES = 20


async def page(_: Request) -> Response:
    """Give the page of versions."""
    return templating.page("versions.html", here="/versions")


def versions(request: Request) -> Response:
    """Describe the versions of a model: `GET /models/{model}`."""
    state: ServerState = request.app.state.foveal
    name = state.models.request(request.path_params["model"]).name
    served = state.models[name]
    current = served.loaded[served.current]
    store = state.loader.store_of(name)
    statuses = {status.version: status for status in state.models.statuses(name)}
    known: dict[int, StoredVersion] = {}
    aliases, moves = dict(served.aliases), []
    if store is not None:
        now = store.state(name)
        known = {number: stored(store, name, number) for number in now.versions}
        aliases = dict(now.aliases)
        moves = [move.to_json() for move in now.history[-_SHOWN_MOVES:]][::-1]
    described = []
    for number in sorted({*known, *statuses}, reverse=True):
        loaded = served.find(number)
        about = _described(loaded, known.get(number))
        status = statuses.get(number)
        described.append(
            {
                "version": number,
                "state": None if status is None else status.state,
                "error": "" if status is None else status.error,
                "roles": served.roles(number),
                "aliases": [alias for alias, of in aliases.items() if of == number],
                **about,
                "exports": [] if loaded is None else described_exports(loaded),
            }
        )
    return json_response(
        {
            "schema_version": 1,
            "name": name,
            "task": current.predictor.task.name,
            "primary_metric": current.predictor.task.primary_metric,
            # Without keys nobody is an administrator.
            "can_change": store is not None and state.options.keys is not None,
            "can_download": state.options.keys is not None,
            "is_stored": store is not None,
            "versions": described,
            "history": moves,
        }
    )


def stored(store: Store, name: str, number: int) -> StoredVersion:
    """Return what the store knows of a version; nothing where its record is damaged."""
    try:
        return store.resolve(Reference(name, number))
    except FovealError as error:
        logger.warning("%s:%d: %s", name, number, error)
        return StoredVersion(name, number, (), None)


def _described(served: Served | None, known: StoredVersion | None) -> JsonObject:
    record = None if known is None else known.record
    if record is not None:
        difference = record.difference
        return {
            "created": record.created,
            "pushed": record.pushed,
            "who": record.who,
            "note": record.note,
            "parent": record.parent,
            "difference": None if difference is None else Difference.from_json(difference).sentence,
            "metrics": {key: dict(value) for key, value in record.metrics.items()},
        }
    nothing: JsonObject = {"pushed": "", "who": "", "note": "", "parent": None, "difference": None}
    if served is None:
        return {"created": "", **nothing, "metrics": {}}
    manifest: Manifest = served.predictor.bundle.manifest
    metrics = {key: dict(value) for key, value in manifest.metrics.items()}
    return {"created": manifest.created, **nothing, "metrics": metrics}


async def promote(request: Request) -> Response:
    """Let an alias mean a version: `POST /admin/models/{model}/promote`."""
    body = await _body(request, {"version", "alias", "force"})
    version, force = body.get("version"), body.get("force", False)
    if type(version) is not int or version < 1 or type(force) is not bool:
        raise RequestError(400, 'Expected "version", a number, and "force", true or false.')
    name, store = _stored_name(request)
    alias = _alias(body)
    with admin_act(
        request, "promote", model=name, version=version, alias=alias, force=force
    ) as caller:
        if version not in (await asyncio.to_thread(store.state, name)).versions:
            raise RequestError(404, f"The store has no version {version} of {name!r}.")
        move = await _changed(
            lambda: store.promote(Reference(name, version), alias, force=force, who=caller.name)
        )
    return _moved(request, move)


async def rollback(request: Request) -> Response:
    """Let an alias mean what it meant before: `POST /admin/models/{model}/rollback`."""
    body = await _body(request, {"alias"})
    name, store = _stored_name(request)
    alias = _alias(body)
    with admin_act(request, "rollback", model=name, alias=alias) as caller:
        state = await asyncio.to_thread(store.state, name)
        if alias not in state.aliases:
            raise RequestError(404, f"{name!r} has no alias {alias!r}.")
        if not state.earlier(alias):
            raise RequestError(409, f"{name}@{alias} has no earlier version.")
        move = await _changed(lambda: store.rollback(name, alias, who=caller.name))
    return _moved(request, move)


async def reload(request: Request) -> Response:
    """Look at the stores at once, and again at what failed: `POST /admin/reload`."""
    await _body(request, set())
    with admin_act(request, "reload"):
        _reload(request)
    return json_response({"reloading": True}, 202)


def _reload(request: Request) -> None:
    state: ServerState = request.app.state.foveal
    if state.options.workers > 1:
        # The supervisor tells all workers.
        os.kill(os.getppid(), signal.SIGHUP)
    else:
        state.reload()


async def _body(request: Request, known: set[str]) -> JsonObject:
    require_scope("admin")
    state: ServerState = request.app.state.foveal
    with Claim(state.budget) as claim:
        content = await read_body(request.receive, request.headers, claim, state.options)
        body: Any = parse_json(content) if content else {}
    if not isinstance(body, dict) or not set(body) <= known:
        expected = ", ".join(sorted(known)) or "no keys"
        raise RequestError(400, f"Invalid body. Expected a JSON object with {expected}.")
    return body


def _stored_name(request: Request) -> tuple[str, Store]:
    state: ServerState = request.app.state.foveal
    name = state.models.request(request.path_params["model"]).name
    store = state.loader.store_of(name)
    if store is None:
        raise RequestError(409, f"The model {name!r} is served from a path, not from a store.")
    return name, store


def _alias(body: JsonObject) -> str:
    alias = body.get("alias", LIVE)
    if not isinstance(alias, str) or Reference.parse(f"m@{alias}") is None:
        raise RequestError(400, "Invalid \"alias\". Expected letters, digits, '.', '_' or '-'.")
    return alias


async def _changed(change: Callable[[], Move]) -> Move:
    try:
        return await asyncio.to_thread(change)
    except PromotionRefused as error:
        raise RequestError(409, error.message) from error
    except (FovealError, OSError) as error:
        # It may name a path of this machine.
        logger.error("the store was not changed: %s", error)
        status = error.http_status if isinstance(error, FovealError) else 500
        message = "The store was not changed. The server's log says why."
        raise RequestError(status, message) from error


def _moved(request: Request, move: Move) -> Response:
    _reload(request)
    return json_response({"schema_version": 1, **move.to_json()})
