"""The append-only list of pictures moved to quarantine and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from foveal.curation import disk
from foveal.curation.disk import Identity
from foveal.curation.lines import line_of, whole_lines
from foveal.curation.prepare import Move
from foveal.types import JsonObject


@final
class Manifest:
    """A line for each picture that was moved to quarantine, and one for each that is back.

    Args:
        path: The file; made by the first line.
    """

    def __init__(self, path: Path) -> None:
        """Remember the file; nothing is read yet."""
        self._path = path

    def moved(
        self, cleaning: int, moves: Sequence[Move], identities: Mapping[str, Identity]
    ) -> None:
        """Say what a cleaning moved to quarantine.

        Args:
            cleaning: Its number.
            moves: All that it moved.
            identities: Name before → what the file is.
        """
        self._append(
            [
                {
                    "cleaning": cleaning,
                    "event": "quarantined",
                    "id": move.sample,
                    "from": move.source,
                    "to": move.target,
                    **identities[move.source].to_json(),
                    "reason": move.reason,
                    "finding": move.finding,
                    "at": _now(),
                }
                for move in moves
                if move.is_quarantine
            ]
        )

    def restored(self, cleaning: int) -> None:
        """Say that what a cleaning moved is back, unless that is said already."""
        rows = [row for row in read_lines(self._path) if row["cleaning"] == cleaning]
        back = {row["from"] for row in rows if row["event"] == "restored"}
        self._append(
            [
                {**row, "event": "restored", "at": _now()}
                for row in rows
                if row["event"] == "quarantined" and row["from"] not in back
            ]
        )

    def _append(self, rows: Sequence[JsonObject]) -> None:
        if rows:
            disk.append(self._path, b"".join(map(line_of, rows)))


def read_lines(path: Path) -> list[JsonObject]:
    """Return the whole lines of a file of JSON lines; none where there is no file."""
    return [json.loads(line) for line in whole_lines(path)]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
