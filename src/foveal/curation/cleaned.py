"""What a cleaning does or did, for people and programs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import PurePosixPath
from typing import Literal, Self, TypeAlias, final

from foveal.curation.journal import Cleaning
from foveal.curation.plan import Change
from foveal.data.findings import plural
from foveal.render.markup import table_html
from foveal.types import JsonObject

State: TypeAlias = Literal["planned", "applied", "undone"]

REVIEW = "review"
"""Stands for the id of a finding where a person decided."""
STEPS = "steps"
"""Stands for the id of a finding where page steps were asked for."""
_WORDS = {"quarantine": "to quarantine", "relabel": "to another label", "lay out": "laid out again"}
_EXAMPLES = 2
# The row and a new label fit into a terminal of 80 columns.
_MOST_OF_A_STEM = 14
_HEADER = ("found by", "what is done", "pictures", "for example")


@final
@dataclass(frozen=True, repr=False)
class CleanReport:
    """What is, was or will be done to data.

    Attributes:
        data: Location of the data.
        state: `planned` when nothing has been done.
        changes: What becomes of samples.
        passed_over: Why not → samples that stay as they are although something was decided.
        notes: What else to know, as sentences.
        number: Number of the cleaning; None when nothing has been done.
    """

    data: str
    state: State
    changes: tuple[Change, ...]
    passed_over: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    number: int | None = None

    @classmethod
    def of(cls, data: str, cleaning: Cleaning) -> Self:
        """Return what a cleaning did, or what was undone."""
        changes = tuple(map(Change.from_json, cleaning.about["changes"]))
        state: State = "applied" if cleaning.state == "applied" else "undone"
        return cls(data, state, changes, {}, (), cleaning.number)

    def to_json(self) -> JsonObject:
        """Return what `clean --json` prints."""
        return {
            "schema_version": 1,
            "data": self.data,
            "state": self.state,
            "cleaning": self.number,
            "changes": [change.to_json() for change in self.changes],
            "passed_over": {why: list(samples) for why, samples in self.passed_over.items()},
            "notes": list(self.notes),
        }

    @property
    def summary(self) -> str:
        """Return how many pictures are moved, relabelled and laid out, in words."""
        counts: Counter[str] = Counter(change.action for change in self.changes)
        parts = [
            f"{plural(counts[action], 'picture')} {words}"
            for action, words in _WORDS.items()
            if counts[action]
        ]
        return " and ".join(parts) or "nothing to do"

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return a row for each finding and what is done about it; see `header`."""
        groups: defaultdict[tuple[str, str], list[Change]] = defaultdict(list)
        for change in self.changes:
            by = STEPS if change.action == "lay out" else change.finding or REVIEW
            groups[by, change.action].append(change)
        return [
            (finding, action, f"{len(changes):,}", _examples(changes))
            for (finding, action), changes in groups.items()
        ]

    @property
    def header(self) -> tuple[str, str, str, str]:
        """Return the heads of the columns of `rows`."""
        return _HEADER

    @property
    def left(self) -> list[str]:
        """Return a line for each reason why samples are passed over."""
        return [
            f"{plural(len(samples), 'picture')} passed over: {why} ({samples[0]}"
            + (", …)" if len(samples) > 1 else ")")
            for why, samples in self.passed_over.items()
        ]

    def __repr__(self) -> str:
        """Return one line."""
        return f"CleanReport({self.data}, {self.state}: {self.summary})"

    def _repr_html_(self) -> str:
        rows = [list(row) for row in self.rows()]
        table = table_html(list(_HEADER), rows) if rows else ""
        words = f"{self.state}: {self.summary}"
        lines = [f"<p>{escape(line)}</p>" for line in (*self.left, *self.notes)]
        return f"<p>{words}</p>{table}" + "".join(lines)


def _examples(changes: list[Change]) -> str:
    shown = [
        _short(change.sample) + (f" → {change.label}" if change.action == "relabel" else "")
        for change in changes[:_EXAMPLES]
    ]
    return ", ".join(shown) + (", …" if len(changes) > _EXAMPLES else "")


def _short(sample: str) -> str:
    """Return a name with its folder and ending: `foveal collect` gives names of 32 digits."""
    path = PurePosixPath(sample)
    if len(path.stem) <= _MOST_OF_A_STEM:
        return sample
    return str(path.with_name(f"{path.stem[: _MOST_OF_A_STEM - 1]}…{path.suffix}"))
