"""Serve models, and watch a training, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from foveal.errors import UsageError
from foveal.foreign import spelled
from foveal.model import Model
from foveal.workflow.names import located

if TYPE_CHECKING:
    from foveal.predict import Predictor
    from foveal.server.models.loader import Offer

_NOT_OPTIONS = ("models", "store", "canary", "shadow", "on", "replicas", "on_ready")


@spelled
def serve(
    *models: str | Path | Model,
    store: str | Path | None = None,
    canary: Sequence[str] = (),
    shadow: Sequence[str] = (),
    on: str | None = None,
    replicas: int | str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_ready: Callable[[str], None] | None = None,
    grpc_port: int | None = None,
    health_route: str | None = None,
    predict_route: str | None = None,
    max_body_bytes: int = 16 * 1024 * 1024,
    max_pixels: int | None = None,
    body_timeout_s: float = 30.0,
    header_timeout_s: float = 5.0,
    keep_alive_s: float = 15.0,
    min_bytes_per_s: int = 32 * 1024,
    max_connections: int | None = None,
    max_client_connections: int | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    trusted_proxies: tuple[str, ...] = (),
    deadline_s: float = 30.0,
    queue_items: int = 256,
    queue_bytes: int = 256 * 1024 * 1024,
    max_instances: int = 64,
    max_batch: int = 16,
    workers: int = 1,
    worker_timeout_s: float = 30.0,
    threads: int | None = None,
    engine: str | None = None,
    isolate_decoding: bool = False,
    decode_timeout_s: float = 10.0,
    allowed_hosts: tuple[str, ...] = (),
    allowed_origins: tuple[str, ...] = (),
    poll_s: float = 1.0,
    drain_delay_s: float = 5.0,
    drain_s: float = 30.0,
    keys: str | Path | None = None,
    insecure: bool = False,
    access_log: str | None = None,
    audit_log: str | Path | None = None,
    app: bool = False,
    collect: str | Path | None = None,
    collect_unsure: bool = False,
    collect_new_labels: bool = False,
    collect_rate: str = "300/h",
    collect_max_bytes: int = 1024 * 1024 * 1024,
    collect_max_count: int = 10_000,
    collect_max_per_key: int = 2_000,
    runtime_dir: str | Path | None = None,
) -> None:
    """Serve models over HTTP, with a web page, until interrupted.

    A model of a store goes on being what the store says: when an alias is promoted, or a newer
    version is published where none has the alias `live`, that is loaded and answers instead.

    `model.serve()` serves in a thread instead, and returns at once.

    Args:
        *models: As for `load`. Without any, all of the store is served.
        store: Path or URL of the store that the names are in; None takes the default one.
        canary: `NAME:VERSION=SHARE%`, versions that answer a share of the requests.
        shadow: `NAME:VERSION`, versions whose answers are compared and never sent.
        on: `ray:local` serves on a Ray cluster of this machine, `ray:auto` on the one that it
            belongs to, with replicas behind Ray's proxies; None serves from this process.
        replicas: With `on`: how many, `2`, or `1:4` for as many as the requests in flight need.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        on_ready: Called with the URL once the server answers.
        grpc_port: Port for the Open Inference Protocol over gRPC; None serves HTTP alone.
        health_route: Another path that says whether traffic may come.
        predict_route: Another path that answers Vertex AI's `instances` with the one model.
        max_body_bytes: Largest request body.
        max_pixels: Pictures of more pixels are refused; None takes the limit of the training.
        body_timeout_s: Time to receive a body, besides that which it takes at `min_bytes_per_s`.
        header_timeout_s: Time to receive the head of a request.
        keep_alive_s: How long a connection may wait for its next request.
        min_bytes_per_s: Who sends or reads more slowly for long is cut off.
        max_connections: Connections at once; None takes what open files allow, up to 8192.
        max_client_connections: Connections of one address at once; None allows half of all.
        tls_cert: PEM file of the certificate chain; None for plain HTTP.
        tls_key: PEM file of its key. Both are read again at SIGHUP.
        trusted_proxies: Addresses or networks of proxies whose `X-Forwarded-For` is believed.
        deadline_s: Time from the body to the answer; then 504.
        queue_items: Pictures that may be in work at once; then 503.
        queue_bytes: Bytes of bodies that may be in memory at once; then 503.
        max_instances: Pictures in one request of the TF Serving route.
        max_batch: Most pictures of one run of the network.
        workers: Processes that answer, each with the model in its memory. More than one are only
            started by a program that has not opened a model before.
        worker_timeout_s: A worker process that is silent for so long is replaced.
        threads: Threads of each process that decode pictures and run networks; None takes all
            cores, shared among the processes.
        engine: As for `load`; None leaves each model its own.
        isolate_decoding: Decode in sandboxed processes, so that a crash, a hang or a memory bomb
            in an image library takes nothing with it but that picture.
        decode_timeout_s: Longest time that a picture may take there.
        allowed_hosts: Names that a `Host` header may have besides the loopback's; `*` allows any.
        allowed_origins: Web origins besides the server's own that may post.
        poll_s: How often a store is asked for new versions and aliases.
        drain_delay_s: After SIGTERM, how long to go on accepting while `/readyz` says no.
        drain_s: How long requests in flight may take to finish after that.
        keys: File of API keys (`foveal keys create`), one of which each request has to have; None
            takes `FOVEAL_KEYS` or the user's own file, if there is one.
        insecure: Answer anyone who reaches the server, without keys, on a public address too.
        access_log: File to add a JSON line to for each request; `-` is standard output.
        audit_log: File to add a line to for each act of administration; None is one beside the
            keys.
        app: Offer each model as an app at `/app`, which holds the model: whoever opens it takes it
            along.
        collect: Folder to keep feedback in, with the pictures. None keeps
            nothing, and neither the page nor `POST /feedback` ask for any.
        collect_unsure: Keep the pictures of unsure answers too.
        collect_new_labels: Take classes and characters that the model does not know.
        collect_rate: How often one client may send feedback, as `300/h`.
        collect_max_bytes: Bytes of all files that are kept.
        collect_max_count: Entries that are kept.
        collect_max_per_key: Entries that are kept of one API key.
        runtime_dir: Directory for what several processes share; None makes one that ends with them.

    Raises:
        UsageError: For an address that others can reach, without keys and without `insecure`.
    """
    given = {name: value for name, value in locals().items() if name not in _NOT_OPTIONS}
    from foveal.access import existing_keys_file
    from foveal.server.options import ServerOptions
    from foveal.settings import settings_of

    paths = [name for name, setting in settings_of(ServerOptions).items() if setting.kind is Path]
    options = given | {name: Path(given[name]) for name in paths if given[name] is not None}
    options["keys"] = None if insecure and keys is None else existing_keys_file(options["keys"])
    # What is wrong with them is said before a model is read, which takes longer.
    checked = ServerOptions(**options)
    if on is not None:
        from foveal.cluster.serve import Replicas, serve_on
        from foveal.jobs.target import Target
        from foveal.server.models.offer import Wanted

        places = [model.bundle.path if isinstance(model, Model) else model for model in models]
        asked = Wanted(places, None if store is None else str(store), canary, shadow)
        count = Replicas.parse(str(1 if replicas is None else replicas))
        serve_on(Target.parse(on), asked, _open, checked, count, on_ready=on_ready)
        return
    if replicas is not None:
        raise UsageError(
            "Replicas are those of a Ray cluster.", hint="--on ray:local, or --workers"
        )

    def open_models() -> Offer:
        from foveal.server.models.offer import Wanted, make_offer
        from foveal.workflow.locate import in_store

        opened = {id(model): model.predictor for model in models if isinstance(model, Model)}
        named = [model for model in models if not isinstance(model, Model)]
        wanted = Wanted(named, None if store is None else str(store), canary, shadow)
        offer = make_offer(wanted, _open, in_store)
        given = {predictor.bundle.name: predictor for predictor in opened.values()}
        return replace(offer, fixed={**given, **offer.fixed})

    if workers > 1:
        from foveal.server.supervisor import supervise

        supervise(open_models, checked, on_ready=on_ready)
        return
    from foveal.server.run import serve as run_server

    run_server(open_models(), checked, on_ready=on_ready)


def _open(path: str | Path) -> Predictor:
    return Model(path).predictor


def watch(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8001,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Show a training on a live web page until interrupted.

    The page has the learning curves, some validation pictures and how each epoch answers them,
    the findings, and a button that stops the training after the current epoch. Call it in another
    process than the training; a run that has ended can be looked at too.

    Args:
        run: The run directory, the name of a run in `runs`, or the URL of a run, which is then
            looked at every five seconds.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        on_ready: Called with the URL once the server answers.

    Raises:
        BundleError: If there is no such run.
        UsageError: If the address cannot be listened on.
    """
    from foveal.server.options import ServerOptions
    from foveal.server.training_page import watch as run_server
    from foveal.workflow.followed import followed
    from foveal.workflow.rundir import RunDirectory

    # Whoever asks for another address than this machine's wants the page seen from there.
    options = ServerOptions(host=host, port=port, insecure=True)
    with followed(run) as path:
        run_server(RunDirectory.open(located(path)), options, on_ready=on_ready)
