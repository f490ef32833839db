"""What a person decided about samples: a file that is only ever appended to.

Each line is a decision, or takes the last one about a sample back. A line that a killed process
left unfinished is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, final, get_args

from foveal.curation.lines import Format, append_lines, opened_to_append, read_lines
from foveal.types import JsonObject

Action: TypeAlias = Literal["keep", "relabel", "quarantine", "skip", "undo"]
"""`keep` and `skip` leave the sample as it is: the first for good, the second for now. `undo` takes
the decision before it back."""


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of a sample.

    Attributes:
        sample: Id of the sample.
        action: What to do.
        label: The new label or text; for `relabel` alone.
        finding: Id of the finding that the person was shown; None for no finding.
        at: When, in UTC, to the second.
    """

    sample: str
    action: Action
    label: str | None
    finding: str | None
    at: datetime

    def to_json(self) -> JsonObject:
        """Return JSON values."""
        return {
            "sample": self.sample,
            "action": self.action,
            "label": self.label,
            "finding": self.finding,
            "at": self.at.isoformat(timespec="seconds"),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Return what `to_json` wrote.

        Raises:
            KeyError: When a key is missing.
            ValueError: When a value is not allowed.
        """
        action, label = value["action"], value["label"]
        if action not in get_args(Action):
            raise ValueError(f"action is {action!r}")
        if (action == "relabel") != isinstance(label, str):
            raise ValueError(f"{action!r} has the label {label!r}")
        at = datetime.fromisoformat(value["at"])
        return cls(value["sample"], action, label, value["finding"], at)


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
            DataError: When a whole line is not a decision.
        """
        stacks: dict[str, list[Decision]] = {}
        for decision in read_lines(self._path, _FORMAT):
            stack = stacks.setdefault(decision.sample, [])
            if decision.action != "undo":
                stack.append(decision)
            elif stack:
                stack.pop()
        return {sample: stack[-1] for sample, stack in stacks.items() if stack}

    def append(self, *decisions: Decision) -> None:
        """Write decisions so that they outlive a kill and a loss of power."""
        with opened_to_append(self._path) as file:
            append_lines(file, (decision.to_json() for decision in decisions))
