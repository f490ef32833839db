"""Counters of the server for Prometheus, over all its worker processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.values import MultiProcessValue

from foveal.server.telemetry.inference import InferenceTelemetry
from foveal.server.telemetry.versions import VersionTelemetry

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SUPERVISOR = "supervisor"


def share_values(directory: Path, who: str) -> None:
    """Keep the values of every metric that is made from now on in files of `directory`.

    Args:
        directory: Shared by the processes of one server.
        who: Name of this process: no other uses it at the same time, and one that uses it later
            goes on counting where this one ended, however it ended.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    values.ValueClass = MultiProcessValue(lambda: who)  # type: ignore[no-untyped-call]


@final
class Telemetry:
    """Requests by route and status, their durations, and answers by model.

    Requests are counted on the event loop only.

    Args:
        read: Returns further values without labels when asked: name → (description, value).
            Names that end in `_total` are counters, others gauges.
        shared: Directory in which the workers keep their values; None when this is the only one.

    Attributes:
        versions: Counts by version of a model.
        inference: The same under Triton's names.
    """

    def __init__(
        self, read: Callable[[], Mapping[str, tuple[str, float]]], shared: Path | None = None
    ) -> None:
        self._read = read
        self._registry = registry = CollectorRegistry()
        self._all: Any = registry
        if shared is not None:
            self._all = MultiProcessCollector(None, str(shared))  # type: ignore[no-untyped-call]
        self._publishing = threading.Lock()
        self._requests = Counter(
            "foveal_requests", "Finished requests.", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "foveal_request_duration_seconds",
            "From the head of a request to the end of the answer.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        # Finding the values of two labels takes longer than to count.
        self._kept: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._answers = Counter(
            "foveal_predictions", "Answered pictures.", ("model", "unsure"), registry=registry
        )
        self._feedback = Counter(
            "foveal_feedback",
            "Feedback by what it says of the answer: right, wrong, unsure for a picture that was "
            "kept because the model was; full for what there was no room for.",
            ("model", "said"),
            registry=registry,
        )
        self.versions = VersionTelemetry(registry)
        self._connections = Gauge(
            "foveal_connections",
            "Open connections.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.inference = InferenceTelemetry(registry)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._counted: dict[str, float] = {}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count one finished request.

        Args:
            route: Name of the route, never the path: paths are unbounded.
            status: HTTP status; 499 when the client hung up.
            seconds: From its head to the end of the answer.
        """
        kept = self._kept.get((route, status))
        if kept is None:
            kept = self._requests.labels(route, status), self._seconds.labels(route)
            self._kept[route, status] = kept
        kept[0].inc()
        kept[1].observe(seconds)

    def count_answer(self, model: str, unsure: bool) -> None:
        """Count one answered picture."""
        self._answers.labels(model, str(unsure).lower()).inc()

    def count_feedback(self, model: str, said: str) -> None:
        """Count what was said of one answer: `right`, `wrong`, `unsure` or `full`."""
        self._feedback.labels(model, said).inc()

    def connections(self, count: int) -> None:
        """Say how many connections are open."""
        self._connections.set(count)

    def publish(self) -> None:
        """Let the other workers see the values that are read when asked for."""
        self.inference.publish()
        with self._publishing:
            for name, (description, value) in self._read().items():
                if name.endswith("_total"):
                    if name not in self._counters:
                        self._counters[name] = Counter(name, description, registry=self._registry)
                    self._counters[name].inc(value - self._counted.get(name, 0.0))
                    self._counted[name] = value
                else:
                    if name not in self._gauges:
                        self._gauges[name] = Gauge(
                            name, description, registry=self._registry, multiprocess_mode="livesum"
                        )
                    self._gauges[name].set(value)

    def families(self) -> list[Metric]:
        """Return every metric, of all workers."""
        self.publish()
        return list(self._all.collect())

    def render(self) -> bytes:
        """Return everything, of all workers, in Prometheus' text format."""
        self.publish()
        return generate_latest(self._all)


@final
class WorkerTelemetry:
    """Metrics of the supervisor.

    Args:
        directory: Shared by the processes of the server.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        share_values(directory, _SUPERVISOR)
        registry = CollectorRegistry()
        self._running = Gauge(
            "foveal_workers",
            "Worker processes that answer.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._deaths = Counter(
            "foveal_worker_deaths", "Workers that ended without being asked.", registry=registry
        )

    def running(self, workers: int) -> None:
        """Say how many workers answer."""
        self._running.set(workers)

    def died(self, number: int) -> None:
        """Count a worker that ended, and forget what it said of its present state."""
        self._deaths.inc()
        mark_process_dead(number, self._directory)  # type: ignore[no-untyped-call]
