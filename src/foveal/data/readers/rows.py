"""Parse and validate the rows of `labels.csv` and `labels.jsonl`."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from foveal.data.names import SPLIT_ALIASES
from foveal.data.source import TargetKind
from foveal.errors import DataError, nearest
from foveal.types import RawTarget, SplitName

SEPARATOR = "|"
ALIASES: dict[str, tuple[str, ...]] = {
    "image": ("image", "filename", "file", "path", "file_name", "image_path", "filepath"),
    "label": ("label", "class", "text", "labels"),
    "split": ("split",),
    "group": ("group",),
    "weight": ("weight",),
}


@final
@dataclass(frozen=True, slots=True)
class Row:
    """A valid row.

    Attributes:
        line: Number of its line in the file, from 1.
        image: Name of the file, with /.
        raw: The labels, in the order given, or the one text; None when there is none.
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
    """An invalid row, and why."""

    line: int
    reason: str


def read_rows(
    name: str, data: bytes, target: TargetKind = "labels", label_column: str | None = None
) -> Iterator[Row | BadRow]:
    """Yield the rows of a table.

    Args:
        name: Name of the file; `.jsonl` and `.ndjson` are JSON lines, all else is CSV.
        data: The file; UTF-8, with or without a byte order mark.
        target: Whether a cell holds labels, joined by `|`, or one text, taken as it stands.
        label_column: Which column holds them; None finds it by its name.

    Raises:
        DataError: If it is not UTF-8 or a column is missing.
    """
    text = decode_table(name, data)
    is_json = name.lower().endswith((".jsonl", ".ndjson"))
    rows = _json_rows if is_json else _csv_rows
    return rows(name, text, target, label_column)


def decode_table(name: str, data: bytes) -> str:
    """Return the characters of a table.

    Raises:
        DataError: If it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Spreadsheets begin what they call Unicode text with a mark.
        is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        raise DataError(
            f"{name} is not UTF-8 (byte {error.start}).",
            hint=f"iconv -f {'utf-16' if is_wide else 'latin1'} -t utf-8 {name} > new.csv",
        ) from error


def make_row(line: int, values: Mapping[str, str], target: TargetKind) -> Row | BadRow:
    """Check the values of a row, by the names of the columns; a column may be missing."""
    image = values.get("image", "").strip().replace("\\", "/").removeprefix("./")
    if not image:
        return BadRow(line, "has no picture")
    if "\0" in image:
        return BadRow(line, "names a file with a null character")
    split_name = values.get("split", "").strip().lower()
    if split_name and split_name not in SPLIT_ALIASES:
        return BadRow(line, f"has an unknown split {split_name!r} (expected train, val or test)")
    weight = _weight(values.get("weight", "").strip())
    if weight is None:
        return BadRow(line, f"has an invalid weight {values['weight']!r} (expected a number >= 0)")
    group = values.get("group", "").strip() or None
    return Row(line, image, _raw(values, target), SPLIT_ALIASES.get(split_name), group, weight)


def _raw(values: Mapping[str, str], target: TargetKind) -> RawTarget | None:
    if target == "text":
        return (values["label"],) if "label" in values else None
    labels = (label.strip() for label in values.get("label", "").split(SEPARATOR))
    return tuple(dict.fromkeys(label for label in labels if label)) or None


def delimiter_of(text: str) -> str:
    """Return what stands between the cells of a table: a comma, a semicolon or a tab."""
    # The header decides: label cells may hold any of these.
    return max(",;\t", key=text.split("\n", 1)[0].count)


def _csv_rows(
    name: str, text: str, target: TargetKind, label_column: str | None
) -> Iterator[Row | BadRow]:
    rows = csv_cells(name, text)
    _, header = next(rows, (1, []))
    columns = columns_of(name, header, target, label_column)
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        values = {key: cells[at] for key, at in columns.items() if at < len(cells)}
        if len(cells) > len(header):
            yield BadRow(line, f"has {len(cells)} cells where the header has {len(header)}")
        else:
            yield make_row(line, values, target)


def csv_cells(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line of each row of a CSV file, from 1, and its cells.

    Raises:
        DataError: If a quote that is not closed makes one cell of the rows that follow.
    """
    # The empty line at the end makes two lines of a last one whose quote is not closed.
    lines = [*io.StringIO(text, newline="").readlines(), "\n"]
    delimiter = delimiter_of(text)
    reader = csv.reader(lines, delimiter=delimiter)
    first = 0
    try:
        for cells in reader:
            if reader.line_num - first > 1:
                list(csv.reader(lines[first : reader.line_num], delimiter=delimiter, strict=True))
            first = reader.line_num
            yield first, cells
    except csv.Error as error:
        if reader.line_num - first == 1:
            raise DataError(f"{name}, line {reader.line_num}: {error}.") from error
        raise DataError(
            f"{name}, line {first + 1}: a quote that opens in this row is not closed at the end of "
            "its cell. The rows below it would be read as part of the cell.",
            hint='end the cell with "; a quote that belongs to the cell is written twice: ""',
        ) from error


