"""The options of a server, each limit with its reason."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self, final

from foveal.access import Rate
from foveal.destination import check_is_no_url
from foveal.errors import UsageError, unknown_name
from foveal.settings import About, Knob, settings_of

if sys.platform != "win32":
    import resource

# As many as a kernel on its defaults serves well, and 128 MiB of heads at worst.
_MAX_CONNECTIONS = 8192
# Open files besides connections: models, counters, threads' pipes, files of the page.
_OTHER_FILES = 128
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@final
@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The options of a server.

    Fields that are marked as `Knob` are options of `foveal serve`; all are arguments of
    `foveal.serve`.
    """

    host: Annotated[str, About("Address to listen on; default: 127.0.0.1."), Knob()] = "127.0.0.1"
    port: Annotated[
        int,
        About("Port to listen on; 0 chooses a free one; default: 8000."),
        Knob(least=0, most=65535),
    ] = 8000
    grpc_port: Annotated[
        int | None,
        About("Port for the Open Inference Protocol over gRPC."),
        Knob(least=0, most=65535),
    ] = None
    health_route: Annotated[
        str | None, About("Another path for the readiness check, which needs no key.")
    ] = None
    predict_route: Annotated[
        str | None, About("Another path for Vertex AI's `instances`, answered by the only model.")
    ] = None

    workers: Annotated[
        int,
        About("Worker processes; auto, the default of the command: one per core.", gt=0),
        Knob(metavar="N|auto"),
    ] = 1
    # A worker's network thread waits for nothing, and runs each second at least. The opening of
    # models is not watched.
    worker_timeout_s: Annotated[
        float,
        About("Replace a worker that has not responded for this many seconds.", gt=0),
        Knob(("--worker-timeout",), least=2),
    ] = 30.0
    # Unless given, as many as the process has cores for itself.
    threads: Annotated[
        int | None,
        About("Inference threads per worker; default: its share of the cores.", gt=0),
        Knob(least=1),
    ] = None
    # None takes that of each model, which is ONNX Runtime unless it was opened with another.
    engine: Annotated[
        str | None,
        About(
            "Run the network with onnxruntime (the default), openvino, openvino-bf16, cuda, "
            "tensorrt, or auto: the fastest here."
        ),
        Knob(metavar="NAME"),
    ] = None
    # A crash, a hang or a memory bomb in an image library then takes nothing but that picture.
    isolate_decoding: Annotated[bool, About("Decode pictures in sandboxed processes."), Knob()] = (
        False
    )
    # The slowest that the limits let pass takes 2 s on an idle machine.
    decode_timeout_s: Annotated[
        float,
        About("Seconds that a sandboxed process may take for a picture; default: 10.", gt=0),
        Knob(("--decode-timeout",), least=0.1),
    ] = 10.0

    max_batch: Annotated[
        int, About("Maximum number of pictures in a batch.", gt=0), Knob(least=1)
    ] = 16
    # A 24-megapixel JPEG is 12 MB at most, and base64 in JSON adds a third.
    max_body_bytes: Annotated[
        int,
        About("Largest request body, in MiB.", gt=0),
        Knob(("--max-body-mb",), least=1, unit=1024 * 1024),
    ] = 16 * 1024 * 1024
    # Larger ones are refused from their header, before decoding.
    max_pixels: Annotated[
        int | None,
        About("Refuse pictures with more pixels; default: as in training.", gt=0),
        Knob(least=1),
    ] = None
    body_timeout_s: Annotated[
        float,
        About(
            "Seconds to receive a body, beyond the time that it takes at `min_bytes_per_s`.", gt=0
        ),
    ] = 30.0
    header_timeout_s: Annotated[
        float, About("Seconds to receive the whole head of a request.", gt=0)
    ] = 5.0
    keep_alive_s: Annotated[
        float, About("Seconds that a connection may wait for its next request.", gt=0)
    ] = 15.0
    # The slowest mobile uplink: a photo of 4 MB takes two minutes.
    min_bytes_per_s: Annotated[
        int, About("Clients that stay slower than this are disconnected.", gt=0)
    ] = 32 * 1024
    # The one that has been idle the longest makes room for a new one.
    max_connections: Annotated[
        int | None,
        About(
            "Maximum number of open connections.", gt=0, none="what open files allow, up to 8192"
        ),
    ] = None
    max_client_connections: Annotated[
        int | None,
        About("Maximum number of open connections per address.", gt=0, none="half of all"),
    ] = None
    deadline_s: Annotated[
        float,
        About("Seconds after which a request is answered with 504.", gt=0),
        Knob(("--deadline",)),
    ] = 30.0
    queue_items: Annotated[
        int, About("Pictures that may be in progress at once; beyond, 503.", gt=0)
    ] = 256
    queue_bytes: Annotated[
        int, About("Bytes of request bodies that may be in memory at once; beyond, 503.", gt=0)
    ] = 256 * 1024 * 1024
    max_instances: Annotated[
        int, About("Maximum number of pictures in a request of the TF Serving route.", gt=0)
    ] = 64

    # Besides those of the loopback; `*` allows any. Beyond loopback, none given allows any too.
    allowed_hosts: Annotated[
        tuple[str, ...],
        About("Host name to accept in requests; repeatable."),
        Knob(("--allowed-host",)),
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...],
        About("Other web origin that may send pictures; repeatable."),
        Knob(("--allowed-origin",)),
    ] = ()
    tls_cert: Annotated[
        Path | None,
        About("PEM certificate chain; enables HTTPS.", none="plain HTTP"),
        Knob(metavar="FILE"),
    ] = None
    tls_key: Annotated[
        Path | None, About("PEM private key of the certificate."), Knob(metavar="FILE")
    ] = None
    # Addresses or networks; their X-Forwarded-Proto too.
    trusted_proxies: Annotated[
        tuple[str, ...],
        About("Proxy whose X-Forwarded-For header is trusted; repeatable."),
        Knob(("--trusted-proxy",), metavar="ADDRESS"),
    ] = ()

    # A listing and a small read; what is promoted answers a second later.
    poll_s: Annotated[
        float, About("Seconds between checks of each store for new versions and aliases.", gt=0)
    ] = 1.0
    # What routes requests here asks for readiness every few seconds.
    drain_delay_s: Annotated[
        float,
        About("Seconds to keep accepting requests after SIGTERM; default: 5."),
        Knob(("--drain-delay",), least=0),
    ] = 5.0
    drain_s: Annotated[float, About("Seconds that requests in flight may then take to finish.")] = (
        30.0
    )

    keys: Annotated[
        Path | None,
        About(
            "File of the API keys to require; default: FOVEAL_KEYS, or the file of "
            "`foveal keys create`."
        ),
        Knob(metavar="FILE"),
    ] = None
    insecure: Annotated[bool, About("Answer requests without keys, on any address."), Knob()] = (
        False
    )
    app: Annotated[
        bool,
        About("Offer each model at /app as a phone app that runs the model on the phone."),
        Knob(),
    ] = False
    access_log: Annotated[
        str | None,
        About("Append a JSON line per request to this file; - is stdout."),
        Knob(metavar="FILE"),
    ] = None
    audit_log: Annotated[
        Path | None,
        About(
            "Append a JSON line per administrative change to this file; default: beside the keys."
        ),
        Knob(metavar="FILE"),
    ] = None

    collect: Annotated[
        Path | None,
        About(
            "Keep feedback and its pictures in this folder; the page tells users so.",
            none="nothing",
        ),
        Knob(metavar="DIR"),
    ] = None
    collect_unsure: Annotated[
        bool, About("Also keep the pictures of unsure answers that got no feedback."), Knob()
    ] = False
    collect_new_labels: Annotated[
        bool, About("Accept feedback with classes and characters that the model lacks."), Knob()
    ] = False
    # Someone who looks at a picture every twelve seconds.
    collect_rate: Annotated[
        str, About("Limit on feedback per client; default: 300/h."), Knob(metavar="N/UNIT")
    ] = "300/h"
    # Ten thousand photographs of 100 KB.
    collect_max_bytes: Annotated[
        int,
        About("Maximum size of the folder in MiB; default: 1024.", gt=0),
        Knob(("--collect-max-mb",), least=1, unit=1024 * 1024),
    ] = 1024 * 1024 * 1024
    collect_max_count: Annotated[
        int, About("Maximum number of entries to keep; default: 10000.", gt=0), Knob(least=1)
    ] = 10_000
    # No client fills the folder alone.
    collect_max_per_key: Annotated[
        int,
        About("Maximum number of entries to keep per API key; default: 2000.", gt=0),
        Knob(least=1),
    ] = 2_000

    runtime_dir: Annotated[
        Path | None,
        About("Directory for files that the workers share.", none="one that ends with the server"),
    ] = None

    def __post_init__(self) -> None:
        """Refuse values that no server could run with."""
        for name, setting in settings_of(type(self)).items():
            value, least = getattr(self, name), setting.about.gt
            if value is not None and least is not None and not value > least:
                raise UsageError(f"Invalid {name}. Expected > {least:g}. Received: {value}.")
        if self.engine is not None:
            # Imported late: it brings what runs networks, which `foveal serve --help` does without.
            from foveal.predict.engines import check_engine

            check_engine(self.engine)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError(
                "--tls-cert and --tls-key must be given together.",
                hint="use --tls-cert FILE --tls-key FILE",
            )
        self._check_addresses()
        Rate.parse(self.collect_rate)
        if self.collect is not None:
            check_is_no_url(self.collect)
        if self.collect is None and (self.collect_unsure or self.collect_new_labels):
            raise UsageError("Keeping feedback needs a folder.", hint="use --collect DIR")
        if self.insecure and self.keys is not None:
            raise UsageError("--keys and --insecure cannot be combined.")
        if self.app and self.keys is not None:
            raise UsageError(
                "An app gives the model to anyone who opens it, but this server requires keys.",
                hint="leave out --app, or serve without keys: --insecure",
            )
        if not self.is_loopback:
            self.check_exposed(self.host)

    def _check_addresses(self) -> None:
        for text in self.trusted_proxies:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise UsageError(
                    f"Invalid trusted proxy. Expected an address or a network. Received: {text!r}.",
                    hint="use --trusted-proxy 10.0.0.0/8",
                ) from error
        if not 0 <= self.port <= 65535:
            raise UsageError(f"Invalid port. Expected 0 to 65535. Received: {self.port}.")
        for route in (self.health_route, self.predict_route):
            if route is not None and not (route.startswith("/") and route.isprintable()):
                raise UsageError(
                    f"Invalid route. Expected a path such as /predict. Received: {route!r}."
                )
        if self.grpc_port is not None and not 0 <= self.grpc_port <= 65535:
            raise UsageError(f"Invalid grpc_port. Expected 0 to 65535. Received: {self.grpc_port}.")
        if self.host == "unix:":
            raise UsageError(
                "Invalid host. Expected unix:PATH. Received: 'unix:'.",
                hint="use --host unix:/run/foveal.sock",
            )
        if self.grpc_port is not None and self.is_unix_socket:
            raise UsageError(
                "gRPC needs an address with a port, not a Unix socket.",
                hint="use --host 127.0.0.1, or leave out --grpc-port",
            )
        if self.grpc_port and self.grpc_port == self.port:
            raise UsageError(
                f"HTTP and gRPC cannot share the port {self.port}.",
                hint="choose another --grpc-port",
            )
        if self.grpc_port == 0 and self.workers > 1:
            raise UsageError(
                "Several workers cannot share a port for gRPC that is chosen automatically.",
                hint="use --grpc-port 8001, or --workers 1",
            )

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with the named fields changed.

        Raises:
            UsageError: For a name that is not a field, or a value out of range.
        """
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                raise UsageError(unknown_name("server option", name, known))
        return replace(self, **changes)

    def connection_limit(self) -> int:
        """Return how many connections there may be: never so many that files run out."""
        if sys.platform == "win32":
            return self.max_connections or _MAX_CONNECTIONS
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = _MAX_CONNECTIONS if files == resource.RLIM_INFINITY else files - _OTHER_FILES
        return max(1, min(self.max_connections or _MAX_CONNECTIONS, room))

    @property
    def is_unix_socket(self) -> bool:
        """Whether the address is a file: `unix:/run/foveal.sock`."""
        return self.host.startswith("unix:")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.is_unix_socket or _is_loopback(self.host)

    def check_exposed(self, address: str) -> None:
        """Refuse to listen where others can ask, unless they need a key or it was allowed.

        Args:
            address: Where the server listens, beyond loopback.

        Raises:
            UsageError: If whoever reaches the address could use the models.
        """
        if self.keys is None and not self.insecure:
            reached = address or "this machine"
            raise UsageError(
                f"Anyone who can reach {reached} could use the model, because there are no keys.",
                hint="foveal keys create NAME; or allow anyone: --insecure (insecure=True)",
            )

    def host_names(self) -> frozenset[str] | None:
        """Return the host names that requests may use, in lower case; None for any."""
        return _host_names(self.host, self.allowed_hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK


# Asked for by every request.
@lru_cache(maxsize=16)
def _host_names(host: str, allowed: tuple[str, ...]) -> frozenset[str] | None:
    # Behind a path of the file system is a proxy, which may pass any name on.
    if "*" in allowed or not (allowed or _is_loopback(host)):
        return None
    return _LOOPBACK | {host} | {name.lower() for name in allowed}
