"""Counters of the server for Prometheus. Written on the event loop only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@final
class Telemetry(Collector):
    """Requests by route and status, their durations, and answers by model.

    Args:
        read: Returns further values without labels when asked: name → (description, value).
            Names that end in `_total` are counters, others gauges.
    """

    def __init__(self, read: Callable[[], Mapping[str, tuple[str, float]]]) -> None:
        self._read = read
        self._registry = registry = CollectorRegistry()
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
        self._answers = Counter(
            "foveal_predictions", "Answered pictures.", ("model", "unsure"), registry=registry
        )
        registry.register(self)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count one finished request.

        Args:
            route: Name of the route, never the path: paths are unbounded.
            status: HTTP status; 499 when the client hung up.
            seconds: From its head to the end of the answer.
        """
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def count_answer(self, model: str, unsure: bool) -> None:
        """Count one answered picture."""
        self._answers.labels(model, str(unsure).lower()).inc()

    def collect(self) -> Iterator[Metric]:
        """Yield the values that are read when asked for."""
        for name, (description, value) in self._read().items():
            family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield family(name, description, value=value)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
