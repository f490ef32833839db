"""The state of a study: its trials, its comparison, and the remaining budget."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, final

from foveal.tune.budget import SEEDS, Times
from foveal.tune.folder import StudyFolder
from foveal.tune.journal import Journal, is_default


@final
@dataclass(frozen=True)
class State:
    """A look at a study.

    Attributes:
        folder: Where it is.
        journal: Its trials.
        trials: All that were begun, by number.
    """

    folder: StudyFolder
    journal: Journal
    trials: tuple[Any, ...]

    @classmethod
    def of(cls, folder: StudyFolder, journal: Journal) -> State:
        """Look at a study."""
        return cls(folder, journal, tuple(journal.trials()))

    @property
    def default(self) -> Any | None:
        """The trial of the default recipe, once it is complete."""
        return next((t for t in self._complete if is_default(t)), None)

    @property
    def best(self) -> Any | None:
        """The best complete trial of another recipe; among equals that with the lower loss."""
        return max((t for t in self._complete if not is_default(t)), key=_rank, default=None)

    @property
    def chosen(self) -> int | None:
        """Number of the trial that is compared with the default recipe; None before the end."""
        try:
            return int(json.loads(self.folder.chosen.read_text(encoding="utf-8"))["trial"])
        except FileNotFoundError:
            return None

    @property
    def compared(self) -> dict[str, float]:
        """Training of the comparison that is done → seconds that it took."""
        found: dict[str, float] = {}
        for name, _ in (*comparison(None), *self._known_comparisons()):
            path = self.folder.compared(name)
            if path.is_file():
                found[name] = float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
        return found

    def times(self, workers: int) -> Times:
        """Return how long things take."""
        challenger = self._challenger()
        number = None if challenger is None else challenger.number
        return Times(
            default_s=_seconds(self.default),
            best_s=_seconds(challenger),
            compared=self.compared,
            wanted=comparison(number),
            workers=workers,
        )

    @property
    def _complete(self) -> list[Any]:
        return [t for t in self.trials if t.state is self.journal.states.COMPLETE]

    def _challenger(self) -> Any | None:
        chosen = self.chosen
        if chosen is None:
            return self.best
        return next((t for t in self.trials if t.number == chosen), None)

    def _known_comparisons(self) -> list[tuple[str, bool]]:
        challenger = self._challenger()
        return comparison(None if challenger is None else challenger.number)


def comparison(number: int | None) -> list[tuple[str, bool]]:
    """Return the trainings of the comparison, pair by pair, and whether each is of the default.

    Args:
        number: Number of the trial that is compared; None where it is not known.
    """
    other = "other" if number is None else f"trial-{number}"
    return [
        (f"{name}-{seed}", name == "default")
        for seed in range(1, SEEDS + 1)
        for name in ("default", other)
    ]


def _rank(trial: Any) -> tuple[float, float]:
    loss = trial.user_attrs.get("loss")
    return trial.value, -math.inf if loss is None else -loss


def _seconds(trial: Any | None) -> float | None:
    return None if trial is None else float(trial.user_attrs["seconds"])
