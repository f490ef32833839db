"""Compare the best recipe with the default one on the same seeds and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from foveal.metrics import Interval, difference_over_seeds
from foveal.store.answers import AnswerTable
from foveal.tune.budget import SEEDS
from foveal.tune.folder import StudyFolder
from foveal.types import JsonObject


@final
@dataclass(frozen=True)
class Verdict:
    """The result of the comparison.

    Attributes:
        trial: Number of the trial that was compared with the default recipe; None where there was
            none to compare.
        default: The metric of the default recipe on validation, for each seed.
        best: The same of the other one.
        difference: The mean difference, with its 95 % interval; NaN where nothing was compared.
        pictures: How many pictures both answered.
        planned: How many seeds there should have been.
    """

    trial: int | None
    default: tuple[float, ...]
    best: tuple[float, ...]
    difference: Interval
    pictures: int
    planned: int = SEEDS

    @property
    def is_better(self) -> bool:
        """Whether the whole interval lies above no difference."""
        return bool(self.difference.low > 0)

    @property
    def sentence(self) -> str:
        """Return the result in words."""
        if self.trial is None:
            return "the default stays, because no other recipe was trained to the end"
        if not self.best:
            return "the default stays, because no time was left for the comparison"
        points = f"{_points(self.difference)} points"
        interval = f"({_points(self.difference.low)} to {_points(self.difference.high)})"
        seeds = f" on {len(self.best)} of {self.planned} seeds"
        seeds = seeds if len(self.best) < self.planned else ""
        if self.is_better:
            return f"the best recipe is better by {points} {interval}{seeds}"
        return f"the default stays: the best other recipe differs by {points} {interval}{seeds}"

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "trial": self.trial,
            "default": list(self.default),
            "best": list(self.best),
            "difference": self.difference.to_json(),
            "pictures": self.pictures,
            "seeds": len(self.best),
            "better": self.is_better,
            "sentence": self.sentence,
        }


def judge(folder: StudyFolder, trial: int | None, metric: str) -> Verdict:
    """Compare the trainings of both recipes, pair by pair: those of one seed.

    Args:
        folder: The study.
        trial: Number of the trial that is compared.
        metric: The primary metric.
    """
    pairs: list[tuple[AnswerTable, AnswerTable]] = []
    for seed in range(1, SEEDS + 1):
        names = (f"default-{seed}", f"trial-{trial}-{seed}")
        if trial is not None and all(folder.compared(name).is_file() for name in names):
            one, two = (_answers(folder, name, metric) for name in names)
            pairs.append((one, two))
    tables = [table for pair in pairs for table in pair]
    common = [
        image
        for image in (tables[0].pictures if tables else ())
        if all(image in table.pictures for table in tables)
    ]
    first, second = (
        np.array([[pair[side].pictures[image].value for image in common] for pair in pairs])
        for side in (0, 1)
    )
    return Verdict(
        trial,
        tuple(float(row.mean()) for row in first),
        tuple(float(row.mean()) for row in second),
        difference_over_seeds(first, second),
        len(common),
    )


def _answers(folder: StudyFolder, name: str, metric: str) -> AnswerTable:
    path = folder.comparison(name).path / "predictions.csv"
    return AnswerTable.from_predictions(path.read_bytes(), metric)


def _points(share: float) -> str:
    return f"{100 * share:+z.2f}"
