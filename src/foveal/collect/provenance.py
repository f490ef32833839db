"""`provenance.csv`: where each picture of a collection came from, and where it is now."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from foveal.atomic import write_atomic
from foveal.collect.journal import Known, Record
from foveal.collect.pictures import NAME_DIGITS
from foveal.collect.recipe import COLUMNS
from foveal.data.names import QUARANTINE, is_hidden

logger = logging.getLogger(__name__)

PROVENANCE = "provenance.csv"
_FILE = "file"
# A cleaning adds a number to a name that is taken.
_NAME = re.compile(rf"([0-9a-f]{{{NAME_DIGITS}}})(?:-\d+)?\.\w+$")
# Spreadsheets take a cell that begins with one of these for a formula, and run it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_provenance(folder: Path, known: Known, fields: Sequence[str]) -> None:
    """Write `provenance.csv` from the log, with one row per URL of a picture, and where it is now.

    Args:
        folder: Folder to write to.
        known: What the log says.
        fields: Columns after the fixed ones; further columns of the log follow.
    """
    names = dict.fromkeys(fields)
    for record in known.pictures.values():
        names.update(dict.fromkeys(record["fields"]))
    rows = [[*COLUMNS, *map(as_cell, names)]]
    rows += [_row(record, names) for record in known.pictures.values()]
    # A name may hold half of a character, which UTF-8 cannot write.
    _write(folder, _with_places(folder, rows), errors="replace")


def update_provenance(folder: Path) -> None:
    """Update the column `file` of `provenance.csv`, if there is one, after pictures were moved."""
    path = folder / PROVENANCE
    if not path.is_file():
        return
    # Whatever bytes somebody has put into it stay as they are.
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        logger.warning("%s is not updated: %s", path, error)
        return
    if not rows or _FILE not in rows[0]:
        logger.warning("%s is not updated: it has no column %r", path, _FILE)
        return
    moved = _with_places(folder, rows)
    if moved != rows:
        _write(folder, moved, errors="surrogateescape")


def _with_places(folder: Path, rows: Sequence[list[str]]) -> list[list[str]]:
    """Return rows with the present path of each file; those that are gone keep their last one."""
    column = rows[0].index(_FILE)
    places: Mapping[str, str] | None = None
    placed = [list(row) for row in rows]
    for row in placed[1:]:
        name = row[column] if column < len(row) else ""
        found = _NAME.search(name)
        if found is None or (folder / name).exists():
            continue
        if places is None:
            places = _places(folder)
        row[column] = places.get(found[1], name)
    return placed


def _places(folder: Path) -> Mapping[str, str]:
    """Return the digits in the name of each picture → its path in the folder.

    The digits are those of its content, so a picture is found wherever it was moved to.
    """
    places: dict[str, str] = {}
    roots = [folder / QUARANTINE, *(p for p in folder.iterdir() if not is_hidden(p.name))]
    for root in roots:
        for path in sorted(root.rglob("*"), reverse=True):
            if found := _NAME.fullmatch(path.name):
                # Of several, one that is not in quarantine.
                places[found[1]] = path.relative_to(folder).as_posix()
    return places


def _write(folder: Path, rows: Sequence[Sequence[str]], *, errors: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_atomic(folder / PROVENANCE, text.getvalue().encode("utf-8", errors), durable=True)


def _row(record: Record, names: Mapping[str, None]) -> list[str]:
    values = [record.get(column) for column in COLUMNS]
    given = [record["fields"].get(name) for name in names]
    return [as_cell("" if value is None else str(value)) for value in (*values, *given)]


def as_cell(text: str) -> str:
    """Return a text that spreadsheets do not evaluate as a formula; numbers are unchanged."""
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
