"""Counters of the server in Prometheus' text format. Written on the event loop only."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import final

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@final
class Telemetry:
    """Requests by route and status, their durations, and answers by model."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._requests: dict[tuple[str, int], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._answers: dict[tuple[str, bool], int] = {}

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count one finished request.

        Args:
            route: Name of the route, never the path: paths are unbounded.
            status: HTTP status; 499 when the client hung up.
            seconds: From its head to the end of the answer.
        """
        key = (route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        buckets = self._buckets.setdefault(route, [0] * (len(_BUCKETS_S) + 1))
        buckets[bisect_left(_BUCKETS_S, seconds)] += 1
        self._seconds[route] = self._seconds.get(route, 0.0) + seconds

    def count_answer(self, model: str, unsure: bool) -> None:
        """Count one answered picture."""
        key = (model, unsure)
        self._answers[key] = self._answers.get(key, 0) + 1

    def render(self, plain: Mapping[str, tuple[str, float]]) -> str:
        """Return everything as text.

        Args:
            plain: Further values without labels: name → (counter or gauge, value).
        """
        lines = ["# TYPE foveal_requests_total counter"]
        lines += [
            f'foveal_requests_total{{route="{route}",status="{status}"}} {count}'
            for (route, status), count in sorted(self._requests.items())
        ]
        lines.append("# TYPE foveal_request_duration_seconds histogram")
        for route, buckets in sorted(self._buckets.items()):
            lines += _histogram(route, buckets, self._seconds[route])
        lines.append("# TYPE foveal_predictions_total counter")
        lines += [
            f'foveal_predictions_total{{model="{model}",unsure="{str(unsure).lower()}"}} {count}'
            for (model, unsure), count in sorted(self._answers.items())
        ]
        for name, (kind, value) in plain.items():
            lines += [f"# TYPE {name} {kind}", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _histogram(route: str, buckets: Iterable[int], seconds: float) -> list[str]:
    name, lines, total = "foveal_request_duration_seconds", [], 0
    for limit, count in zip([*map(str, _BUCKETS_S), "+Inf"], buckets, strict=True):
        total += count
        lines.append(f'{name}_bucket{{route="{route}",le="{limit}"}} {total}')
    lines.append(f'{name}_sum{{route="{route}"}} {seconds:.6f}')
    lines.append(f'{name}_count{{route="{route}"}} {total}')
    return lines
