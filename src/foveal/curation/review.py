"""The suspects of a check by kind of finding, and the decisions about them."""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import final

from foveal.checks.report import CheckReport
from foveal.curation.decisions import Action, Decision, Decisions, Standing
from foveal.curation.names import LONGEST_NAME, is_folder_name
from foveal.curation.queues import Queue, best_copies
from foveal.data.source import Sample, Source, TargetKind
from foveal.errors import UsageError
from foveal.render.svg import shortened
from foveal.types import BACKGROUND, Finding, Suspect

_LONGEST_LABEL = 1000


@final
@dataclass(frozen=True)
class Act:
    """The changes of one user action.

    Attributes:
        samples: Ids of the samples whose decision changed.
        passed_over: Number of samples that were skipped because nothing is suggested for them.
    """

    samples: tuple[str, ...]
    passed_over: int = 0


@final
class Review:
    """A review in progress. Thread-safe.

    Args:
        source: The data to review.
        report: Report of a check of the data.
        path: Log of the decisions; see `foveal.curation.decisions`.

    Attributes:
        source: The data to review.
        report: Report of the check.
        path: Log of the decisions.
        queues: One queue for each finding about individual samples.
        labels: Class names; empty if the labels are texts or masks.
        takes_several: Whether a sample may have several labels, joined by `|`.

    Raises:
        DataError: If the log is damaged.
    """

    def __init__(self, source: Source, report: CheckReport, path: Path) -> None:
        """Read the existing decisions."""
        self.source, self.report, self.path = source, report, path
        self._numbers = {sample.id: number for number, sample in enumerate(source.samples)}
        found = ((finding, self._suspects(finding)) for finding in report.findings)
        self.queues = tuple(Queue(finding, suspects) for finding, suspects in found if suspects)
        raws = [sample.raw or () for sample in source.samples] if self.target == "labels" else []
        self.labels = tuple(sorted({name for raw in raws for name in raw}))
        self.takes_several = any(len(raw) > 1 for raw in raws)
        self._lock = threading.RLock()
        self._decisions, self._standing = Decisions(path), Standing(path)
        self._token = secrets.token_hex(4)
        # Of each sample, the queues that it is in.
        self._queues_of: dict[str, list[int]] = {}
        for number, queue in enumerate(self.queues):
            for suspect in queue.suspects:
                self._queues_of.setdefault(suspect.sample, []).append(number)
        self._best_copies: dict[int, frozenset[str]] = {}
        self._begin()
        self.refresh()

    def _begin(self) -> None:
        self._counted: dict[str, Action] = {}
        self._counts: list[Counter[str]] = [Counter() for _ in self.queues]
        self._changes: list[str] = []
        self._generation = self._standing.generation

    def _suspects(self, finding: Finding) -> tuple[Suspect, ...]:
        given = finding.suspects or tuple(Suspect(sample, 0.0) for sample in finding.samples)
        once = {suspect.sample: suspect for suspect in reversed(given)}
        return tuple(s for s in given if s.sample in self._numbers and once[s.sample] is s)

    @property
    def target(self) -> TargetKind:
        """Kind of label."""
        return self.report.target

    @property
    def session(self) -> str:
        """Identifier of the session, which changes when the state of open pages becomes invalid."""
        return f"{self._token}-{self._generation}"

    @property
    def version(self) -> int:
        """Number of changes of decisions in this session."""
        return len(self._changes)

    def refresh(self) -> None:
        """Read new decisions of other processes."""
        with self._lock:
            changed = self._standing.refresh()
            if self._standing.generation != self._generation:
                self._begin()
            for sample in changed:
                self._count(sample)
            self._changes += changed

    def _count(self, sample: str) -> None:
        before = self._counted.pop(sample, None)
        decision = self._standing.decisions.get(sample)
        if decision is not None:
            self._counted[sample] = decision.action
        for number in self._queues_of.get(sample, ()):
            if before is not None:
                self._counts[number][before] -= 1
            if decision is not None:
                self._counts[number][decision.action] += 1

    def decisions(self) -> dict[str, Decision]:
        """Return sample → current decision."""
        with self._lock:
            self.refresh()
            return dict(self._standing.decisions)

    def decision(self, sample: str) -> Decision | None:
        """Return the decision about a sample, as last read."""
        return self._standing.decisions.get(sample)

    def counts(self, queue: int) -> dict[str, int]:
        """Return action → number of suspects of a queue with that decision, as last read."""
        with self._lock:
            return {action: count for action, count in self._counts[queue].items() if count}

    def changed_since(self, version: int) -> tuple[str, ...]:
        """Return the samples whose decisions changed after a given version of this session."""
        with self._lock:
            return tuple(dict.fromkeys(self._changes[version:]))

    def number(self, sample: str) -> int | None:
        """Return the position of a sample in the source, or None."""
        return self._numbers.get(sample)

    def label_of(self, sample: Sample) -> str | None:
        """Return the label or text of a sample in readable form."""
        if sample.raw is None:
            return None
        if self.target == "mask":
            return ", ".join(name for name in sample.raw if name != BACKGROUND)
        return "|".join(sample.raw)

    def best_copies(self, queue: int) -> frozenset[str]:
        """Return the pictures of a queue of duplicates that `foveal clean --auto` would keep."""
        with self._lock:
            if queue not in self._best_copies:
                found = self.queues[queue].finding
                self._best_copies[queue] = best_copies(found, self.source)
            return self._best_copies[queue]

    def next_open(self, queue: int, position: int) -> int | None:
        """Return the next undecided position, cyclically, or None if there is none."""
        suspects, decided = self.queues[queue].suspects, self._standing.decisions
        for i in chain(range(position, len(suspects)), range(min(position, len(suspects)))):
            if suspects[i].sample not in decided:
                return i
        return None

    def decide(
        self,
        queue: int,
        positions: Iterable[int],
        action: Action,
        label: str | None = None,
        *,
        by: str | None = None,
    ) -> Act:
        """Store a decision about suspects of a queue.

        Args:
            queue: Number of the queue.
            positions: Positions of the suspects in the queue.
            action: The action; must not be `undo`.
            label: For `relabel`: the new label or text; None takes the suggestion for each.
            by: Who decides; None if that is unknown.

        Raises:
            UsageError: If the label is invalid.
        """
        if action == "relabel" and self.target == "mask":
            raise UsageError(
                "A mask has no label to change. Keep or quarantine the picture instead."
            )
        if label is not None:
            label = self._checked(label)
        with self._lock:
            self.refresh()
            shown, at = self.queues[queue], self._now()
            made = [
                self._decision(shown.suspects[i], action, label, shown.finding.id, at)
                for i in positions
            ]
            decided = [replace(decision, by=by) for decision in made if decision is not None]
            if decided:
                self._decisions.append(*decided)
                self.refresh()
            return Act(tuple(d.sample for d in decided), len(made) - len(decided))

    def _decision(
        self, suspect: Suspect, action: Action, label: str | None, finding: str, at: datetime
    ) -> Decision | None:
        if action != "relabel":
            return Decision(suspect.sample, action, None, finding, at)
        wanted = label if label is not None else suspect.label
        if wanted is None:
            return None
        own = self.label_of(self.source.samples[self._numbers[suspect.sample]])
        if wanted == own:
            return Decision(suspect.sample, "keep", None, finding, at)
        return Decision(suspect.sample, "relabel", wanted, finding, at)

    def undo(self, samples: Sequence[str] | None = None, *, by: str | None = None) -> Act:
        """Undo the last decision about each of some samples, or else the last action.

        Args:
            samples: Ids of the samples; None undoes the last action.
            by: Who undoes it. Actions of others are left alone; those of someone unknown are not.
        """
        with self._lock:
            self.refresh()
            if samples is None:
                samples = self._standing.last_act(by)
            decided = [sample for sample in samples if sample in self._standing.decisions]
            at = self._now()
            if decided:
                self._decisions.append(*(Decision(s, "undo", None, None, at, by) for s in decided))
                self.refresh()
            return Act(tuple(decided))

    def _now(self) -> datetime:
        """Return the time, later than all earlier decisions; it identifies an action."""
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        latest = self._standing.latest
        return now if latest is None else max(now, latest + timedelta(milliseconds=1))

    def _checked(self, label: str) -> str:
        text = label.strip()
        if not text or not text.isprintable() or len(text) > _LONGEST_LABEL:
            raise UsageError("Invalid label. Expected text of one line.")
        if self.target == "text":
            return text
        for name in text.split("|") if self.takes_several else [text]:
            # Wherever the classes are folders, `foveal clean` makes one of this name.
            fits = is_folder_name(name) and not set(name) & set("\\|")
            if name not in self.labels and not fits:
                raise UsageError(
                    f"Invalid class {shortened(name, 40)!r}. Expected a name that a folder can "
                    f"have: at most {LONGEST_NAME} bytes, without / \\ | and no dot in front."
                )
        return text
