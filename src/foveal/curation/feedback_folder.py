"""Store feedback in a folder within limits; safe for several threads and processes.

A line is written after the files that it names, so that what a line names is there, however the
process ended.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, final

from foveal.atomic import write_atomic
from foveal.curation.feedback import (
    FORMAT,
    LOG_NAME,
    MASKS,
    PICTURES,
    Feedback,
    Said,
    read_feedback,
)
from foveal.curation.lines import append_lines, opened_to_append
from foveal.data.headers import sniff
from foveal.errors import FovealError


class FolderFull(FovealError):
    """Raised if feedback exceeds the limits of a folder."""

    code = "feedback_full"
    http_status = 507


@final
@dataclass(frozen=True, slots=True)
class Room:
    """The limits of a feedback folder.

    Attributes:
        max_bytes: Bytes that all pictures and masks may take.
        max_count: Lines of the log.
        max_per_key: Lines that one API key may send.
        unsure_share: Share of bytes and lines, also of each key's, that pictures which nobody
            said anything about may fill.
    """

    max_bytes: int
    max_count: int
    max_per_key: int
    unsure_share: float = 0.5


class _Tally:
    """Totals of a log, as far as it has been read."""

    def __init__(self) -> None:
        self.place = 0
        self.file = (0, 0)
        self.lines = 0
        self.last_id = 0
        self.bytes = 0
        self.by_key: Counter[str] = Counter()
        self.pictures: dict[str, str] = {}
        self.said: dict[tuple[object, ...], int] = {}

    def add(self, feedback: Feedback) -> None:
        said = feedback.said
        self.lines += 1
        self.last_id = max(self.last_id, feedback.id)
        self.bytes += feedback.stored
        if said.by is not None:
            self.by_key[said.by] += 1
        self.pictures[feedback.sha256] = feedback.image
        self.said[_same(feedback.sha256, said)] = feedback.id


def _same(sha256: str, said: Said) -> tuple[object, ...]:
    """Return what makes two lines say the same."""
    if said.origin == "unsure":
        return (sha256, said.model, said.origin)
    return (sha256, said.model, said.by, said.truth, said.right, said.note)


@final
class FeedbackFolder:
    """Keeps feedback. Thread-safe.

    Args:
        path: The folder; made by the first feedback.
        room: How much may be kept in it.
        clock: Gives the time.

    Raises:
        DataError: If the folder's log cannot be read.
    """

    def __init__(
        self, path: Path, room: Room, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Read what is there."""
        self._path = path
        self._room = room
        self._clock = clock
        self._lock = threading.Lock()
        self._tally = _Tally()
        for feedback in read_feedback(path):
            self._tally.add(feedback)
        # The next look reads everything again, from the locked file.
        self._tally = _Tally()

    def keep(self, picture: bytes, said: Said, mask: bytes | None = None) -> tuple[int, bool]:
        """Keep a picture and what was said about it.

        Args:
            picture: The file as it was sent; a picture that could be decoded.
            said: The answer, and what was said about it.
            mask: A PNG, the mask that was said to be right.

        Returns:
            The id, and whether it is new: who says the same twice is told the first id.

        Raises:
            FolderFull: If there is no room for it.
            OSError: If it cannot be written; then nothing is kept.
        """
        sha256 = hashlib.sha256(picture).hexdigest()
        # It may have been moved away to make room; the pictures are other people's.
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock, opened_to_append(self._path / LOG_NAME) as file:
            tally = self._look(file)
            known = tally.said.get(_same(sha256, said))
            if known is not None:
                return known, False
            image = tally.pictures.get(sha256)
            is_new = image is None
            image = image or f"{PICTURES}/{sha256[:2]}/{sha256}.{_ending(picture)}"
            masked = (
                None if mask is None else f"{MASKS}/{sha256[:2]}/{sha256}-{tally.last_id + 1}.png"
            )
            stored = (len(picture) if is_new else 0) + len(mask or b"")
            self._check_room(tally, said, stored)
            if is_new:
                self._write(image, picture)
            if masked is not None and mask is not None:
                self._write(masked, mask)
            number, at = tally.last_id + 1, self._clock()
            line = Feedback(number, at, sha256, image, masked, stored, said)
            append_lines(file, [line.to_json()])
            return number, True

    def _check_room(self, tally: _Tally, said: Said, stored: int) -> None:
        room, share = self._room, 1.0 if said.origin == "person" else self._room.unsure_share
        if tally.lines >= share * room.max_count or tally.bytes + stored > share * room.max_bytes:
            raise FolderFull("The server's limit on feedback has been reached.")
        if said.by is not None and tally.by_key[said.by] >= share * room.max_per_key:
            raise FolderFull("The limit on feedback from this key has been reached.")

    def _write(self, name: str, content: bytes) -> None:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content, durable=True)

    def _look(self, file: IO[bytes]) -> _Tally:
        """Add what other processes have appended since; start afresh in another file."""
        tally, stat = self._tally, os.fstat(file.fileno())
        if tally.file != (stat.st_dev, stat.st_ino) or stat.st_size < tally.place:
            tally = self._tally = _Tally()
            tally.file = (stat.st_dev, stat.st_ino)
        file.seek(tally.place)
        for line in file.read().split(b"\n")[:-1]:
            tally.add(FORMAT.parse(self._path / LOG_NAME, tally.lines + 1, line))
            tally.place += len(line) + 1
        return tally


def _ending(picture: bytes) -> str:
    """Return the ending that readers look for."""
    kind = (sniff(picture) or "bin").lower()
    return "jpg" if kind == "jpeg" else kind
