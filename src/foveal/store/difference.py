"""The difference between two versions in a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from foveal.data.findings import plural
from foveal.metrics import Interval, paired_difference
from foveal.store.answers import AnswerTable
from foveal.types import JsonObject

# Far more than anyone reads; the counts are of all.
_LISTED = 20


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """A version minus another one, in the primary metric.

    Attributes:
        metric: Name of the metric.
        value: The difference with its 95 % interval; NaN where it is not known.
        pictures: Number of pictures that both answered; 0 when the difference is not paired.
        gained: Number of pictures that were answered better than before.
        lost: Number of pictures that were answered worse.
        gained_pictures: Names of the first of those that were gained.
        lost_pictures: Names of the first of those that were lost.
        left_out: Pictures that both answered and that one of them was trained on.
    """

    metric: str
    value: Interval
    pictures: int = 0
    gained: int = 0
    lost: int = 0
    gained_pictures: tuple[str, ...] = ()
    lost_pictures: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def is_paired(self) -> bool:
        """Whether it was measured picture by picture."""
        return self.pictures > 0

    @property
    def words(self) -> str:
        """Return the difference as people read it, such as `-1.50 points (-3.10 to +0.20)`."""
        if math.isnan(self.value):
            return "unknown"
        points = f"{_points(self.value)} points"
        if math.isnan(self.value.low):
            return points
        return f"{points} ({_points(self.value.low)} to {_points(self.value.high)})"

    @property
    def sentence(self) -> str:
        """Return the difference, and what it rests on."""
        name = self.metric.replace("_", " ")
        if not self.is_paired:
            return (
                f"{name} {self.words}, unpaired, because no pictures that both answered are known"
            )
        counts = f"{self.gained} better, {self.lost} worse"
        left = (
            f", {self.left_out} left out because one was trained on them" if self.left_out else ""
        )
        common = plural(self.pictures, "common picture")
        return f"{name} {self.words} on {common}: {counts}{left}"

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "metric": self.metric,
            "difference": self.value.to_json(),
            "paired": self.is_paired,
            "pictures": self.pictures,
            "gained": self.gained,
            "lost": self.lost,
            "gained_pictures": list(self.gained_pictures),
            "lost_pictures": list(self.lost_pictures),
            "left_out": self.left_out,
        }

    @classmethod
    def from_json(cls, values: JsonObject) -> Difference:
        """Return what `to_json` gave."""
        return cls(
            values["metric"],
            Interval.from_json(values["difference"]),
            values["pictures"],
            values["gained"],
            values["lost"],
            tuple(values["gained_pictures"]),
            tuple(values["lost_pictures"]),
            values["left_out"],
        )


def paired(metric: str, before: AnswerTable, after: AnswerTable) -> Difference:
    """Compare two versions on the pictures that both answered and neither was trained on.

    A picture is the same when its name and its label are.

    Args:
        metric: Name of the primary metric.
        before: Answers of the one.
        after: Answers of the other.
    """
    common = [
        image
        for image, answer in after.pictures.items()
        if image in before.pictures and before.pictures[image].target == answer.target
    ]
    seen = {
        image
        for image in common
        if before.pictures[image].trained_on or after.pictures[image].trained_on
    }
    fair = [image for image in common if image not in seen]
    first = [before.pictures[image].value for image in fair]
    second = [after.pictures[image].value for image in fair]
    gained = [i for i, one, two in zip(fair, first, second, strict=True) if two > one]
    lost = [i for i, one, two in zip(fair, first, second, strict=True) if two < one]
    return Difference(
        metric,
        paired_difference(first, second),
        len(fair),
        len(gained),
        len(lost),
        tuple(gained[:_LISTED]),
        tuple(lost[:_LISTED]),
        len(seen),
    )


def unpaired(metric: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """Compare two versions by their metrics alone; see `subtract`.

    Args:
        metric: Name of the metric.
        before: Name → {"value", "low", "high"} of the one.
        after: The same of the other.
    """
    nothing: dict[str, float | None] = {}
    one, two = (Interval.from_json(of.get(metric, nothing)) for of in (before, after))
    return Difference(metric, subtract(two, one))


def subtract(second: Interval, first: Interval) -> Interval:
    """Return second - first with a 95 % interval, where the two were measured independently.

    The distances of the two intervals' ends add up like standard errors (MOVER).
    G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a general
    approach", 2008, https://doi.org/10.1002/sim.3095
    """
    value = float(second) - float(first)
    low = value - math.hypot(second - second.low, first.high - first)
    high = value + math.hypot(second.high - second, first - first.low)
    return Interval(value, low, high)


def _points(share: float) -> str:
    return f"{100 * share:+z.2f}"
