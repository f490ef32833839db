"""The steps of a cleaning: create folders and rename files, with detection and undo.

The disk alone says which steps are done, so nothing is written while they are taken, and whatever
part of them outlived a loss of power is understood.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias, final

from foveal.curation import disk
from foveal.curation.disk import Identity
from foveal.types import JsonObject


@final
@dataclass(frozen=True, slots=True)
class MakeFolder:
    """A folder that was not there before.

    Attributes:
        path: Relative to the data, with /.
    """

    path: str

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {"make": self.path}


@final
@dataclass(frozen=True, slots=True)
class Rename:
    """A file that gets another name.

    Attributes:
        source: Its name before, relative to the data.
        target: Its name after.
        identity: What it is.
        from_journal: Whether `source` is in the folder of the cleaning: new content.
        into_journal: Whether `target` is: what was replaced.
    """

    source: str
    target: str
    identity: Identity
    from_journal: bool = False
    into_journal: bool = False

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        return {
            "from": self.source,
            "to": self.target,
            "new": self.from_journal,
            "old": self.into_journal,
            **self.identity.to_json(),
        }

    def is_done(self, data: Path) -> bool:
        """Return whether the disk says that this step has been taken."""
        source, target = data / self.source, data / self.target
        if self.from_journal:
            return not disk.is_there(source)
        if self.into_journal or not disk.is_there(source):
            return disk.is_there(target)
        # Both are there: one of them was put there by somebody else.
        return self.identity.is_of(target)


Step: TypeAlias = MakeFolder | Rename


def step_from_json(value: dict[str, Any]) -> Step:
    """Return the step that `to_json` wrote.

    Raises:
        KeyError: If a key is missing.
    """
    if "make" in value:
        return MakeFolder(value["make"])
    identity = Identity(value["sha256"], value["size"], value["mtime_ns"], value["mode"])
    return Rename(value["from"], value["to"], identity, value["new"], value["old"])


def take(step: Step, data: Path) -> None:
    """Do a step.

    Raises:
        OSError: If the system refuses it, or something else is in its place.
    """
    if isinstance(step, MakeFolder):
        disk.make_folder(data / step.path)
    else:
        disk.rename(data / step.source, data / step.target)


def obstacles(steps: list[Step], data: Path, *, all_done: bool) -> list[str]:
    """Return what keeps steps from being undone, a clause for each file.

    Args:
        steps: In the order in which they are taken.
        data: The folder of the data.
        all_done: Whether all of them were taken; else the disk says which.
    """
    found: list[str] = []
    renames = [step for step in steps if isinstance(step, Rename)]
    done = [step for step in renames if all_done or step.is_done(data)]
    # A name that a later step filled again is free once that is undone.
    filled = {step.target for step in done}
    for step in done:
        if not disk.is_there(data / step.target):
            # Of an interrupted cleaning, it may have been removed before its turn came.
            if all_done:
                found.append(f"{step.target} is gone")
        elif not step.identity.is_of(data / step.target):
            found.append(f"{step.target} has changed")
        elif step.source not in filled and disk.is_there(data / step.source):
            found.append(f"{step.source} exists again")
    return found


def undo(steps: list[Step], data: Path) -> None:
    """Undo the steps that the disk says are done, the last first.

    Raises:
        OSError: If the system refuses it.
    """
    for step in reversed(steps):
        if isinstance(step, MakeFolder):
            disk.remove_folder(data / step.path)
        elif step.is_done(data) and disk.is_there(data / step.target):
            for folder in reversed(missing_folders(data, step.source)):
                disk.make_folder(data / folder)
            disk.rename(data / step.target, data / step.source)


def missing_folders(data: Path, name: str) -> list[str]:
    """Return the folders on the way to a file that are not there, the innermost first."""
    found = []
    for parent in PurePosixPath(name).parents:
        if str(parent) == "." or disk.is_there(data / parent):
            break
        found.append(str(parent))
    return found


def folders_of(steps: list[Step]) -> list[str]:
    """Return the folders that steps change, each once; `.` is the data's own."""
    names = [
        name
        for step in steps
        for name in ((step.path,) if isinstance(step, MakeFolder) else (step.source, step.target))
    ]
    return list(dict.fromkeys(str(PurePosixPath(name).parent) for name in names))
