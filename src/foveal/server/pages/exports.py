"""Routes that list the exports of a served model, and download them for administrators."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

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
    name = quote(served.name, safe="")
    return [
        {
            "to": export["to"],
            "precision": export["precision"],
            "created": export["created"],
            "bytes": export["bytes"],
            "proof": export["proof"],
            "download": f"/admin/models/{name}/exports/{export['to']}/{export['precision']}",
        }
        for export in _kept(served)
    ]


async def download(request: Request) -> Response:
    """Send an export, a folder as a zip: `GET /admin/models/{model}/exports/{to}/{precision}`."""
    state: ServerState = request.app.state.foveal
    params = request.path_params
    name = state.models.request(params["model"]).name
    served = state.models[name]
    wanted = (params["to"], params["precision"])
    with admin_act(request, "download", model=name, to=wanted[0], precision=wanted[1]):
        for export in await asyncio.to_thread(_kept, served.loaded[served.current]):
            if (export["to"], export["precision"]) == wanted:
                return await asyncio.to_thread(_sent, export)
        raise RequestError(404, f"{name!r} was not exported as {wanted[0]} in {wanted[1]}.")


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
