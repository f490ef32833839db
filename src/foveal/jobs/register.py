"""The register of the jobs of this machine, in the user's state folder.

A job's folder appears whole, by a rename, and its record is replaced whole: several processes may
add, change and list at once, and one that is killed leaves nothing that others would trip over.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from foveal.atomic import TEMPORARY, locked, sync, write_atomic
from foveal.destination import state_directory, writing
from foveal.errors import UsageError, unknown_name
from foveal.jobs.target import Target
from foveal.names import is_name
from foveal.types import JsonObject

_RECORD = "job.json"
_LOCK = "record.lock"


@final
@dataclass(frozen=True, slots=True)
class Record:
    """The local record of a job.

    Attributes:
        name: Unique on this machine.
        target: Where it is.
        created: When it was sent, in UTC.
        command: What runs there.
        output: Folder or URL of its results, there.
        facts: What its kind needs to find it again.
    """

    name: str
    target: Target
    created: str
    command: tuple[str, ...] = ()
    output: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def new(cls, name: str, target: Target) -> Record:
        """Return the record of a job that is sent now."""
        return cls(name, target, datetime.now(UTC).isoformat(timespec="seconds"))

    def to_json(self) -> JsonObject:
        """Return what is written to the disk."""
        return {
            "schema_version": 1,
            "name": self.name,
            "target": str(self.target),
            "created": self.created,
            "command": list(self.command),
            "output": self.output,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, value: JsonObject) -> Record:
        """Read what `to_json` gave."""
        return cls(
            value["name"],
            Target.parse(value["target"]),
            value["created"],
            tuple(value["command"]),
            value["output"],
            value["facts"],
        )


@final
class Register:
    """The folders of the jobs.

    Args:
        folder: Where they are kept; None takes the user's own.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or state_directory() / "jobs"

    def path(self, name: str) -> Path:
        """Return the folder of a job."""
        return self.folder / name

    def add(self, record: Record) -> Record:
        """Add a job, and return it under a name that no other has.

        Raises:
            UsageError: If the user's state folder cannot be written to.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                name = record.name if number == 1 else f"{record.name}-{number}"
                named = replace(record, name=name)
                if not self.path(name).exists() and self._placed(named):
                    return named
                number += 1

    def _placed(self, record: Record) -> bool:
        """Put a whole folder in place; another process may have been faster."""
        made = Path(tempfile.mkdtemp(dir=self.folder, prefix=TEMPORARY))
        try:
            _write(made, record)
            os.rename(made, self.path(record.name))  # noqa: PTH104 - unlike replace, says why
        except OSError:
            if not self.path(record.name).exists():
                raise
            return False
        finally:
            shutil.rmtree(made, ignore_errors=True)
        sync(self.folder)
        return True

    def update(self, name: str, **facts: Any) -> Record:
        """Add facts to a job's record, and return it."""
        with locked(self.path(name) / _LOCK):
            record = self.read(name)
            record = replace(record, facts={**record.facts, **facts})
            _write(self.path(name), record)
        return record

    def change(self, record: Record) -> None:
        """Write the record of a job anew."""
        with locked(self.path(record.name) / _LOCK):
            _write(self.path(record.name), record)

    def remove(self, name: str) -> None:
        """Forget a job."""
        shutil.rmtree(self.path(name), ignore_errors=True)

    def names(self) -> list[str]:
        """Return the names of all jobs, the oldest first."""
        if not self.folder.is_dir():
            return []
        found = [
            path.parent for path in self.folder.glob(f"*/{_RECORD}") if is_name(path.parent.name)
        ]
        records = [(self.read(path.name).created, path.name) for path in found]
        return [name for _, name in sorted(records)]

    def read(self, name: str) -> Record:
        """Return the record of a job.

        Raises:
            UsageError: If there is no such job.
        """
        path = self.path(name) / _RECORD
        if not is_name(name) or not path.is_file():
            known = self.names()
            hint = "foveal jobs list" if known else "foveal train DATA --on local --detach"
            sentence = unknown_name("job", name, known) if known else f"There is no job {name!r}."
            raise UsageError(sentence, hint=hint)
        try:
            return Record.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path} is damaged: {error!r}", hint=f"rm -r {path.parent}"
            ) from error


def _write(folder: Path, record: Record) -> None:
    text = json.dumps(record.to_json(), indent=2, ensure_ascii=False)
    write_atomic(folder / _RECORD, text, durable=True)
