"""Serve models and watch trainings over HTTP."""

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

    Models from a store are kept up to date: when an alias is promoted, or a newer version of a name
    without the alias `live` is published, that version is loaded and replaces the current one.

    `model.serve()` serves in a thread instead, and returns at once.

    Args:
        *models: As for `load`. Without any, all models of the store are served.
        store: Path or URL of the model store; None takes the default one.
        canary: Versions that answer a share of the requests, each as `NAME:VERSION=SHARE%`.
        shadow: Versions whose answers are compared but never sent, each as `NAME:VERSION`.
        on: `ray:local` starts a Ray cluster on this machine, `ray:auto` joins the cluster that it
            belongs to; both serve from replicas behind Ray's proxies. None serves from this
            process.
        replicas: With `on`: number of replicas, such as `2`, or a range, such as `1:4`, scaled with
            the number of requests in flight.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        on_ready: Called with the URL once the server is ready.
        grpc_port: Port for the Open Inference Protocol over gRPC; None serves HTTP only.
        health_route: Additional path for readiness checks.
        predict_route: Additional path that answers `instances` of Vertex AI, if one model is
            served.
        max_body_bytes: Largest request body, in bytes.
        max_pixels: Largest picture that is decoded, in pixels; None takes the limit of the
            training.
        body_timeout_s: Time limit for receiving a body, in addition to its size divided by
            `min_bytes_per_s`.
        header_timeout_s: Time limit for receiving the header of a request.
        keep_alive_s: Time after which an idle connection is closed.
        min_bytes_per_s: Clients that send or read more slowly than this for long are disconnected.
        max_connections: Largest number of open connections; None takes as many as the limit on open
            files allows, up to 8192.
        max_client_connections: Largest number of open connections of one address; None takes half
            of `max_connections`.
        tls_cert: PEM file of the certificate chain; None for plain HTTP.
        tls_key: PEM file of its private key. Both files are read again on SIGHUP.
        trusted_proxies: Addresses or networks of proxies whose `X-Forwarded-For` is trusted.
        deadline_s: Time limit from the body to the answer, after which the status is 504.
        queue_items: Largest number of pictures in progress; further requests get 503.
        queue_bytes: Largest size of all request bodies in memory, in bytes; further requests get
            503.
        max_instances: Largest number of pictures in one request of the TF Serving route.
        max_batch: Largest number of pictures in one run of the network.
        workers: Number of worker processes, each with its own copy of the models. More than one can
            only be started by a program that has not opened a model yet.
        worker_timeout_s: Time after which an unresponsive worker process is replaced.
        threads: Number of threads in each process that decode pictures and run networks; None
            divides the cores among the processes.
        engine: As for `load`; None keeps the engine of each model.
        isolate_decoding: Decode in sandboxed processes, so that a crash, a hang or excessive memory
            use in an image library affects only that picture.
        decode_timeout_s: Time limit for decoding one picture there.
        allowed_hosts: Names accepted in the `Host` header besides those of the loopback interface;
            `*` accepts any.
        allowed_origins: Web origins, besides the server's own, that may send POST requests.
        poll_s: Interval at which the store is checked for new versions and aliases.
        drain_delay_s: Time after SIGTERM during which requests are still accepted while `/readyz`
            fails.
        drain_s: Time limit for requests in flight to finish after that.
        keys: File of API keys (`foveal keys create`); each request must carry one of them. None
            takes the file that `FOVEAL_KEYS` names or the user's own, if there is one.
        insecure: Serve without keys, even on a public address.
        access_log: File to which a JSON line is appended for each request; `-` is standard output.
        audit_log: File to which a line is appended for each administrative action; None takes one
            beside the key file.
        app: Offer each model as a web app at `/app`. The app contains the model, so anyone who
            opens it can copy the model.
        collect: Folder in which feedback and its pictures are stored. None stores nothing and
            disables feedback on the page and `POST /feedback`.
        collect_unsure: Also store the pictures of unsure answers.
        collect_new_labels: Accept classes and characters that the model does not know.
        collect_rate: Rate limit for the feedback of one client, such as `300/h`.
        collect_max_bytes: Largest size of all stored files, in bytes.
        collect_max_count: Largest number of stored entries.
        collect_max_per_key: Largest number of stored entries for one API key.
        runtime_dir: Directory for the files that worker processes share; None creates a temporary
            one.

    Raises:
        UsageError: If other machines can reach the address and neither `keys` nor `insecure` is
            given, or the server cannot listen on it.
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
            "Replicas need a Ray cluster.",
            hint="use --on ray:local, or --workers for processes on this machine",
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

    The page shows the learning curves, some validation pictures with the answers after each epoch,
    the findings, and a button that stops the training after the current epoch. Call it in another
    process than the training. Finished runs can be viewed as well.

    Args:
        run: Run directory, name of a run in `runs`, or URL of a run, which is polled every five
            seconds.
        host: Address to listen on.
        port: Port to listen on; 0 chooses a free one.
        on_ready: Called with the URL once the server is ready.

    Raises:
        BundleError: If there is no such run.
        UsageError: If the server cannot listen on the address.
    """
    from foveal.server.options import ServerOptions
    from foveal.server.training_page import watch as run_server
    from foveal.workflow.followed import followed
    from foveal.workflow.rundir import RunDirectory

    # Whoever asks for another address than this machine's wants the page seen from there.
    options = ServerOptions(host=host, port=port, insecure=True)
    with followed(run) as path:
        run_server(RunDirectory.open(located(path)), options, on_ready=on_ready)
