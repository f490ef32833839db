"""Everything that can be set about a server, each limit with its reason."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, final

from foveal.errors import UsageError, unknown_name
from foveal.predict.engines import check_engine

if sys.platform != "win32":
    import resource

# As many as a kernel on its defaults serves well, and 128 MiB of heads at worst.
_MAX_CONNECTIONS = 8192
# Open files besides connections: models, counters, threads' pipes, files of the page.
_OTHER_FILES = 128
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


_POSITIVE = (
    *("max_body_bytes", "max_pixels", "body_timeout_s", "header_timeout_s", "keep_alive_s"),
    *("min_bytes_per_s", "max_connections", "max_client_connections", "deadline_s"),
    *("queue_items", "queue_bytes", "max_instances", "max_batch", "workers"),
    *("worker_timeout_s", "threads", "poll_s", "decode_timeout_s"),
)


@final
@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server listens and what it refuses.

    Attributes:
        host: Address to listen on; loopback unless said otherwise. `unix:PATH` is a Unix socket.
        port: 0 takes a free one.
        grpc_port: Port for the Open Inference Protocol over gRPC; 0 takes a free one, None none.
        health_route: Another path that says whether traffic may come, also without a key.
        predict_route: Another path that answers Vertex AI's `instances` with the one model.
        max_body_bytes: Largest request body. 16 MiB: a 24-megapixel JPEG is 12 MB at most,
            and base64 in JSON adds a third.
        max_pixels: Pictures over this are refused from their header, before decoding. None leaves
            each model the limit that it was opened with, which is that of its training.
        body_timeout_s: Time to receive a body, besides that which it takes at `min_bytes_per_s`.
        header_timeout_s: Time to receive the head of a request, however it trickles.
        keep_alive_s: How long a connection may wait for its next request.
        min_bytes_per_s: Who sends or reads more slowly for long is cut off. 32 KiB, the slowest
            mobile uplink: a photo of 4 MB takes two minutes.
        max_connections: Connections at once; None takes what open files allow, up to 8192. The one
            that has been idle the longest makes room for a new one.
        max_client_connections: Connections of one address at once; None allows half of all.
        tls_cert: PEM file of the certificate chain; None for plain HTTP.
        tls_key: PEM file of its key.
        trusted_proxies: Addresses or networks of proxies whose `X-Forwarded-For` and
            `X-Forwarded-Proto` are believed.
        deadline_s: Time from the body to the answer; then 504 and the item is dropped.
        queue_items: Pictures that may be in work at once; then 503.
        queue_bytes: Bytes of bodies that may be in memory at once; then 503.
        max_instances: Pictures in one request of the TF Serving route.
        max_batch: Most pictures of one run of the network.
        workers: Processes that answer on the port, each with the models in its memory.
        worker_timeout_s: One of several workers whose network thread has not run for so long is
            killed and replaced. 30 s: it waits for nothing, and runs each second at least. The
            opening of models is not watched.
        threads: Threads of each process that decode pictures and run networks; None takes as many
            as the process has cores for itself.
        engine: What runs the networks, see `foveal.predict.engines`; None takes that of each model,
            which is ONNX Runtime unless it was opened with another.
        isolate_decoding: Decode in processes that can be lost, so that a crash, a hang or a memory
            bomb in an image library takes nothing with it but that picture.
        decode_timeout_s: Longest time that a picture may take there. 10 s: the slowest that the
            limits let pass takes 2 s on an idle machine.
        allowed_hosts: Names that a `Host` header may have besides the loopback's; `*` allows
            any. When listening beyond loopback and empty, any name is allowed.
        allowed_origins: Web origins besides the server's own that may post.
        poll_s: How often each store is asked for new versions and aliases: a listing and a small
            read. What is promoted answers a second later.
        drain_delay_s: After SIGTERM, how long to go on accepting while `/readyz` says no. 5 s: what
            routes requests here asks for readiness every few seconds.
        drain_s: How long requests in flight may take to finish after that.
        keys: File of API keys, one of which each request has to have; None asks for none.
        insecure: Answer anyone who reaches the server, on a public address too.
        access_log: File with a line for each request; `-` is standard output; None writes none.
        audit_log: File with a line for each act of administration; None is one beside the keys.
        app: Offer each model as an app at `/app`, which holds the model: whoever opens it takes it
            along.
        runtime_dir: Directory for what several workers share, such as their counters; None makes
            one that ends with the server.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = None
    health_route: str | None = None
    predict_route: str | None = None
    max_body_bytes: int = 16 * 1024 * 1024
    max_pixels: int | None = None
    body_timeout_s: float = 30.0
    header_timeout_s: float = 5.0
    keep_alive_s: float = 15.0
    min_bytes_per_s: int = 32 * 1024
    max_connections: int | None = None
    max_client_connections: int | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    deadline_s: float = 30.0
    queue_items: int = 256
    queue_bytes: int = 256 * 1024 * 1024
    max_instances: int = 64
    max_batch: int = 16
    workers: int = 1
    worker_timeout_s: float = 30.0
    threads: int | None = None
    engine: str | None = None
    isolate_decoding: bool = False
    decode_timeout_s: float = 10.0
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    poll_s: float = 1.0
    drain_delay_s: float = 5.0
    drain_s: float = 30.0
    keys: Path | None = None
    insecure: bool = False
    access_log: str | None = None
    audit_log: Path | None = None
    app: bool = False
    runtime_dir: Path | None = None

    def __post_init__(self) -> None:
        """Refuse values that no server could run with."""
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"Invalid {name}. Expected > 0. Received: {value}.")
        if self.engine is not None:
            check_engine(self.engine)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("A certificate needs its key.", hint="--tls-cert FILE --tls-key FILE")
        self._check_addresses()
        if self.insecure and self.keys is not None:
            raise UsageError("Keys are not asked for with --insecure. Choose one of the two.")
        if self.app and self.keys is not None:
            raise UsageError(
                "An app hands the model to whoever opens it, and this server asks for keys.",
                hint="leave out --app, or serve the app without keys: --insecure",
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
                    hint="--trusted-proxy 10.0.0.0/8",
                ) from error
        if not 0 <= self.port <= 65535:
            raise UsageError(f"Invalid port. Expected 0 to 65535. Received: {self.port}.")
        for route in (self.health_route, self.predict_route):
            if route is not None and not (route.startswith("/") and route.isprintable()):
                raise UsageError(
                    f"Invalid route. Expected a path as /predict. Received: {route!r}."
                )
        if self.grpc_port is not None and not 0 <= self.grpc_port <= 65535:
            raise UsageError(f"Invalid grpc_port. Expected 0 to 65535. Received: {self.grpc_port}.")
        if self.grpc_port == 0 and self.workers > 1:
            raise UsageError(
                "Several workers cannot choose a free port for gRPC together.",
                hint="--grpc-port 8001, or --workers 1",
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
            address: That is listened on, beyond loopback.

        Raises:
            UsageError: When whoever reaches the address could use the models.
        """
        if self.keys is None and not self.insecure:
            reached = address or "this machine"
            raise UsageError(
                f"Whoever reaches {reached} could use the model: there are no keys.",
                hint="foveal keys create NAME; or --insecure (insecure=True) lets anyone ask",
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
