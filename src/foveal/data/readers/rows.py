"""Rows of `labels.csv` and `labels.jsonl`: columns by their aliases, values checked one by one."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from foveal.data.readers.base import SPLIT_ALIASES
from foveal.errors import DataError, nearest
from foveal.types import RawTarget, SplitName

SEPARATOR = "|"
_ALIASES: dict[str, tuple[str, ...]] = {
    "image": ("image", "filename", "file", "path", "file_name", "image_path", "filepath"),
    "label": ("label", "class", "text", "labels"),
    "split": ("split",),
    "group": ("group",),
    "weight": ("weight",),
}


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One row that could be understood.

    Attributes:
        line: Number of its line in the file, from 1.
        image: Name of the file, with /.
        raw: The labels, in the order given; None when the cell is empty.
        split: Or None when not stated.
        group: Or None when not stated.
        weight: 1 when not stated.
    """

    line: int
    image: str
    raw: RawTarget | None
    split: SplitName | None
    group: str | None
    weight: float


@final
@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be understood, and why."""

    line: int
    reason: str


def read_rows(name: str, data: bytes) -> Iterator[Row | BadRow]:
    """Yield the rows of a table.

    Args:
        name: Of the file; `.jsonl` and `.ndjson` are JSON lines, all else is CSV.
        data: The file; UTF-8, with or without a byte order mark.

    Raises:
        DataError: When it is not UTF-8 or a column is missing.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8 (byte {error.start}).",
            hint=f"iconv -f latin1 -t utf-8 {name} > new.csv",
        ) from error
    is_json = name.lower().endswith((".jsonl", ".ndjson"))
    return _json_rows(name, text) if is_json else _csv_rows(name, text)


def _csv_rows(name: str, text: str) -> Iterator[Row | BadRow]:
    header_line = text.split("\n", 1)[0]
    # The header decides: label cells may hold any of these.
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = next(reader, [])
        columns = _columns(name, header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            values = {
                key: cells[at].strip() if at < len(cells) else "" for key, at in columns.items()
            }
            if len(cells) > len(header):
                yield BadRow(
                    reader.line_num,
                    f"has {len(cells)} cells where the header has {len(header)}",
                )
            else:
                yield _row(reader.line_num, values)
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: {error}.") from error


def _columns(name: str, header: list[str]) -> dict[str, int]:
    lowered = [cell.strip().lower() for cell in header]
    columns = {
        key: lowered.index(alias)
        for key, aliases in _ALIASES.items()
        if (alias := next((a for a in aliases if a in lowered), None)) is not None
    }
    for key in ("image", "label"):
        if key not in columns:
            raise _missing_column(name, key, [cell.strip() for cell in header])
    return columns


def _missing_column(name: str, key: str, header: list[str]) -> DataError:
    near = next((n for alias in _ALIASES[key] if (n := nearest(alias, header))), None)
    guess = f" Is it {near!r}?" if near else ""
    names = ", ".join(_ALIASES[key])
    return DataError(
        f"{name} has no column for the {key}.{guess} Expected one of: {names}. "
        f"Received: {', '.join(header)[:200] or 'an empty line'}.",
        hint="the first line of the table must name the columns: image,label",
    )


def _json_rows(name: str, text: str) -> Iterator[Row | BadRow]:
    is_first = True
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            yield BadRow(number, "is not JSON")
            continue
        if not isinstance(entry, dict):
            yield BadRow(number, "is not a JSON object")
            continue
        lowered = {str(key).strip().lower(): value for key, value in entry.items()}
        values = {
            key: _cell(lowered[alias])
            for key, aliases in _ALIASES.items()
            if (alias := next((a for a in aliases if a in lowered), None)) is not None
        }
        if is_first and not {"image", "label"} <= set(values):
            missing = "image" if "image" not in values else "label"
            raise _missing_column(name, missing, [str(key) for key in entry])
        is_first = False
        yield _row(number, values)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return SEPARATOR.join(_cell(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()


def _row(line: int, values: Mapping[str, str]) -> Row | BadRow:
    image = values.get("image", "").replace("\\", "/").removeprefix("./")
    if not image:
        return BadRow(line, "names no picture")
    if "\0" in image:
        return BadRow(line, "names a file with a null character")
    labels = (label.strip() for label in values.get("label", "").split(SEPARATOR))
    raw = tuple(dict.fromkeys(label for label in labels if label)) or None
    split_name = values.get("split", "").lower()
    if split_name and split_name not in SPLIT_ALIASES:
        return BadRow(line, f"has the unknown split {split_name!r} (expected train, val or test)")
    weight = _weight(values.get("weight", ""))
    if weight is None:
        return BadRow(line, f"has the weight {values['weight']!r} (expected a number >= 0)")
    return Row(line, image, raw, SPLIT_ALIASES.get(split_name), values.get("group") or None, weight)


def _weight(text: str) -> float | None:
    if not text:
        return 1.0
    try:
        weight = float(text)
    except ValueError:
        return None
    return weight if math.isfinite(weight) and weight >= 0 else None
