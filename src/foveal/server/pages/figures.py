"""The metrics of a server as JSON, for the page of live metrics."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import final

from prometheus_client.core import Metric
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from foveal.server.models.served import Served, Versions
from foveal.server.pages import templating
from foveal.server.request.responses import json_response
from foveal.server.state import ServerState
from foveal.server.telemetry.drift import AnswerCounts
from foveal.types import JsonObject

_SECONDS = "foveal_request_duration_seconds"


async def page(_: Request) -> Response:
    """Give the live page."""
    return templating.page("live.html", here="/live")


def figures(request: Request) -> Response:
    """Give the figures: `GET /metrics.json`. Counts are since the server began."""
    state: ServerState = request.app.state.foveal
    families = list(state.telemetry.families())
    samples = _Samples(families)
    # Those that take work; the others are probes and pages.
    working = {
        route.name
        for route in request.app.routes
        if isinstance(route, Route) and "POST" in (route.methods or ())
    } - {"promote", "rollback", "reload"}
    answers = AnswerCounts.of(families)
    return json_response(
        {
            "schema_version": 1,
            "at": time.time(),
            "ready": state.ready,
            "workers": state.options.workers,
            "queue": {
                "pictures": samples.sum("foveal_queue_pictures"),
                "bytes": samples.sum("foveal_queue_bytes"),
                "limit": state.options.queue_items * state.options.workers,
            },
            "resident_bytes": samples.sum("foveal_resident_bytes"),
            "pictures": samples.sum("foveal_predictions_total"),
            "unsure": samples.sum("foveal_predictions_total", unsure="true"),
            "statuses": samples.by("foveal_requests_total", "status", route=working),
            "seconds": {
                "buckets": samples.by(f"{_SECONDS}_bucket", "le", route=working),
                "sum": samples.sum(f"{_SECONDS}_sum", route=working),
            },
            "models": [
                {
                    "name": name,
                    "current": versions.current,
                    "versions": [
                        _version(state, versions, served, answers, samples)
                        for served in versions.loaded.values()
                    ],
                }
                for name, versions in state.models.items()
            ],
        }
    )


def _version(
    state: ServerState, versions: Versions, served: Served, answers: AnswerCounts, samples: _Samples
) -> JsonObject:
    kinds, bins = state.drift.last_hour(served, answers)
    reference = served.predictor.bundle.manifest.answers
    labels = {"model": {served.name}, "version": {str(served.version)}}
    return {
        "version": served.version,
        "roles": versions.roles(served.version),
        "answers": sum(answers.kinds[served.name, str(served.version)].values()),
        "last_hour": {"kinds": dict(kinds.most_common(12)), "confidences": bins},
        "validation": None if reference is None else reference.to_json(),
        "drift": {
            aspect: {
                "index": found.index,
                "limit": found.limit,
                "samples": found.samples,
                "alarm": found.is_alarm,
            }
            for aspect, found in state.drift.shifts(served, answers).items()
        },
        "agreement": {
            "pictures": samples.sum("foveal_agreement_count", **labels),
            "mean_sum": samples.sum("foveal_agreement_sum", **labels),
            "alike": samples.sum("foveal_agreement_count", **labels)
            - samples.sum("foveal_agreement_bucket", le="0.999", **labels),
            "busy": samples.sum("foveal_uncompared_pictures_total", why="busy", **labels),
            "failed": samples.sum("foveal_uncompared_pictures_total", why="failed", **labels),
        },
    }


@final
class _Samples:
    """Values of metrics by name, summed over what their labels allow.

    Args:
        families: The metrics.
    """

    def __init__(self, families: Iterable[Metric]) -> None:
        self._rows: defaultdict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
        for family in families:
            for sample in family.samples:
                self._rows[sample.name].append((sample.labels, sample.value))

    def sum(self, name: str, **allowed: str | set[str]) -> float:
        """Return the sum of the values whose labels are these, or among these."""
        return sum(value for labels, value in self._rows[name] if _fits(labels, allowed))

    def by(self, name: str, label: str, **allowed: str | set[str]) -> dict[str, float]:
        """Return the same sum for each value of a label."""
        sums: defaultdict[str, float] = defaultdict(float)
        for labels, value in self._rows[name]:
            if _fits(labels, allowed):
                sums[labels[label]] += value
        return dict(sums)


def _fits(labels: Mapping[str, str], allowed: Mapping[str, str | set[str]]) -> bool:
    return all(
        labels[name] == wanted if isinstance(wanted, str) else labels[name] in wanted
        for name, wanted in allowed.items()
    )
