"""The crash-safe log of a collection.

A picture is written under a temporary name, its line is appended to the log, and then it gets its
name. What a killed process left is put right by the next one: a temporary file whose line is there
gets its name, and one without a line is removed, since its address will be asked for again.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeAlias, final

from foveal.atomic import TEMPORARY, hold, sync
from foveal.collect.pages import PageContents
from foveal.collect.pictures import NAME_DIGITS
from foveal.collect.robots import Rules
from foveal.data.names import WORKSPACE, is_hidden
from foveal.errors import DataError, UsageError

Record: TypeAlias = dict[str, Any]

# RFC 9309, section 2.4: rules are not kept for longer.
_ROBOTS_AGE = timedelta(hours=24)
_OURS = re.compile(rf"{re.escape(TEMPORARY)}[0-9a-f]{{{NAME_DIGITS}}}\.\w+$")


@final
@dataclass
class Known:
    """The contents of the log.

    Attributes:
        pictures: (class, address) → the last record of a picture.
        pages: (class, address) → what a page listed.
        files: sha256 → name of the file that has it.
        classes: Address → class under which it was first seen.
        robots: Origin → rules that are not too old.
        received: Bytes of all answers so far.
    """

    pictures: dict[tuple[str, str], Record] = field(default_factory=dict)
    pages: dict[tuple[str, str], PageContents] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    robots: dict[str, Rules] = field(default_factory=dict)
    received: int = 0

    def take(self, record: Record) -> None:
        """Add a record."""
        kind = record["kind"]
        if kind == "robots":
            if datetime.now(UTC) - datetime.fromisoformat(record["time"]) < _ROBOTS_AGE:
                self.robots[record["address"]] = Rules(record["text"])
            return
        self.received += record.get("received", 0)
        key = (record["class"], record["address"])
        if kind == "page":
            self.pages[key] = PageContents.from_json(record)
        elif kind == "picture":
            self.pictures[key] = record
            # Its own class may have no record yet: the process was killed, or the host failed.
            self.classes.setdefault(
                record["address"], record.get("listed_under") or record["class"]
            )
            if record["outcome"] == "kept":
                self.files[record["sha256"]] = record["file"]

    def is_done(self, label: str, address: str) -> bool:
        """Return whether a picture need not be asked for again."""
        record = self.pictures.get((label, address))
        return record is not None and not record.get("again")

    def kept(self) -> Counter[str]:
        """Return class → number of pictures."""
        return Counter(r["class"] for r in self.pictures.values() if r["outcome"] == "kept")


@final
class Journal:
    """The log of a folder, open for one process.

    Args:
        folder: The folder of pictures; made when it is not there.

    Raises:
        UsageError: If another process collects into it.
        DataError: If a whole line of the log is none of ours.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / WORKSPACE / "collected.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Not buffered: what the disk refuses once must not be written again on closing.
        self._file = self.path.open("ab", buffering=0)
        if not hold(self._file.fileno(), wait=False):
            self._file.close()
            raise UsageError(
                f"Another process is collecting into {folder}.", hint="wait for it, or stop it"
            )
        try:
            self.known = self._read()
        except BaseException:
            self._file.close()
            raise
        sync(self.path.parent)
        self._recover()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the log."""
        self._file.close()

    def commit(self, batch: Sequence[tuple[Record, bytes | None]]) -> None:
        """Write records, and the pictures of some, so that they outlive a loss of power.

        Args:
            batch: Record, and the bytes of its file.
        """
        folders: set[Path] = set()
        renames: list[tuple[Path, Path]] = []
        for record, body in batch:
            if body is None:
                continue
            path = self.folder / record["file"]
            temporary = path.with_name(TEMPORARY + path.name)
            if path.parent not in folders:
                path.parent.mkdir(exist_ok=True)
                folders.add(path.parent)
            with temporary.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            renames.append((temporary, path))
        for folder in folders:
            sync(folder)
        if folders:
            sync(self.folder)
        if batch:
            self._append([record for record, _ in batch])
        for temporary, path in renames:
            temporary.replace(path)

    def _append(self, records: Sequence[Record]) -> None:
        # In ASCII: a name may hold half of a character, which UTF-8 cannot write.
        left = memoryview("".join(json.dumps(record) + "\n" for record in records).encode())
        end = self._file.seek(0, os.SEEK_END)
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError:
            # No line may follow half of another.
            self._file.truncate(end)
            raise

    def _read(self) -> Known:
        known = Known()
        number = end = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    # What a killed process did not finish.
                    self._file.truncate(end)
                    break
                number += 1
                end += len(line)
                try:
                    known.take(json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise DataError(
                        f"{self.path}, line {number}, is not a record of a collection: {error!r}.",
                        hint="remove the line; its picture is downloaded again",
                    ) from error
        return known

    def _recover(self) -> None:
        """Finish or remove the pictures that a killed process left under temporary names."""
        names = set(self.known.files.values())
        for temporary in self._left_over():
            path = temporary.with_name(temporary.name.removeprefix(TEMPORARY))
            if f"{path.parent.name}/{path.name}" in names:
                temporary.replace(path)
            else:
                temporary.unlink()

    def _left_over(self) -> Iterator[Path]:
        for folder in self.folder.iterdir():
            if folder.is_dir() and not is_hidden(folder.name):
                # Those of other programs, and of other parts of foveal, are left alone.
                yield from (f for f in folder.glob(f"{TEMPORARY}*") if _OURS.match(f.name))
