"""Metrics of each version of a model: answers, and agreement between versions."""

from __future__ import annotations

import logging
from typing import final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from foveal.tasks.distribution import CONFIDENCE_BOUNDS

logger = logging.getLogger(__name__)

# Labels and texts agree with 0 or 1; the rest is for masks.
_DEGREES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
_OF_VERSION = ("model", "version")


@final
class VersionTelemetry:
    """Counts by model and version. Any thread may count.

    Args:
        registry: Holds the metrics.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._kinds = Counter(
            "foveal_answers",
            "Answered pictures by kind of answer: label, or length of a text.",
            (*_OF_VERSION, "kind"),
            registry=registry,
        )
        self._confidences = Histogram(
            "foveal_confidence",
            "Confidence of the answers.",
            _OF_VERSION,
            buckets=CONFIDENCE_BOUNDS,
            registry=registry,
        )
        self._agreements = Histogram(
            "foveal_agreement",
            "How far a canary or shadow agrees with the current version on one picture, 0 to 1.",
            (*_OF_VERSION, "role"),
            buckets=_DEGREES,
            registry=registry,
        )
        self._uncompared = Counter(
            "foveal_uncompared_pictures",
            "Pictures that a canary or shadow was not compared on, and why.",
            (*_OF_VERSION, "role", "why"),
            registry=registry,
        )
        self._loads = Counter(
            "foveal_version_loads",
            "Attempts to load a version of a model.",
            ("model", "outcome"),
            registry=registry,
        )
        self._drift = Gauge(
            "foveal_drift_index",
            "Population stability index of the last hour's answers against validation's.",
            (*_OF_VERSION, "of"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._alarms = Gauge(
            "foveal_drift_alarm",
            "1 when that index is large and no chance.",
            (*_OF_VERSION, "of"),
            registry=registry,
            multiprocess_mode="livemax",
        )

    def count_kind(self, model: str, version: int, kind: str, confidence: float) -> None:
        """Count what kind of answer was given."""
        self._kinds.labels(model, version, kind).inc()
        self._confidences.labels(model, version).observe(confidence)

    def count_agreement(self, model: str, version: int, role: str, degree: float) -> None:
        """Count a picture that two versions answered, with their agreement in [0, 1]."""
        self._agreements.labels(model, version, role).observe(degree)

    def count_uncompared(self, model: str, version: int, role: str, why: str) -> None:
        """Count a picture that only one version answered."""
        self._uncompared.labels(model, version, role, why).inc()

    def count_load(self, model: str, version: int, seconds: float, error: Exception | None) -> None:
        """Count an attempt to load a version."""
        self._loads.labels(model, "loaded" if error is None else "failed").inc()
        if error is None:
            logger.info("%s:%d: loaded in %.2f s", model, version, seconds)

    def set_drift(self, model: str, version: int, of: str, index: float, is_alarm: bool) -> None:
        """Say how far the answers of a version are from those of its validation."""
        self._drift.labels(model, version, of).set(index)
        self._alarms.labels(model, version, of).set(is_alarm)
