"""Counting: the network gives a density, whose sum is how many there are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import erf, sqrt
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveal.errors import TargetError
from foveal.settings import About
from foveal.tasks.base import Baseline, MetricWords, OutputBatch, ReportSection, Rows, Task
from foveal.types import (
    Calibration,
    Frame,
    Image,
    JsonObject,
    Labels,
    Mask,
    Outputs,
    Picture,
    RawTarget,
    TensorSpec,
)

from .prediction import Count

_LEAST_SPREAD = 0.05


@dataclass(frozen=True)
class CountOptions:
    """Options of the task."""

    noun: Annotated[str, About("What is counted, for the report.")] = "dots"


@dataclass(frozen=True)
class CountTask(Task[int, Count]):
    """The task, bound to the numbers that occur."""

    name: ClassVar[str] = "count"
    options_type: ClassVar[type[CountOptions]] = CountOptions
    primary_metric: ClassVar[str] = "exact"
    metric_words: ClassVar[Mapping[str, MetricWords]] = {
        "exact": MetricWords("Exact", "pictures counted right"),
        "within_one": MetricWords("Within one", "pictures of which at most one is missed"),
    }

    @classmethod
    def fit_labels(cls, raws: Iterable[RawTarget]) -> Labels:
        return Labels(tuple(sorted({raw[0] for raw in raws}, key=int)))

    @classmethod
    def choose_options(cls, raws: Iterable[RawTarget]) -> tuple[JsonObject, dict[str, str]]:
        return {}, {}

    def parse_target(self, raw: RawTarget, mask: Mask | None = None) -> int:
        if len(raw) != 1 or not raw[0].isdecimal():
            raise TargetError(f"Expected a number. Received: {raw}.")
        return int(self.labels.names[self.labels.position(raw[0])])

    @property
    def core_outputs(self) -> tuple[str, ...]:
        return ("count",)

    def output_specs(self) -> tuple[TensorSpec, ...]:
        return (
            TensorSpec("count", "float32", (None, 1)),
            TensorSpec("density", "float32", (None, 1, None, None)),
        )

    def decode(
        self, outputs: Outputs, frames: Sequence[Frame], calibration: Calibration
    ) -> list[Count]:
        density = outputs.get("density")
        answers = []
        for i, frame in enumerate(frames):
            probabilities = self._probabilities(float(outputs["count"][i, 0]), calibration)
            confidence = float(probabilities.max())
            answers.append(
                Count(
                    confidence=confidence,
                    unsure=confidence < calibration.unsure_below,
                    labels=self.labels,
                    probabilities=probabilities,
                    density=None if density is None else density[i, 0],
                    frame=frame,
                )
            )
        return answers

    def _probabilities(self, value: float, calibration: Calibration) -> NDArray[np.float32]:
        """Return how likely each number is when sums err by a standard deviation."""
        scale = sqrt(2) * calibration.temperature
        numbers = [int(name) for name in self.labels.names]
        mass = [erf((n + 0.5 - value) / scale) - erf((n - 0.5 - value) / scale) for n in numbers]
        # Far from every number all would be zero.
        near = [1e-9 / (1 + abs(n - value)) for n in numbers]
        shares = np.array(mass) + np.array(near)
        return (shares / shares.sum()).astype(np.float32)

    def measure(self, prediction: Count, target: int) -> NDArray[np.float64]:
        return np.array([int(prediction.main_label), target], np.float64)

    def summarise(self, rows: Rows) -> dict[str, float]:
        if not len(rows):
            return {"exact": float("nan"), "within_one": float("nan")}
        errors = np.abs(rows[:, 0] - rows[:, 1])
        return {"exact": float((errors == 0).mean()), "within_one": float((errors <= 1).mean())}

    def is_correct(self, rows: Rows) -> NDArray[np.bool_]:
        return rows[:, 0] == rows[:, 1]

    def fit_calibration(
        self, batches: Iterable[OutputBatch], targets: Sequence[int]
    ) -> Calibration:
        sums = np.concatenate([outputs["count"][:, 0] for outputs, _ in batches])
        spread = float(np.sqrt(np.mean((sums - np.array(targets)) ** 2)))
        return Calibration(temperature=max(spread, _LEAST_SPREAD))

    def baseline(self, raws: Sequence[RawTarget], rows: Rows) -> Baseline:
        numbers, counts = np.unique(rows[:, 1], return_counts=True)
        most = numbers[counts.argmax()]
        return Baseline(f"{most:.0f}", np.column_stack([np.full(len(rows), most), rows[:, 1]]))

    def json_schema(self) -> JsonObject:
        properties: JsonObject = {
            "count": {"type": "integer", "minimum": 0},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "unsure": {"type": "boolean"},
        }
        return {"type": "object", "properties": properties, "required": list(properties)}

    def agreement(self, first: Count, second: Count) -> tuple[float, float]:
        difference = np.abs(first.probabilities - second.probabilities).max()
        return float(first.main_label == second.main_label), float(difference)

    def vote(self, predictions: Sequence[Count]) -> Count:
        probabilities = np.mean([p.probabilities for p in predictions], axis=0).astype(np.float32)
        return replace(
            predictions[0], probabilities=probabilities, confidence=float(probabilities.max())
        )

    def analyse(
        self, predictions: Sequence[Count], raws: Sequence[RawTarget], rows: Rows
    ) -> JsonObject:
        return {"mean_error": float((rows[:, 0] - rows[:, 1]).mean()) if len(rows) else 0.0}

    def draw_target(self, picture: Picture, target: int) -> Image:
        return picture.pixels

    def draw_beside(
        self, picture: Picture, prediction: Count, target: int
    ) -> tuple[tuple[str, Image], ...]:
        return (("density", prediction.draw(picture)),)

    def report_sections(self, details: JsonObject) -> list[ReportSection]:
        row = (self.options.noun, f"{details['mean_error']:+.2f}")
        return [ReportSection("Error", tables=((("what", "mean error"), (row,)),))]


TASK = CountTask
