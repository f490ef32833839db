"""`foveal serve` serves a model over HTTP, with a web page."""

from __future__ import annotations

import os
import sys
from multiprocessing import get_all_start_methods
from pathlib import Path
from typing import Annotated, Any

import typer

import foveal
from foveal.access import existing_keys_file
from foveal.cli.options import Debug, Engine, Json, Quiet, StorePath, engine_of
from foveal.cli.output import note, write, write_json
from foveal.errors import UsageError
from foveal.machine import available_cores
from foveal.server.options import ServerOptions
from foveal.server.pages.phone import code_in_terminal
from foveal.workflow.locate import in_store, is_store
from foveal.workflow.vertex import VertexSettings, fetched_model, vertex_settings

_MEBIBYTE = 1024 * 1024


Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...",
        help="Runs, bundles, .foveal files, or NAME, NAME@ALIAS, NAME:VERSION of the store; a,b,c "
        "vote. Without any, all of --store.",
    ),
]


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
            help="Compare the answers of a version, without sending them; repeatable.",
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port to listen on; 0 chooses a free one; default: 8000."
        ),
    ] = None,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port for the Open Inference Protocol over gRPC."),
    ] = None,
    workers: Annotated[
        str,
        typer.Option(metavar="N|auto", help="Processes that answer; auto: one for each core."),
    ] = "auto",
    worker_timeout: Annotated[
        float | None,
        typer.Option(min=2, help="Replace a process that is silent for so many seconds."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of each that answer; default: its share of the cores."),
    ] = None,
    engine: Engine = None,
    isolate_decoding: Annotated[
        bool, typer.Option("--isolate-decoding", help="Decode in sandboxed processes.")
    ] = False,
    decode_timeout: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds that a picture may take there; default: 10."),
    ] = None,
    max_batch: Annotated[
        int | None, typer.Option(min=1, help="Largest number of pictures run together.")
    ] = None,
    max_body_mb: Annotated[
        int | None, typer.Option(min=1, help="Largest request body, in MiB.")
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(min=1, help="Refuse pictures of more pixels; default: as in training."),
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(help="Seconds after which a request is answered with 504.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None, typer.Option(help="Host name to accept in requests; repeatable.")
    ] = None,
    allowed_origin: Annotated[
        list[str] | None, typer.Option(help="Other web origin that may send pictures; repeatable.")
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PEM certificate chain, to speak HTTPS."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM key of the certificate.")
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="Proxy whose X-Forwarded-For is believed; repeatable."
        ),
    ] = None,
    drain_delay: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to go on accepting after SIGTERM; default: 5."),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="API keys to ask for; default: FOVEAL_KEYS, or those of `foveal keys create`.",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Answer anyone, without keys, on any address.")
    ] = False,
    app: Annotated[
        bool,
        typer.Option(
            "--app", help="Offer each model at /app as an app for phones, which holds the model."
        ),
    ] = False,
    access_log: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Add a JSON line for each request; - is stdout."),
    ] = None,
    audit_log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Add a line for each change; default: beside the keys."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Serve models over HTTP with a web page.

    Drop, paste or photograph pictures on the page. A model of the store goes on being what the
    store says; `kill -HUP` looks at once. Stop the server with Ctrl-C. In a container of Vertex AI,
    the variables AIP_* say where to listen and where the model is.
    """
    asked_for = None if insecure and keys is None else existing_keys_file(keys)
    given: dict[str, Any] = {
        "grpc_port": grpc_port,
        "workers": _processes(workers),
        "worker_timeout_s": worker_timeout,
        "threads": threads,
        "engine": None if engine is None else engine_of(engine, quiet=quiet),
        "isolate_decoding": isolate_decoding or None,
        "decode_timeout_s": decode_timeout,
        "max_batch": max_batch,
        "max_body_bytes": max_body_mb * _MEBIBYTE if max_body_mb is not None else None,
        "max_pixels": max_pixels,
        "deadline_s": deadline,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "trusted_proxies": tuple(trusted_proxy) if trusted_proxy else None,
        "drain_delay_s": drain_delay,
        "allowed_hosts": tuple(allowed_host) if allowed_host else None,
        "allowed_origins": tuple(allowed_origin) if allowed_origin else None,
        "keys": asked_for,
        "insecure": insecure or None,
        "access_log": access_log,
        "audit_log": audit_log,
        "app": app or None,
    }
    given |= {"host": host, "port": port}
    vertex = vertex_settings(os.environ)
    if vertex is not None:
        given = _under_vertex(given, vertex)
        if not models and store is None and vertex.storage_uri is not None:
            models = [str(fetched_model(vertex.storage_uri))]
    options = {name: value for name, value in given.items() if value is not None}
    if models and len(models) == 1 and store is None and is_store(models[0]):
        store, models = models[0], None
    if not models and store is None:
        raise UsageError("There is no model to serve.", hint="foveal serve MODEL, or --store DIR")
    # What is wrong with what is named is said before a model is read, and before a worker starts.
    checked = ServerOptions(**options)
    about = [_about(model, store) for model in models or ()]

    foveal.serve(
        *(models or ()),
        store=store,
        canary=canary or (),
        shadow=shadow or (),
        on_ready=lambda url: _announce(url, about, checked, as_json=as_json, quiet=quiet),
        **options,
    )


def _announce(
    url: str, about: list[dict[str, str]], options: ServerOptions, *, as_json: bool, quiet: bool
) -> None:
    """Say where the server answers, and what whoever opens it there should know."""
    if as_json:
        first = about[0] if about else {}
        write_json({"schema_version": 1, "url": url, **first, "models": about})
    else:
        write(url)
        note("open it in a browser; stop the server with Ctrl-C", quiet=quiet)
        if options.app:
            _announce_app(url, options, quiet=quiet)
        if options.keys is not None:
            note(f"it asks for a key of {options.keys}", quiet=quiet)
            if not options.is_loopback and options.tls_cert is None:
                note("keys are sent in the clear: add --tls-cert, or a proxy with TLS", quiet=quiet)
    # A program that started us through a pipe waits for this line.
    sys.stdout.flush()


def _announce_app(url: str, options: ServerOptions, *, quiet: bool) -> None:
    """Say where the apps are, with a code for phones where these can reach it."""
    page = f"{url.rstrip('/')}/app"
    note(f"apps for phones: {page}", quiet=quiet)
    if options.is_loopback:
        return
    if options.tls_cert is None:
        note("phones want https for the camera: add --tls-cert and --tls-key", quiet=quiet)
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
    if given["keys"] is None:
        asked["insecure"] = True
    return given | {name: v for name, v in asked.items() if given.get(name) is None}


def _about(model: str, store: str | None) -> dict[str, str]:
    """Return the name in the routes and the version: of a bundle its hash, else its number."""
    stored = None if "," in model else in_store(model, store)
    if stored is None:
        bundle = foveal.load(model).bundle
        return {"model": bundle.name, "version": bundle.version}
    found = stored[0].resolve(stored[1])
    return {"model": found.name, "version": str(found.version)}


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
