"""Routes that list the exports of a served model, and download them for administrators."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlencode

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from foveal.errors import FovealError
from foveal.server.access.auth import admin_act
from foveal.server.models.served import Served
from foveal.server.request.limits import RequestError
from foveal.server.state import ServerState
from foveal.types import JsonObject
from foveal.workflow.exports import digest_of_files, exports_of
from foveal.workflow.names import run_of

logger = logging.getLogger(__name__)


def described_exports(served: Served) -> list[JsonObject]:
    """Return what was exported from exactly this version of a model; without paths."""
    path = f"/admin/models/{quote(served.name, safe='')}/exports"
    return [
        {
            "to": export["to"],
            "precision": export["precision"],
            "options": export["options"],
            "created": export["created"],
            "bytes": export["bytes"],
            "proof": export["proof"],
            "download": f"{path}/{export['to']}/{export['precision']}{_query(export['options'])}",
        }
        for export in _kept(served)
    ]


async def download(request: Request) -> Response:
    """Send an export, a folder as a zip: `GET /admin/models/{model}/exports/{to}/{precision}`.

    With options, such as an app, each is a parameter `option` of the query.
    """
    state: ServerState = request.app.state.foveal
    params = request.path_params
    name = state.models.request(params["model"]).name
    served = state.models[name]
    wanted = {
        "to": params["to"],
        "precision": params["precision"],
        "options": request.query_params.getlist("option"),
    }
    with admin_act(request, "download", model=name, **wanted):
        for export in await asyncio.to_thread(_kept, served.loaded[served.current]):
            if {**export, **wanted} == export:
                return await asyncio.to_thread(_sent, export)
        asked = " ".join((wanted["to"], "in", wanted["precision"], *wanted["options"]))
        raise RequestError(404, f"{name!r} was not exported as {asked}.")


def _kept(served: Served) -> list[JsonObject]:
    """Return the records of exports of this very bundle that are still on this machine."""
    bundle = served.predictor.bundle
    try:
        exports = exports_of(run_of(bundle.path))
    except FovealError as error:
        # It names a path of this machine.
        logger.warning("%s", error)
        return []
    return [
        export
        for export in exports
        if export["version"] == bundle.version and Path(export["path"]).exists()
    ]


def _query(options: Sequence[str]) -> str:
    return "?" + urlencode([("option", option) for option in options]) if options else ""


def _sent(export: JsonObject) -> Response:
    path = Path(export["path"])
    if digest_of_files(path) != export.get("sha256"):
        raise RequestError(409, "The export was changed since it was written. Export it again.")
    if not path.is_dir():
        return FileResponse(path, filename=path.name, media_type="application/octet-stream")
    with tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as packed:
        try:
            _pack(path, Path(packed.name))
        except BaseException:
            _remove(packed.name)
            raise
    return FileResponse(
        packed.name,
        filename=f"{path.name}.zip",
        media_type="application/zip",
        background=BackgroundTask(_remove, packed.name),
    )


def _pack(folder: Path, out: Path) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, Path(folder.name) / file.relative_to(folder))


def _remove(path: str) -> None:
    with suppress(OSError):
        Path(path).unlink()
