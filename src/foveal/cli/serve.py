"""`foveal serve` serves a model over HTTP, with a web page."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from multiprocessing import get_all_start_methods
from typing import Annotated, Any

import typer

import foveal
from foveal.access import existing_keys_file
from foveal.cli.knobs import given_of, options_of, with_options
from foveal.cli.options import (
    ELSEWHERE,
    Debug,
    Json,
    OnRay,
    Quiet,
    StorePath,
    engine_of,
    refuse_without_on,
)
from foveal.cli.output import note, write, write_json
from foveal.errors import UsageError
from foveal.machine import available_cores
from foveal.server.http.listen import free_port, reachable_host
from foveal.server.options import ServerOptions
from foveal.urls import is_url
from foveal.workflow.locate import in_store, is_store
from foveal.workflow.names import located
from foveal.workflow.vertex import VertexSettings, fetched_model, vertex_settings

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...",
        help="Runs, bundles, .foveal files, or NAME, NAME@ALIAS, NAME:VERSION in the "
        "store; a,b,c vote. Default: all models in --store.",
    ),
]


def _processes(text: str) -> int:
    """Return the number of worker processes that an option asks for."""
    if text == "auto":
        return available_cores() if "fork" in get_all_start_methods() else 1
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(
        f"Invalid --workers. Expected a number above 0, or auto. Received: {text!r}.",
        hint="foveal serve MODEL --workers 2",
    )


@with_options(options_of(ServerOptions, {"workers": _processes}), after="shadow")
def serve(
    models: Models = None,
    store: StorePath = None,
    canary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:VERSION=SHARE%",
            help="Let a version answer a share of the requests; repeatable.",
        ),
    ] = None,
    shadow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:VERSION",
            help="Compare the answers of a version without sending them; repeatable.",
        ),
    ] = None,
    on: OnRay = None,
    replicas: Annotated[
        str | None,
        typer.Option(
            "--replicas",
            metavar="N|MIN:MAX",
            help="With --on: number of replicas; MIN:MAX scales it with the requests in flight.",
            rich_help_panel=ELSEWHERE,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **settings: Any,
) -> None:
    """Serve models over HTTP with a web page.

    Drop, paste or photograph pictures on the page. Models from a store are updated when the store
    changes; `kill -HUP` checks at once. Stop the server with Ctrl-C. In a Vertex AI container, the
    variables AIP_* give the address and the model.
    """
    given = _given(settings, quiet=quiet)
    if on is None:
        refuse_without_on({"--replicas": replicas})
        given.setdefault("workers", _processes("auto"))
    vertex = vertex_settings(os.environ)
    if vertex is not None:
        given = _under_vertex(given, vertex)
        if not models and store is None and vertex.storage_uri is not None:
            models = [str(fetched_model(vertex.storage_uri))]
    if models and len(models) == 1 and store is None and is_store(models[0]):
        store, models = models[0], None
    if not models and store is None:
        raise UsageError("No model was given to serve.", hint="foveal serve MODEL, or --store DIR")
    # What is wrong with what is named is said before a model is read, and before a worker starts.
    checked = ServerOptions(**given)
    if checked.grpc_port == 0:
        # Chosen here, because it has to be printed: only the HTTP server tells which one it took.
        given["grpc_port"] = free_port(checked.host)
        checked = ServerOptions(**given)
    about = [_about(model, store) for model in models or ()]

    foveal.serve(
        *(_settled(model, store) for model in models or ()),
        store=store,
        canary=canary or (),
        shadow=shadow or (),
        on=on,
        replicas=replicas,
        on_ready=lambda url: _announce(url, about, checked, as_json=as_json, quiet=quiet),
        **given,
    )


def _given(settings: Mapping[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Return the fields of `ServerOptions` that the command line sets."""
    given = given_of(ServerOptions, settings)
    if "engine" in given:
        engine_of(given["engine"], quiet=quiet)
    if "keys" in given or "insecure" not in given:
        given["keys"] = existing_keys_file(given.get("keys"))
    return given


def _announce(
    url: str, about: list[dict[str, str]], options: ServerOptions, *, as_json: bool, quiet: bool
) -> None:
    """Say where the server answers, and what whoever opens it there should know."""
    if as_json:
        first = about[0] if about else {}
        rpc = {"grpc": _rpc_address(options)} if options.grpc_port is not None else {}
        write_json({"schema_version": 1, "url": url, **rpc, **first, "models": about})
    else:
        write(url)
        note(f"{_how_to_ask(url)}; stop the server with Ctrl-C", quiet=quiet)
        if options.grpc_port is not None:
            note(f"gRPC: {_rpc_address(options)}", quiet=quiet)
        if options.app:
            _announce_app(url, options, quiet=quiet)
        if options.collect is not None:
            note(f"feedback is kept: foveal corrections {options.collect}", quiet=quiet)
        if options.keys is not None:
            note(f"requests need a key of {options.keys}", quiet=quiet)
            if not options.is_loopback and options.tls_cert is None:
                note(
                    "keys are sent unencrypted: add --tls-cert and --tls-key, or use a proxy with "
                    "TLS",
                    quiet=quiet,
                )
    # A program that started us through a pipe waits for this line.
    sys.stdout.flush()


def _how_to_ask(url: str) -> str:
    """Return what to do with the address; browsers open no Unix sockets."""
    path = url.removeprefix("unix:")
    if path == url:
        return "open it in a browser"
    return f"ask it: curl --unix-socket {path} http://localhost/models"


def _rpc_address(options: ServerOptions) -> str:
    """Return the target of a gRPC client on this machine."""
    return f"{reachable_host(options.host)}:{options.grpc_port}"


def _announce_app(url: str, options: ServerOptions, *, quiet: bool) -> None:
    """Say where the apps are, with a code for phones where these can reach it."""
    page = f"{url.rstrip('/')}/app"
    note(f"apps for phones: {page}", quiet=quiet)
    if options.is_loopback:
        return
    if options.tls_cert is None:
        note("phones need HTTPS for the camera: add --tls-cert and --tls-key", quiet=quiet)
    # Imported late: it brings all that serves, which `foveal serve --help` does without.
    from foveal.server.pages.phone import code_in_terminal

    code = code_in_terminal(page)
    if code is not None:
        note(code, quiet=quiet)


def _under_vertex(given: dict[str, Any], vertex: VertexSettings) -> dict[str, Any]:
    """Return the options with what Vertex AI asks for where nothing was given."""
    asked = {
        "host": vertex.host,
        "port": vertex.port,
        "health_route": vertex.health_route,
        "predict_route": vertex.predict_route,
    }
    # Vertex AI asks who sends a request, and lets nothing else reach the container.
    if given.get("keys") is None:
        asked["insecure"] = True
    return {name: value for name, value in asked.items() if value is not None} | given


def _about(model: str, store: str | None) -> dict[str, str]:
    """Return the name in the routes and the version: of a bundle its hash, else its number."""
    stored = None if "," in model else in_store(model, store)
    if stored is None:
        bundle = foveal.load(model).bundle
        return {"model": bundle.name, "version": bundle.version}
    found = stored[0].resolve(stored[1])
    return {"model": found.name, "version": str(found.version)}


def _settled(model: str, store: str | None) -> str:
    """Return the path that a name means, so that no worker says again what else it may mean."""
    if "," in model or is_url(model) or in_store(model, store) is not None:
        return model
    path = located(model)
    return str(path.absolute()) if path.exists() else model
