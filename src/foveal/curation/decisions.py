"""What a person decided about samples: a file that is only ever appended to.

Each line is a decision, or takes the last one about a sample back. A line that a killed process
left unfinished is passed over.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, final, get_args

from foveal.atomic import hold
from foveal.errors import DataError
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
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        # What follows the last line feed was never finished.
        for number, line in enumerate(lines[:-1], 1):
            try:
                decision = Decision.from_json(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{self._path}, line {number}, is not a decision: {error}.",
                    hint="remove the line, or move the file away and review again",
                ) from error
            stack = stacks.setdefault(decision.sample, [])
            if decision.action != "undo":
                stack.append(decision)
            elif stack:
                stack.pop()
        return {sample: stack[-1] for sample, stack in stacks.items() if stack}

    def append(self, *decisions: Decision) -> None:
        """Write decisions so that they outlive a kill and a loss of power."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(d.to_json(), ensure_ascii=False) + "\n" for d in decisions)
        with self._path.open("ab+") as file:
            hold(file.fileno())
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    # Cut off what a killed process left unfinished.
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
