"""Inference metrics under Triton's names, for existing dashboards.

Names and meanings: triton-inference-server, docs/user_guide/metrics.md (BSD-3-Clause). They count
up but are gauges to the client library, which would call a counter `nv_inference_count_total`. Of
the compute times, that of the output is left out: it is not measured apart here.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias, final

from prometheus_client import CollectorRegistry, Gauge

from foveal.server.models.served import Served
from foveal.server.request.limits import RequestError
from foveal.server.scheduling.jobs import Job

Reason: TypeAlias = Literal["REJECTED", "CANCELED", "BACKEND", "OTHER"]

_BUSY = frozenset({429, 503, 504})
_COUNTS = {
    "nv_inference_request_success": "Requests of which every picture was answered.",
    "nv_inference_count": "Answered pictures.",
    "nv_inference_exec_count": "Runs of the network; pictures by runs is the mean batch.",
    "nv_inference_request_duration_us": "Microseconds of answered requests, from body to answer.",
    "nv_inference_queue_duration_us": "Microseconds that answered pictures waited for a thread.",
    "nv_inference_compute_input_duration_us": "Microseconds to decode and pre-process.",
    "nv_inference_compute_infer_duration_us": "Microseconds in the network, a share of each run.",
}


@final
class Outcome:
    """The outcome of a request; set `failed` if it did not raise."""

    def __init__(self) -> None:
        self.reason: Reason | None = None

    def failed(self, reason: Reason) -> None:
        """Say that the request has an answer that is an error."""
        self.reason = reason


@final
class InferenceTelemetry:
    """Metrics of the batcher and of requests for each version of a model.

    Written on the event loop only; the `Observer` of a batcher.

    Args:
        registry: Where the metrics are made.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("model", "version")
        self._gauges = {
            name: Gauge(name, about, labels, registry=registry, multiprocess_mode="sum")
            for name, about in _COUNTS.items()
        }
        self._failures = Gauge(
            "nv_inference_request_failure",
            "Requests that were refused, given up by the client, or had a picture without answer.",
            (*labels, "reason"),
            registry=registry,
            multiprocess_mode="sum",
        )
        # Counted here and handed on when somebody asks: the client library takes ten times as long.
        self._counts: dict[tuple[str, str], dict[str, float]] = {}
        self._failed: Counter[tuple[str, str, Reason]] = Counter()

    def publish(self) -> None:
        """Hand on what was counted since the last time."""
        for labels, counts in self._counts.items():
            for name, gauge in self._gauges.items():
                gauge.labels(*labels).inc(counts[name])
                counts[name] = 0
        for failure, count in self._failed.items():
            self._failures.labels(*failure).inc(count)
        self._failed.clear()

    @contextmanager
    def request(self, served: Served) -> Iterator[Outcome]:
        """Count what comes of a request.

        Args:
            served: The model that is asked.
        """
        begun = time.perf_counter()
        outcome = Outcome()
        try:
            yield outcome
        except asyncio.CancelledError:
            outcome.failed("CANCELED")
            raise
        except RequestError as error:
            outcome.failed("REJECTED" if error.status in _BUSY else "OTHER")
            raise
        except Exception:
            outcome.failed("BACKEND")
            raise
        finally:
            if outcome.reason is None:
                own = self._of(served)
                own["nv_inference_request_success"] += 1
                own["nv_inference_request_duration_us"] += _us(time.perf_counter() - begun)
            else:
                self._failed[served.name, str(served.version), outcome.reason] += 1

    def ran(self, served: Served, pictures: int, seconds: float) -> None:
        """Count a run of the network."""
        self._of(served)["nv_inference_exec_count"] += 1

    def finished(self, job: Job, error: Exception | None) -> None:
        """Count a picture."""
        if error is not None:
            return
        own = self._of(job.served)
        own["nv_inference_count"] += 1
        own["nv_inference_queue_duration_us"] += _us(job.taken - job.started)
        own["nv_inference_compute_input_duration_us"] += _us(job.decode_s)
        own["nv_inference_compute_infer_duration_us"] += _us(job.network_s)

    def _of(self, served: Served) -> dict[str, float]:
        key = (served.name, str(served.version))
        if key not in self._counts:
            self._counts[key] = dict.fromkeys(_COUNTS, 0)
        return self._counts[key]


def _us(seconds: float) -> int:
    return max(0, round(1e6 * seconds))
