"""Serve models on Ray Serve: each replica is foveal's own application.

Ray's proxies take the connections and choose a replica; everything from there on is what `foveal
serve` does: keys, quotas, limits, batches, following the store, metrics. What a proxy does in its
place is said in docs/scale/cluster.md.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, final

from prometheus_client.multiprocess import mark_process_dead
from starlette.applications import Starlette

from foveal.cluster.connect import connected
from foveal.cluster.failures import said
from foveal.errors import FovealError, UsageError
from foveal.extras import import_extra
from foveal.jobs.target import Target
from foveal.machine import share_cores
from foveal.predict import Predictor
from foveal.server.app import create_app
from foveal.server.http.listen import free_port, reachable_host
from foveal.server.http.tls import warn_of_dates
from foveal.server.models.offer import Wanted, make_offer
from foveal.server.options import ServerOptions
from foveal.server.telemetry.counters import share_values
from foveal.workflow.locate import in_store

logger = logging.getLogger(__name__)

APP = "foveal"
"""The name of the application in Ray Serve, of which a cluster has one."""

_HANGUP = getattr(signal, "SIGHUP", None)
_POLL_S = 0.5
_LISTENING_S = 15.0
# Requests in flight that a replica shall have on average: with fewer, batches stay small; with
# more, requests wait for batches before theirs.
_IN_FLIGHT = 8
# How long there must be more than that before a replica is added, which takes about ten seconds to
# start, and how long fewer before one is removed. Ray's own 30 s let a queue grow long meanwhile.
_ADD_AFTER_S, _REMOVE_AFTER_S = 10.0, 300.0
# Over which requests in flight are averaged: more than the 10 s between two counts of a replica.
_AVERAGED_S = 11.0
# Requests beyond the pictures that a replica takes at once: it refuses them itself, and says when
# to come again; pages and probes are among them too.
_BEYOND = 64


@final
@dataclass(frozen=True, slots=True)
class Replicas:
    """The number of replicas.

    Attributes:
        least: Fewest replicas at any time; at least 1.
        most: Under load; at least `least`.
    """

    least: int = 1
    most: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2`, or `1:4` for as many as the requests in flight need.

        Raises:
            UsageError: For anything else.
        """
        least, colon, most = text.partition(":")
        numbers = [int(part) for part in (least, most if colon else least) if part.isdecimal()]
        if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1]:
            raise UsageError(
                f"Invalid number of replicas. Expected N or MIN:MAX. Received: {text!r}.",
                hint="use --replicas 1:4",
            )
        return cls(*numbers)


