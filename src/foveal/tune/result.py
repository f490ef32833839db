"""The result of a study: the verdict, the trials, and the resulting recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import final

from foveal.tune.folder import SCHEMA_VERSION, StudyFolder
from foveal.tune.space import Space, Value
from foveal.tune.spacefile import described
from foveal.tune.table import Row
from foveal.tune.verdict import Verdict
from foveal.types import JsonObject


@final
@dataclass(frozen=True)
class Tuning:
    """The result of `foveal.tune`.

    Attributes:
        study: Folder of the study; for a study at a URL, its local working folder.
        metric: Validation metric by which recipes are compared; larger is better.
        verdict: Whether the best recipe is better than the default one, and by how much.
        trials: All trials, by number; the first is the default recipe.
        importances: Setting → share of the variance of the metric that it explains alone; empty
            with too few trials.
        space: The search space.
        seconds: Duration of the study over all calls, in seconds.
        budget_s: Budget in seconds, or None.
        interrupted: Whether the study was stopped before its end.
    """

    study: Path
    metric: str
    verdict: Verdict
    trials: tuple[Row, ...]
    importances: Mapping[str, float]
    space: Space
    seconds: float
    budget_s: float | None
    interrupted: bool

    @property
    def place(self) -> str:
        """Location of the study: its URL, or else its folder."""
        return StudyFolder(self.study).place

    @property
    def is_better(self) -> bool:
        """Whether the best recipe is significantly better than the default one."""
        return self.verdict.is_better

    @property
    def recipe(self) -> Path:
        """The resulting recipe: the best one if it is better, or else the default one."""
        return StudyFolder(self.study).recipe

    @property
    def bundle(self) -> Path | None:
        """A model trained with that recipe; None before the comparison."""
        path = StudyFolder(self.study).bundle
        return path if path.is_dir() else None

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        if self.interrupted:
            return "interrupted before the comparison ended, so nothing is decided"
        return self.verdict.sentence

    @property
    def best(self) -> Row | None:
        """The trial that was compared, or else the best complete one so far except the default."""
        if self.verdict.trial is not None:
            return self.trials[self.verdict.trial]
        ended = [t for t in self.trials if t.state == "trained" and not t.is_default]
        return max(ended, key=lambda row: row.value or 0.0, default=None)

    def changes(self) -> list[tuple[str, str, str]]:
        """Return key, default value and best value of the settings that the best recipe changes."""
        if self.best is None:
            return []
        plain: dict[str, Value] = {d.key: d.default for d in self.space}
        counting = self.space.default
        found = []
        for key, value in self.best.values.items():
            before = described(plain[key]) if key in counting else "–"
            if before != described(value):
                found.append((key, before, described(value)))
        return found

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "study": self.place,
            "metric": self.metric,
            **self.verdict.to_json(),
            "sentence": self.sentence,
            "recipe": str(self.recipe),
            "bundle": None if self.bundle is None else str(self.bundle),
            "trials": [row.to_json() for row in self.trials],
            "importances": dict(self.importances),
            "seconds": round(self.seconds, 3),
            "budget_s": self.budget_s,
            "interrupted": self.interrupted,
        }

    def __repr__(self) -> str:
        """Return a summary in one line."""
        return f"Tuning({self.place}: {len(self.trials)} trials, {self.sentence})"

    def _repr_html_(self) -> str:
        """Return the report in a frame of its own, so that its style stays inside."""
        report = StudyFolder(self.study).report.read_text(encoding="utf-8")
        return (
            '<iframe title="foveal tuning" style="width:100%;height:860px;border:0" '
            f'srcdoc="{escape(report)}"></iframe>'
        )


def summary(rows: Sequence[Row]) -> str:
    """Return the numbers of trials by outcome: `12 trials: 5 trained, 7 given up`."""
    counts = {state: sum(row.state == state for row in rows) for state in _ORDER}
    listed = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{len(rows)} {'trial' if len(rows) == 1 else 'trials'}: {listed}"


_ORDER = ("trained", "given up", "failed", "unfinished")