def columns_of(
    name: str, header: list[str], target: TargetKind, label_column: str | None = None
) -> dict[str, int]:
    """Return the positions of the columns `image`, `label`, … among the cells of a header.

    Raises:
        DataError: If there is none for the picture or the label.
    """
    lowered = [cell.strip().lower() for cell in header]
    names = names_of(lowered, target, label_column)
    columns = {key: lowered.index(alias) for key, alias in names.items()}
    for key in ("image", "label"):
        if key not in columns:
            raise missing_column(name, key, [cell.strip() for cell in header], label_column)
    return columns


def names_of(
    given: Container[str], target: TargetKind, label_column: str | None = None
) -> dict[str, str]:
    """Return what each column is called among the names given, in lower case."""
    names = {}
    for key, aliases in ALIASES.items():
        # A table with a class and a text, read for its texts.
        first = ("text",) if key == "label" and target == "text" else ()
        if key == "label" and label_column is not None:
            first, aliases = (), (label_column.strip().lower(),)
        alias = next((alias for alias in (*first, *aliases) if alias in given), None)
        if alias is not None:
            names[key] = alias
    return names


def missing_column(
    name: str, key: str, header: list[str], label_column: str | None = None
) -> DataError:
    """Return the error for a table without a column, with the nearest one that there is.

    Args:
        name: Name of the table.
        key: `image` or `label`.
        header: Names of its columns.
        label_column: Name that was asked for.
    """
    is_label = key == "label"
    names = (label_column,) if is_label and label_column is not None else ALIASES[key]
    near = next((n for alias in names if (n := nearest(alias, header))), None)
    guess = f" Did you mean {near!r}?" if near else ""
    hint = "the first line of the table must name the columns: image,label"
    if is_label and len(header) > 1:
        hint = f"if the labels are there: --set data.label_column={near or header[-1]}"
    return DataError(
        f"{name} has no column for the {key}.{guess} Expected one of: {', '.join(names)}. "
        f"Received: {', '.join(header)[:200] or 'an empty line'}.",
        hint=hint,
    )


def _json_rows(
    name: str, text: str, target: TargetKind, label_column: str | None
) -> Iterator[Row | BadRow]:
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
        names = names_of(lowered, target, label_column)
        if is_first and not {"image", "label"} <= set(names):
            missing = "image" if "image" not in names else "label"
            raise missing_column(name, missing, [str(key) for key in entry], label_column)
        is_first = False
        if target == "text" and isinstance(lowered.get(names.get("label", "")), (list, dict)):
            yield BadRow(number, "has several values where one text is expected")
            continue
        given = {key: lowered[alias] for key, alias in names.items()}
        values = {key: as_cell(value) for key, value in given.items() if value is not None}
        yield make_row(number, values, target)


def as_cell(value: Any) -> str:
    """Return a value of JSON as a table of text has it; several are joined by `|`."""
    if value is None:
        return ""
    if isinstance(value, list):
        return SEPARATOR.join(as_cell(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _weight(text: str) -> float | None:
    if not text:
        return 1.0
    try:
        weight = float(text)
    except ValueError:
        return None
    return weight if math.isfinite(weight) and weight >= 0 else None