def serve_on(
    target: Target,
    wanted: Wanted,
    open_path: Callable[[str | Path], Predictor],
    options: ServerOptions,
    replicas: Replicas,
    *,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve on a Ray cluster until SIGTERM or Ctrl-C, then finish what is in flight.

    SIGHUP replaces the replicas one after another: new ones read everything again.

    Args:
        target: `ray:local` or `ray:auto`.
        wanted: What to serve. Paths, and stores in folders, are those of every machine.
        open_path: Opens what is at a path; called in the replicas.
        options: Address and limits; limits hold for each replica.
        replicas: How many there are.
        on_ready: Called with the URL once the first replicas answer.

    Raises:
        MissingExtraError: If Ray is not installed.
        UsageError: For an option that Ray Serve has no part for, or where no cluster answers.
        FovealError: If the replicas do not start, or the cluster fails.
    """
    _check(options)
    if options.tls_cert is not None:
        warn_of_dates(options.tls_cert)
    share = Path(tempfile.gettempdir()) / f"foveal-serve-{os.getpid()}"
    work = _Work(everywhere(wanted), open_path, replace(options, runtime_dir=share))
    with connected(target) as ray, _hearing() as asked:
        serve: Any = import_extra("ray.serve", "ray", "Serving on a cluster needs Ray Serve")
        # Ray Serve tells of each of its steps.
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        port = options.port or free_port(options.host)
        local = target.address == "local"
        serve.start(
            proxy_location="HeadOnly" if local else "EveryNode",
            http_options=_http_options(options, port),
            logging_config={"log_level": "ERROR", "enable_access_log": False},
        )
        deployment = _deployment(serve, work, replicas)
        try:
            _deploy(ray, serve, deployment)
            _check_listening(reachable_host(options.host), port)
            if on_ready is not None:
                scheme = "http" if options.tls_cert is None else "https"
                on_ready(f"{scheme}://{reachable_host(options.host)}:{port}")
            while True:
                number = asked.wait()
                if number != _HANGUP:
                    break
                _deploy(ray, serve, deployment)
            if number == signal.SIGTERM:
                asked.wait(options.drain_delay_s)
        finally:
            serve.delete(APP)
            # The address of the proxies is that of the command that starts Ray Serve first. A
            # cluster of our own ends with us, and Ray complains about parts that ended before.
            if not local and not serve.status().applications:
                serve.shutdown()


def everywhere(wanted: Wanted) -> Wanted:
    """Return the same models by names that mean the same in another process."""
    if not wanted.models:
        return replace(wanted, store=_absolute(wanted.store))
    return replace(
        wanted, models=[_named(model, wanted.store) for model in wanted.models], store=None
    )


@final
@dataclass(frozen=True, slots=True)
class _Work:
    """The configuration of a replica."""

    wanted: Wanted
    open_path: Callable[[str | Path], Predictor]
    options: ServerOptions


def _make_app(work: _Work) -> Starlette:
    """Return the application of a replica; runs there."""
    # Each replica reserves as many cores as it has threads, and Ray binds nobody to them.
    share_cores(max(1, (os.cpu_count() or 1) // _cores(work.options)))
    shared = work.options.runtime_dir
    if shared is not None:
        # Replicas of a machine count together, as the workers of a server do.
        shared.mkdir(mode=0o700, exist_ok=True)
        _forget_the_dead(shared)
        share_values(shared, str(os.getpid()))
    return create_app(make_offer(work.wanted, work.open_path, in_store), work.options)


def _forget_the_dead(shared: Path) -> None:
    for file in shared.glob("gauge_live*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdecimal() and not _is_alive(int(pid)):
            mark_process_dead(int(pid), str(shared))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _cores(options: ServerOptions) -> int:
    return options.threads or 1


def _deployment(serve: Any, work: _Work, replicas: Replicas) -> Any:
    options = work.options

    def build() -> Starlette:
        return _make_app(work)

    scale: dict[str, Any] = {"num_replicas": replicas.least}
    if replicas.most > replicas.least:
        scale = {
            "autoscaling_config": {
                "min_replicas": replicas.least,
                "max_replicas": replicas.most,
                "target_ongoing_requests": _IN_FLIGHT,
                "upscale_delay_s": _ADD_AFTER_S,
                "downscale_delay_s": _REMOVE_AFTER_S,
                "look_back_period_s": _AVERAGED_S,
            }
        }
    made = serve.deployment(
        serve.ingress(build)(),
        name="server",
        max_ongoing_requests=options.queue_items + _BEYOND,
        max_queued_requests=options.queue_items,
        graceful_shutdown_timeout_s=options.drain_s,
        graceful_shutdown_wait_loop_s=0.1,
        ray_actor_options={"num_cpus": _cores(options)},
        **scale,
    )
    return made.bind()


def _deploy(ray: Any, serve: Any, deployment: Any) -> None:
    """Have the replicas be those of a deployment; older ones are replaced one after another.

    Raises:
        FovealError: If they do not start.
    """
    try:
        serve.run(deployment, name=APP, route_prefix="/", blocking=False)
    except (RuntimeError, TimeoutError, ray.exceptions.RayError) as error:
        raise FovealError(f"The replicas did not start: {said(error)}") from error


def _check_listening(host: str, port: int) -> None:
    """Find that Ray Serve was started before, at another address, which it keeps.

    Raises:
        UsageError: If nothing listens at this one.
    """
    end = time.monotonic() + _LISTENING_S
    while True:
        try:
            socket.create_connection((host.strip("[]"), port), timeout=_LISTENING_S).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise UsageError(
                    "Ray Serve already runs on this cluster, at another address than "
                    f"{host}:{port}.",
                    hint="use its --host and --port, or stop it: serve shutdown",
                ) from error
            time.sleep(_POLL_S)


def _check(options: ServerOptions) -> None:
    """Refuse what a replica behind Ray's proxy cannot do."""
    if options.is_unix_socket:
        raise UsageError("Ray Serve cannot listen on a Unix socket.", hint="use --host 127.0.0.1")
    if options.grpc_port is not None:
        raise UsageError(
            "Ray Serve answers over HTTP only, not over gRPC.", hint="leave out --grpc-port"
        )
    if options.workers > 1:
        raise UsageError(
            "--workers cannot be used on Ray, where processes are replicas.",
            hint="use --replicas N instead of --workers",
        )


def _http_options(options: ServerOptions, port: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "host": options.host,
        "port": port,
        "keep_alive_timeout_s": max(1, round(options.keep_alive_s)),
        # The body's time besides that of the answer, which the replica limits itself.
        "request_timeout_s": options.body_timeout_s + options.deadline_s,
    }
    if options.tls_cert is not None:
        found |= {"ssl_certfile": str(options.tls_cert), "ssl_keyfile": str(options.tls_key)}
    return found


@final
class _Asked:
    """The signals that came."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._came = threading.Event()

    def hear(self, number: int, _: object) -> None:
        """Note a signal."""
        self._numbers.append(number)
        self._came.set()

    def wait(self, seconds: float = math.inf) -> int | None:
        """Return the next signal; None when there is none for so long."""
        end = time.monotonic() + seconds
        while not self._numbers:
            left = end - time.monotonic()
            if left <= 0:
                return None
            # In pieces: Python's handlers run between them.
            self._came.wait(min(left, _POLL_S))
        self._came.clear()
        return self._numbers.pop(0)


@contextmanager
def _hearing() -> Iterator[_Asked]:
    asked = _Asked()
    numbers = [n for n in (signal.SIGTERM, signal.SIGINT, _HANGUP) if n is not None]
    before = {number: signal.signal(number, asked.hear) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _named(model: str | Path, store: str | None) -> str:
    text = str(model)
    if "," in text:
        return ",".join(_named(part, store) for part in text.split(","))
    found = in_store(model, store)
    if found is None:
        path = Path(text)
        return str(path.absolute()) if path.exists() else text
    place = _absolute(found[0].location)
    return f"{place}/{text.rstrip('/').rpartition('/')[2]}"


def _absolute(store: str | None) -> str | None:
    if store is None or "://" in store:
        return store
    return str(Path(store).expanduser().absolute())
