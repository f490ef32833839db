"""Compare a model with the best constant answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.metrics import Interval
from foveal.tasks.base import ECE_WORDS, Rows, Task
from foveal.types import JsonObject, RawTarget

# A twentieth of a point: less is +0.0 in every report.
LEAST_GAIN = 0.0005


@final
@dataclass(frozen=True, slots=True)
class BaselineComparison:
    """A model beside the best constant answer, on the same samples.

    Attributes:
        answer: The constant answer, as `Prediction.text` would say it.
        metrics: Name → value that the constant answer gets.
        difference: Primary metric of the model minus that of the constant answer, mean over the
            samples, with the 95 % interval of paired samples.
    """

    answer: str
    metrics: dict[str, float]
    difference: Interval

    @property
    def is_beaten(self) -> bool:
        """Whether the model is shown to be better than the constant answer, by what one can see.

        Masks have a value for every picture, so that 0.001 points may be shown beyond doubt.
        """
        return self.difference.low >= LEAST_GAIN

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "answer": self.answer,
            "metrics": {k: v if np.isfinite(v) else None for k, v in self.metrics.items()},
            "difference": self.difference.to_json(),
            "is_beaten": self.is_beaten,
        }


def compare_baseline(
    task: Task, raws: Sequence[RawTarget], rows: Rows, *, seed: int = 0
) -> BaselineComparison:
    """Return what the best constant answer gets for these samples, and the model beside it.

    Args:
        task: The bound task.
        raws: What is true of each sample, as readers found it.
        rows: (N, K) what `measure` gave for the model's answers.
        seed: Seed of the bootstrap.
    """
    constant = task.baseline(raws, rows)
    return BaselineComparison(
        answer=constant.answer,
        # A constant answer has no confidence that could be calibrated.
        metrics={
            name: value
            for name, value in task.summarise(constant.rows).items()
            if task.metric_words[name] is not ECE_WORDS
        },
        difference=metrics.paired_difference(
            primary_by_sample(task, constant.rows), primary_by_sample(task, rows), seed=seed
        ),
    )


def primary_by_sample(task: Task, rows: Rows) -> NDArray[np.float64]:
    """Return the primary metric of each sample, (N,); 1 where nothing is to be found nor found."""
    right = task.is_correct(rows)
    if len(rows) and abs(task.summarise(rows)[task.primary_metric] - right.mean()) < 1e-12:
        # A share of right samples: each counts as a whole.
        return right.astype(np.float64)
    values = [task.summarise(rows[i : i + 1])[task.primary_metric] for i in range(len(rows))]
    return np.nan_to_num(np.array(values, np.float64), nan=1.0)
