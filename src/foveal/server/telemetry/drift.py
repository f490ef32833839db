"""Drift: the shift of the last hour's answers of each version from those on validation."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

from prometheus_client.core import Metric

from foveal.server.models.served import ModelSet, Served
from foveal.server.telemetry.versions import VersionTelemetry
from foveal.tasks.distribution import CONFIDENCE_BOUNDS, Shift, shift, shift_of_bins

logger = logging.getLogger(__name__)

Aspect: TypeAlias = Literal["kinds", "confidences"]
_Version: TypeAlias = tuple[str, str]

LOOK_S = 60.0
"""How often the answers are looked at."""
WINDOW_S = 3600.0
"""Answers older than this no longer count: a shift must not drown in a month of good days."""


@final
@dataclass(slots=True)
class AnswerCounts:
    """Counts of the answers of versions since the start of the server.

    Attributes:
        kinds: (model, version) → kind of answer → count.
        bins: (model, version) → upper end of a bin of confidence → count of this bin and those
            below.
    """

    kinds: defaultdict[_Version, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    bins: defaultdict[_Version, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @classmethod
    def of(cls, families: Iterable[Metric]) -> AnswerCounts:
        """Read them from the metrics of all workers."""
        answers = cls()
        tables = {"foveal_answers_total": ("kind", answers.kinds)}
        tables["foveal_confidence_bucket"] = ("le", answers.bins)
        for family in families:
            for sample in family.samples:
                if (table := tables.get(sample.name)) is not None:
                    version = (sample.labels["model"], sample.labels["version"])
                    table[1][version][sample.labels[table[0]]] += int(sample.value)
        return answers


@final
class DriftWatch:
    """Records answers over time, and computes the drift of the last hour.

    Args:
        models: What is served; its bundles know what was answered on validation.
        families: Gives the metrics of all workers.
        telemetry: Told of the shifts.
        clock: Clock that returns seconds.
    """

    def __init__(
        self,
        models: ModelSet,
        families: Callable[[], Iterable[Metric]],
        telemetry: VersionTelemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models = models
        self._families = families
        self._telemetry = telemetry
        self._clock = clock
        self._past: deque[tuple[float, AnswerCounts]] = deque()
        self._alarms: set[tuple[str, int, Aspect]] = set()
        self._told: set[tuple[str, int, Aspect]] = set()

    def look(self) -> None:
        """Remember what has been answered by now, and raise or end alarms."""
        answers = AnswerCounts.of(self._families())
        told: set[tuple[str, int, Aspect]] = set()
        for served in self._models.all():
            for aspect, found in self.shifts(served, answers).items():
                told.add((served.name, served.version, aspect))
                self._telemetry.set_drift(
                    served.name, served.version, aspect, found.index, found.is_alarm
                )
                self._say(served, aspect, found)
        for name, version, aspect in self._told - told:
            # It is no longer served: nobody could end its alarm any more.
            self._telemetry.set_drift(name, version, aspect, 0.0, False)
            self._alarms.discard((name, version, aspect))
        self._told = told
        self._past.append((self._clock(), answers))

    def shifts(self, served: Served, answers: AnswerCounts) -> Mapping[Aspect, Shift]:
        """Return how far the last hour's answers of a version are from those on validation.

        Empty for bundles that do not know what was answered then.
        """
        reference = served.predictor.bundle.manifest.answers
        if reference is None:
            return {}
        kinds, bins = self.last_hour(served, answers)
        return {
            "kinds": shift(reference.kinds, kinds),
            "confidences": shift_of_bins(reference.confidences, bins),
        }

    def last_hour(self, served: Served, answers: AnswerCounts) -> tuple[Counter[str], list[int]]:
        """Return the last hour's counts of kinds, and of the bins of confidence."""
        version = (served.name, str(served.version))
        then = self._an_hour_ago()
        kinds = answers.kinds[version] - then.kinds[version]
        below = answers.bins[version] - then.bins[version]
        up_to = [below[str(bound)] for bound in CONFIDENCE_BOUNDS]
        return kinds, [high - low for low, high in zip((0, *up_to), up_to, strict=False)]

    def _an_hour_ago(self) -> AnswerCounts:
        """Return what had been answered when the window began; nothing while it is not full."""
        begin = self._clock() - WINDOW_S
        while len(self._past) > 1 and self._past[1][0] <= begin:
            self._past.popleft()
        if self._past and self._past[0][0] <= begin:
            return self._past[0][1]
        return AnswerCounts()

    def _say(self, served: Served, aspect: Aspect, found: Shift) -> None:
        key = (served.name, served.version, aspect)
        if found.is_alarm and key not in self._alarms:
            self._alarms.add(key)
            what = "answers" if aspect == "kinds" else "confidence of the answers"
            logger.warning(
                "%s:%d: the %s of the last hour differ from validation: population stability "
                "index %.2f, limit %.2f",
                served.name,
                served.version,
                what,
                found.index,
                found.limit,
            )
        elif not found.is_alarm:
            self._alarms.discard(key)
