"""The report of a cleaning, planned or done."""

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
    """The report of `foveal.clean`.

    Attributes:
        data: Location of the data.
        state: State of the cleaning; `planned` if nothing has been done.
        changes: The change of each sample.
        passed_over: Reason → samples that are not changed although a decision exists.
        notes: Further notes, as sentences.
        number: Number of the cleaning; None if nothing has been done.
    """

    data: str
    state: State
    changes: tuple[Change, ...]
    passed_over: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    number: int | None = None

    @classmethod
    def of(cls, data: str, cleaning: Cleaning) -> Self:
        """Return the report of a cleaning that was applied or undone."""
        changes = tuple(map(Change.from_json, cleaning.about["changes"]))
        state: State = "applied" if cleaning.state == "applied" else "undone"
        return cls(data, state, changes, {}, (), cleaning.number)

    def to_json(self) -> JsonObject:
        """Return the output of `clean --json`."""
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
        """Return the numbers of pictures moved, relabelled and processed, in words."""
        counts: Counter[str] = Counter(change.action for change in self.changes)
        parts = [
            f"{plural(counts[action], 'picture')} {words}"
            for action, words in _WORDS.items()
            if counts[action]
        ]
        return " and ".join(parts) or "nothing to do"

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return a row for each finding with its resolution; see `header`."""
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
        """Column headers of `rows`."""
        return _HEADER

    @property
    def left(self) -> list[str]:
        """One line per reason for which samples are not changed."""
        return [
            f"{plural(len(samples), 'picture')} passed over: {why} ({samples[0]}"
            + (", …)" if len(samples) > 1 else ")")
            for why, samples in self.passed_over.items()
        ]

    def __repr__(self) -> str:
        """Return a summary in one line."""
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
    """Return a shortened file name; `foveal collect` writes names of 32 digits."""
    path = PurePosixPath(sample)
    if len(path.stem) <= _MOST_OF_A_STEM:
        return sample
    return str(path.with_name(f"{path.stem[: _MOST_OF_A_STEM - 1]}…{path.suffix}"))
