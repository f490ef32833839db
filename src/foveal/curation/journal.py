"""Atomic cleanings that can be undone.

Each cleaning has its own folder, such as `journal/0001`, with the list of its steps. The folder is
complete and synced to disk before the first step is taken; from then on, the files themselves show
which steps are done. An interrupted cleaning or undo is rolled back, so data are never left half
cleaned. Nothing is deleted: replaced files are kept in the folder of the cleaning.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias, final

from foveal.atomic import owned
from foveal.console import NoProgress, Progress
from foveal.curation import disk, steps
from foveal.curation.lines import line_of
from foveal.curation.manifest import Manifest, read_lines
from foveal.curation.prepare import Edit, Move, prepare
from foveal.curation.steps import Rename, Step
from foveal.data.findings import plural
from foveal.errors import DataError, UsageError
from foveal.types import JsonObject

State: TypeAlias = Literal["applied", "undone", "interrupted"]

_PLAN, _STATUS = "plan.jsonl", "status.jsonl"
_SHOWN = 5


@final
@dataclass(frozen=True, slots=True, repr=False)
class Cleaning:
    """One cleaning of the data.

    Attributes:
        number: Number of the cleaning, from 1.
        at: When it was begun, in UTC.
        state: What has become of it.
        about: Description of the cleaning, as JSON values.
    """

    number: int
    at: datetime
    state: State
    about: JsonObject

    def __repr__(self) -> str:
        """Return one line."""
        what = plural(len(self.about["changes"]), "change")
        return f"Cleaning({self.number}, {self.at:%Y-%m-%d %H:%M} UTC, {self.state}: {what})"

    def to_json(self) -> JsonObject:
        """Return the fields as JSON values."""
        at = self.at.isoformat(timespec="seconds")
        return {"cleaning": self.number, "at": at, "state": self.state, **self.about}


@final
class Journal:
    """The cleanings of a data set.

    Args:
        data: The folder of the data.
        folder: Folder of the journal, hidden in the folder of the data.
    """

    def __init__(self, data: Path, folder: Path) -> None:
        """Set the folders; nothing is read yet."""
        self._data = data
        self._folder = folder
        self._journal = folder / "journal"
        self._manifest = Manifest(folder / "quarantine.jsonl")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the data against cleaning by other processes.

        Raises:
            UsageError: `data_busy` if another process holds the lock.
        """
        self._journal.mkdir(parents=True, exist_ok=True)
        with owned(self._folder / "lock", self._busy):
            yield

    def history(self) -> list[Cleaning]:
        """Return all cleanings, oldest first.

        Raises:
            DataError: If the file of a cleaning is damaged.
        """
        if not self._journal.is_dir():
            return []
        return [self._read(path)[0] for path in sorted(self._journal.iterdir()) if _is_one(path)]

    def apply(
        self,
        about: JsonObject,
        moves: Sequence[Move],
        edits: Sequence[Edit],
        progress: Progress | None = None,
    ) -> Cleaning:
        """Move files and replace contents, completely or, if a step fails, not at all.

        Must be called within `alone`.

        Args:
            about: Description of the cleaning, for `history`.
            moves: Files to move; names must be unique before and after.
            edits: Files with new contents; none of them may be moved.
            progress: Receives the progress, or None.

        Raises:
            DataError: If a file is missing or has changed in the meantime.
            OSError: If the system refuses an operation, such as for lack of permission or space.
        """
        number = 1 + max((c.number for c in self.history()), default=0)
        home = self._journal / f"{number:04d}"
        cleaning = Cleaning(number, datetime.now(UTC), "applied", about)
        header = {"schema_version": 1, **cleaning.to_json(), "about": about}
        draft = self._journal / f".tmp-{home.name}"
        if draft.exists():
            # Left by a process that was killed before it changed anything.
            shutil.rmtree(draft)
        try:
            taken = prepare(self._data, draft, home, moves, edits, progress or NoProgress())
            header["times"] = self._times(taken)
            lines = [header, *(step.to_json() for step in taken)]
            disk.write(draft / _PLAN, b"".join(line_of(line) for line in lines))
            disk.settle((draft, *(path for path in draft.iterdir() if path.is_dir())))
            disk.rename(draft, home)
            disk.settle((self._journal, self._folder))
        except BaseException:
            if not home.exists():
                shutil.rmtree(draft, ignore_errors=True)
            raise
        try:
            self._take(taken, moves, number)
        except BaseException:
            # Nothing else may have come between: the lock is held.
            self._undo(home, all_done=False)
            raise
        return cleaning

    def recover(self) -> Cleaning | None:
        """Roll back an interrupted cleaning, if there is one, or complete an interrupted undo.

        Must be called within `alone`.

        Returns:
            What was undone.

        Raises:
            DataError: If files have changed in the meantime; then nothing is done.
        """
        last = next(iter(self.history()[-1:]), None)
        if last is None or last.state != "interrupted":
            return None
        self._undo(self._home(last), all_done=False)
        return last

    def undo(self) -> Cleaning:
        """Undo the last cleaning that has not been undone. Must be called within `alone`.

        Raises:
            UsageError: If there is no such cleaning.
            DataError: If files have changed since; then nothing is done.
        """
        applied = [cleaning for cleaning in self.history() if cleaning.state == "applied"]
        if not applied:
            raise UsageError(
                f"No cleaning of {self._data} can be undone.",
                hint=f"foveal clean {self._data} --history",
            )
        self._undo(self._home(applied[-1]), all_done=True)
        return applied[-1]

    def _busy(self, process: str) -> UsageError:
        return UsageError(
            f"Another process ({process}) is cleaning {self._data}.",
            hint="wait until it has ended",
            code="data_busy",
        )

    def _home(self, cleaning: Cleaning) -> Path:
        return self._journal / f"{cleaning.number:04d}"

    def _times(self, taken: Sequence[Step]) -> dict[str, int]:
        """Return the modification times of the folders that will change."""
        paths = {name: self._data / name for name in steps.folders_of(list(taken))}
        return {name: path.stat().st_mtime_ns for name, path in paths.items() if path.is_dir()}

    def _take(self, taken: Sequence[Step], moves: Sequence[Move], number: int) -> None:
        for step in taken:
            if isinstance(step, Rename) and not step.from_journal:
                path = self._data / step.source
                if not step.identity.is_untouched(path):
                    raise DataError(
                        f"{path} was changed or removed in the meantime.", hint="try again"
                    )
            steps.take(step, self._data)
        disk.settle(self._data / name for name in steps.folders_of(list(taken)))
        identities = {step.source: step.identity for step in taken if isinstance(step, Rename)}
        self._manifest.moved(number, moves, identities)
        self._say(self._journal / f"{number:04d}", state="applied", times=self._times(taken))

    def _undo(self, home: Path, *, all_done: bool) -> None:
        cleaning, header, status, taken = self._read_all(home)
        found = steps.obstacles(taken, self._data, all_done=all_done)
        if found:
            shown = "; ".join(found[:_SHOWN]) + ("; …" if len(found) > _SHOWN else "")
            raise DataError(
                f"The cleaning of {cleaning.at:%Y-%m-%d %H:%M} cannot be undone, because files "
                f"have changed since: {shown}.",
                hint="restore these files to the state the cleaning left them in, then undo again",
                code="data_changed",
            )
        times = {name: header["times"][name] for name in self._unchanged(header, status)}
        if all_done:
            self._say(home, state="undoing", restore=times)
        steps.undo(taken, self._data)
        for name, mtime in times.items():
            disk.set_time(self._data / name, mtime)
        disk.settle(self._data / name for name in steps.folders_of(taken))
        # The data are back. On a full disk, the next call says so here.
        with contextlib.suppress(OSError):
            self._manifest.restored(cleaning.number)
            self._say(home, state="undone")

    def _unchanged(self, header: JsonObject, status: Sequence[JsonObject]) -> list[str]:
        """Return the folders unchanged by others, whose modification times are restored."""
        before: dict[str, int] = header["times"]
        last = status[-1] if status else {}
        if "restore" in last:
            return list(last["restore"])
        if "times" not in last:
            return list(before)
        paths = {name: self._data / name for name in before}
        return [
            name
            for name, path in paths.items()
            if path.is_dir() and path.stat().st_mtime_ns == last["times"].get(name)
        ]

    def _say(self, home: Path, **status: Any) -> None:
        disk.append(home / _STATUS, line_of(status))
        disk.settle((home,))

    def _read(self, home: Path) -> tuple[Cleaning, JsonObject, list[JsonObject]]:
        try:
            with (home / _PLAN).open("rb") as file:
                header = json.loads(file.readline())
            status = read_lines(home / _STATUS)
            said = status[-1]["state"] if status else None
            state: State = said if said in ("applied", "undone") else "interrupted"
            at = datetime.fromisoformat(header["at"])
            return Cleaning(header["cleaning"], at, state, header["about"]), header, status
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{home} is not the journal of a cleaning: {error!r}.") from error

    def _read_all(self, home: Path) -> tuple[Cleaning, JsonObject, list[JsonObject], list[Step]]:
        cleaning, header, status = self._read(home)
        lines = read_lines(home / _PLAN)[1:]
        return cleaning, header, status, [steps.step_from_json(line) for line in lines]


def _is_one(path: Path) -> bool:
    return path.name.isdecimal() and path.is_dir()
