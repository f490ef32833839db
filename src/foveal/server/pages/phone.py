"""Routes of the web app of each model: `/app`, and its files below `/app/MODEL/`."""

from __future__ import annotations

import asyncio
import io
import ipaddress
import tempfile
import threading
from pathlib import Path
from typing import Any, final
from urllib.parse import quote, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from foveal.bundle.bundle import Bundle
from foveal.errors import MissingExtraError
from foveal.export.web.write import check_fits, write_served_app
from foveal.extras import import_extra
from foveal.server.pages.templating import page
from foveal.server.state import ServerState
from foveal.types import JsonObject

# The app compiles WebAssembly and starts a worker, which the server's other pages do not.
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "manifest-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".webmanifest": "application/manifest+json",
    ".bin": "application/octet-stream",
    ".onnx": "application/octet-stream",
}


@final
class Apps:
    """The apps of bundles, each written to a temporary folder when it is first asked for."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        self._written: dict[str, Path] = {}

    def folder(self, bundle: Bundle) -> Path:
        """Return the folder of a bundle's app.

        Raises:
            UsageError: If the bundle cannot be answered in a browser.
            MissingExtraError: If the runtime of apps is not installed.
        """
        with self._lock:
            if bundle.version not in self._written:
                check_fits(bundle)
                self._folder = self._folder or tempfile.TemporaryDirectory(prefix="foveal-apps-")
                out = Path(self._folder.name) / bundle.version
                write_served_app(bundle, out)
                self._written[bundle.version] = out
            return self._written[bundle.version]

    def close(self) -> None:
        """Remove what was written."""
        with self._lock:
            self._written.clear()
            if self._folder is not None:
                self._folder.cleanup()


async def index(request: Request) -> Response:
    """List the apps, each with a code that a phone's camera opens."""
    state: ServerState = request.app.state.foveal
    base = f"{request.url.scheme}://{request.url.netloc}"
    apps = [_offer(served.name, base) for served in state.models.current()]
    is_local = _is_loopback(base)
    return page(
        "app.html",
        here="/app",
        apps=apps,
        is_local=is_local,
        is_secure=is_local or request.url.scheme == "https",
    )


async def file(request: Request) -> Response:
    """Give a file of a model's app: `/app/MODEL/PATH`."""
    state: ServerState = request.app.state.foveal
    name, path = request.path_params["model"], request.path_params["path"]
    apps: Apps = request.app.state.apps
    bundle = state.models.request(name).predictor.bundle
    folder = await asyncio.to_thread(apps.folder, bundle)
    found = (folder / (path or "index.html")).resolve()
    if not found.is_relative_to(folder.resolve()) or not found.is_file():
        raise HTTPException(404)
    media_type = _TYPES.get(found.suffix)
    headers = {"content-security-policy": _POLICY} if found.suffix == ".html" else {}
    return FileResponse(found, media_type=media_type, headers=headers)


async def folder(request: Request) -> Response:
    """Lead from `/app/MODEL` to the folder, below which its worker is."""
    return RedirectResponse(f"/app/{quote(request.path_params['model'])}/", 307)


def address_of(url: str, name: str) -> str:
    """Return the address of a model's app on the server at a URL."""
    return f"{url.rstrip('/')}/app/{quote(name)}/"


def code_in_terminal(address: str) -> str | None:
    """Return an address as a QR code of characters; None where `segno` is not installed."""
    segno = _segno()
    if segno is None:
        return None
    text = io.StringIO()
    segno.make(address, error="m").terminal(out=text, compact=True)
    return text.getvalue().rstrip("\n")


def _offer(name: str, base: str) -> JsonObject:
    address = address_of(base, name)
    segno = _segno()
    code = None
    if segno is not None:
        code = segno.make(address, error="m").svg_data_uri(scale=6, border=4, light="#fff")
    return {"name": name, "address": address, "code": code}


def _segno() -> Any:
    try:
        return import_extra("segno", "app", "A QR code needs segno")
    except MissingExtraError:
        return None


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
