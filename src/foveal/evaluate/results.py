"""The results of an evaluation, as attributes and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveal.bundle.manifest import Manifest
from foveal.evaluate.baseline import BaselineComparison
from foveal.evaluate.examples import Example
from foveal.evaluate.latency import Latency
from foveal.evaluate.measure import Failure, MeasuredSamples
from foveal.evaluate.recognise import trained_on_sentence
from foveal.metrics import Interval
from foveal.tasks.base import Task
from foveal.types import Finding, JsonObject

SCHEMA_VERSION = 1
_LISTED = 100


@dataclass(frozen=True)
class Results:
    """The results of an evaluation.

    Attributes:
        task: The bound task.
        manifest: Manifest of the bundle.
        version: Version of the bundle.
        location: Location of the data.
        split: Evaluated part of the data, `train`, `val` or `test`; `folds` where each picture was
            answered by a network that was trained on the other folds; None for all.
        measured: The answers, their rows of counts, and the samples that failed.
        correct: (N,) whether each answer was right.
        confidence: (N,) confidence of each answer, in [0, 1].
        unsure: (N,) whether each answer is unsure.
        trained_on: (N,) whether each picture or a near-duplicate was trained on; None if the bundle
            does not record it.
        metrics: Name → value with its 95 % interval.
        degree: (N,) primary metric of each answer, in [0, 1]; None if answers are simply right or
            wrong.
        certainty: Calibration and the `unsure` limit; see `foveal.evaluate.certainty`.
        baseline: Comparison with the best constant answer.
        groups: Primary metric of each group of the source, lowest first.
        details: Details of the task, from `Task.analyse`.
        findings: Findings about the data and the model.
        latency: Latency for single pictures; None if it was not measured.
        size_bytes: Size of the network file, in bytes.
        worst: The most confident mistakes.
        best: The most confident right answers.
    """

    task: Task
    manifest: Manifest
    version: str
    location: str
    split: str | None
    measured: MeasuredSamples
    correct: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    unsure: NDArray[np.bool_]
    trained_on: NDArray[np.bool_] | None
    metrics: dict[str, Interval]
    degree: NDArray[np.float64] | None
    certainty: JsonObject
    baseline: BaselineComparison
    groups: tuple[JsonObject, ...]
    details: JsonObject
    findings: tuple[Finding, ...]
    latency: Latency | None
    size_bytes: int
    worst: tuple[Example, ...]
    best: tuple[Example, ...]

    @property
    def samples(self) -> int:
        """Number of evaluated samples."""
        return len(self.measured.samples)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The samples that could not be evaluated."""
        return self.measured.failures

    @property
    def unfamiliar(self) -> int | None:
        """Number of unfamiliar pictures; None if the bundle does not measure familiarity."""
        known = [p for p in self.measured.predictions if p.unfamiliarity is not None]
        return sum("unfamiliar" in p.reasons for p in known) if known else None

    @property
    def warning(self) -> str | None:
        """A warning about pictures that were trained on, if there are any."""
        if self.trained_on is None or not self.trained_on.any():
            return None
        return trained_on_sentence(int(self.trained_on.sum()), self.samples)

    def to_json(self) -> JsonObject:
        """Return the contents of `metrics.json`, which `evaluate --json` prints."""
        return {
            "schema_version": SCHEMA_VERSION,
            "task": self.task.name,
            "samples": self.samples,
            "trained_on": None if self.trained_on is None else int(self.trained_on.sum()),
            "unfamiliar": self.unfamiliar,
            "metrics": {name: value.to_json() for name, value in self.metrics.items()},
            "primary_metric": self.task.primary_metric,
            "model": self.manifest.name,
            "version": self.version,
            "data": self.location,
            "split": self.split,
            "correct": int(self.correct.sum()),
            "failures": {
                "count": len(self.failures),
                "codes": dict(Counter(failure.code for failure in self.failures)),
                "listed": [
                    {"sample": f.sample, "code": f.code, "message": f.message}
                    for f in self.failures[:_LISTED]
                ],
            },
            "findings": [finding.to_json() for finding in self.findings],
            "latency": self.latency.to_json() if self.latency else None,
            "model_bytes": self.size_bytes,
            "certainty": self.certainty,
            "baseline": self.baseline.to_json(),
            "groups": list(self.groups),
            "details": self.details,
        }
