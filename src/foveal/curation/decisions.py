"""The append-only log of decisions about samples.

Each line is a decision, or takes the last one about a sample back. A line that a killed process
left unfinished is passed over.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, final, get_args

from foveal.curation.lines import Format, append_lines, opened_to_append
from foveal.types import JsonObject

Action: TypeAlias = Literal["keep", "relabel", "quarantine", "skip", "undo"]
"""`keep` and `skip` leave the sample as it is: the first for good, the second for now. `undo` takes
the decision before it back."""


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """A decision about a sample.

    Attributes:
        sample: Id of the sample.
        action: What to do.
        label: The new label or text; for `relabel` alone.
        finding: Id of the finding that the person was shown; None for no finding.
        at: When, in UTC, to the millisecond; decisions that were made together have the same.
        by: Who decided, such as an identifier of a browser; None if that is unknown.
    """

    sample: str
    action: Action
    label: str | None
    finding: str | None
    at: datetime
    by: str | None = None

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "sample": self.sample,
            "action": self.action,
            "label": self.label,
            "finding": self.finding,
            "at": self.at.isoformat(timespec="milliseconds"),
            "by": self.by,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Return what `to_json` wrote.

        Raises:
            KeyError: If a key is missing.
            ValueError: If a value is not allowed.
        """
        action, label = value["action"], value["label"]
        if action not in get_args(Action):
            raise ValueError(f"action is {action!r}")
        if (action == "relabel") != isinstance(label, str):
            raise ValueError(f"{action!r} has the label {label!r}")
        at = datetime.fromisoformat(value["at"])
        if at.tzinfo is None:
            raise ValueError(f"at is {value['at']!r}, without a time zone")
        # Earlier versions of foveal did not write it.
        by = value.get("by")
        return cls(value["sample"], action, label, value["finding"], at, by)


_FORMAT = Format(
    "a decision", Decision.from_json, "remove the line, or move the file away and review again"
)


@final
class Decisions:
    """The decisions in a file.

    Args:
        path: The file; made by the first decision.
    """

    def __init__(self, path: Path) -> None:
        """Remember the file; nothing is read yet."""
        self._path = path

    def read(self) -> dict[str, Decision]:
        """Return sample → the decision that holds, in the order of the first about each.

        Raises:
            DataError: If a whole line is not a decision.
        """
        standing = Standing(self._path)
        standing.refresh()
        return standing.decisions

    def append(self, *decisions: Decision) -> None:
        """Write decisions so that they outlive a kill and a loss of power."""
        with opened_to_append(self._path) as file:
            append_lines(file, (decision.to_json() for decision in decisions))


@final
class Standing:
    """The decisions of a file as they stand, kept so by reading what was appended since.

    Args:
        path: The file, which need not be there yet; other processes may append to it.

    Attributes:
        decisions: Sample → the decision that holds, in the order of the first about each.
        latest: The latest time of any line; None before the first.
        generation: Grows when the file was replaced, so that everything was read anew.
    """

    def __init__(self, path: Path) -> None:
        """Remember the file; nothing is read yet."""
        self._path = path
        self.generation = -1
        self._begin(None)

    def _begin(self, identity: tuple[int, int] | None) -> None:
        self._identity, self._offset, self._lines = identity, 0, 0
        self._stacks: dict[str, list[Decision]] = {}
        self.decisions: dict[str, Decision] = {}
        self.latest: datetime | None = None
        self.generation += 1

    def last_act(self, by: str | None) -> list[str]:
        """Return the samples that someone, or someone unknown, decided last and together."""
        own = [each for each in self.decisions.values() if each.by in (by, None)]
        latest = max((each.at for each in own), default=None)
        return [each.sample for each in own if each.at == latest]

    def refresh(self) -> list[str]:
        """Read what was appended, and return the samples that it is about.

        Raises:
            DataError: If a whole line is not a decision.
        """
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino)
                if self._identity is None:
                    self._identity = identity
                elif identity != self._identity or status.st_size < self._offset:
                    self._begin(identity)
                file.seek(self._offset)
                appended = file.read()
        except FileNotFoundError:
            if self._identity is not None:
                self._begin(None)
            return []
        # What follows the last line feed was never finished.
        whole = appended[: appended.rfind(b"\n") + 1]
        read = [self._take(line) for line in whole.split(b"\n")[:-1]]
        self._offset += len(whole)
        return read

    def _take(self, line: bytes) -> str:
        self._lines += 1
        decision = _FORMAT.parse(self._path, self._lines, line)
        sample = decision.sample
        self.latest = decision.at if self.latest is None else max(self.latest, decision.at)
        stack = self._stacks.setdefault(sample, [])
        if decision.action != "undo":
            stack.append(decision)
        elif stack:
            stack.pop()
        if stack:
            self.decisions[sample] = stack[-1]
        else:
            self.decisions.pop(sample, None)
        return sample
