"""Serve bundles over HTTP: prediction routes, TF Serving's REST, a web page. No torch."""

from foveal.server.app import create_app
from foveal.server.options import ServerOptions
from foveal.server.run import ServerHandle, serve, start_in_thread

__all__ = ["ServerHandle", "ServerOptions", "create_app", "serve", "start_in_thread"]
