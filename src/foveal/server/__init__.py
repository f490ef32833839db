"""Serve bundles over HTTP: prediction routes, TF Serving's REST, a web page. No torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foveal.server.app import create_app
    from foveal.server.options import ServerOptions
    from foveal.server.run import ServerHandle, serve, start_in_thread

__all__ = ["ServerHandle", "ServerOptions", "create_app", "serve", "start_in_thread"]

# Fetched on first use: `foveal serve --help` needs the options alone.
_HOMES = {
    "create_app": "foveal.server.app",
    "ServerOptions": "foveal.server.options",
    "ServerHandle": "foveal.server.run",
    "serve": "foveal.server.run",
    "start_in_thread": "foveal.server.run",
}


def __getattr__(name: str) -> Any:
    """Fetch a name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
