"""A table of addresses of pictures and their labels."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from foveal.data.readers.rows import as_cell, csv_cells, decode_table
from foveal.errors import DataError, RecipeError, nearest

_ADDRESSES = ("address", "url", "image_url", "link", "href", "image")
_LABELS = ("label", "class", "category")
_MAX_BYTES = 2_000_000_000


@final
@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the table.

    Attributes:
        address: URL of the picture, as it stands there.
        label: Its class.
        fields: The other columns.
    """

    address: str
    label: str
    fields: Mapping[str, str]


def read_list(path: Path, *, reserved: Collection[str]) -> tuple[Listed, ...]:
    """Read a table.

    Args:
        path: CSV with a header, or one JSON object on each line.
        reserved: Names that other columns cannot have.

    Raises:
        RecipeError: If it cannot be read, a column is missing, or a row has no label.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RecipeError(f"{path} is too large. Expected at most {_MAX_BYTES:,} bytes.")
        rows = tuple(_rows(path, decode_table(str(path), path.read_bytes()), reserved))
    except OSError as error:
        raise RecipeError(f"Cannot read {path}: {error.strerror}.") from error
    except DataError as error:
        raise RecipeError(error.message, hint=error.hint) from error
    if not rows:
        raise RecipeError(
            f"{path} has no rows.", hint="the first line names the columns: address,label"
        )
    return rows


def _rows(path: Path, text: str, reserved: Collection[str]) -> Iterator[Listed]:
    is_json = path.suffix.lower() in (".jsonl", ".ndjson")
    for line, values in _json_rows(path, text) if is_json else _csv_rows(path, text):
        address, label = (_named(path, line, values, names) for names in (_ADDRESSES, _LABELS))
        fields = {key: value for key, value in values.items() if key not in (address, label)}
        taken = next((key for key in fields if not key or key in reserved), None)
        if taken is not None:
            raise RecipeError(
                f"{path} has a column {taken!r}, a name that is reserved for provenance.csv.",
                hint="rename the column",
            )
        name = values[label].strip()
        if not name:
            raise RecipeError(
                f"{path}, line {line}, has no label.", hint="fill in or remove the row"
            )
        yield Listed(values[address].strip(), name, fields)


def _named(path: Path, line: int, values: Mapping[str, str], names: tuple[str, ...]) -> str:
    """Return the column that has one of the names."""
    found = next((key for name in names for key in values if key.lower() == name), None)
    if found is None:
        near = next((other for name in names if (other := nearest(name, values))), None)
        guess = f" Did you mean {near!r}?" if near else ""
        raise RecipeError(
            f"{path}, line {line}, has no {names[0]}.{guess} Expected a column named one of: "
            f"{', '.join(names)}. Received: {', '.join(values)[:200] or 'nothing'}.",
            hint="the first line names the columns: address,label",
        )
    return found


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    rows = csv_cells(str(path), text)
    header = [cell.strip() for cell in next(rows)[1]]
    for name in header:
        if header.count(name) > 1:
            raise RecipeError(f"{path} has two columns named {name!r}.")
    _named(path, 1, dict.fromkeys(header, ""), _ADDRESSES)
    _named(path, 1, dict.fromkeys(header, ""), _LABELS)
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise RecipeError(
                f"{path}, line {line}, has {len(cells)} cells where the header has {len(header)}.",
                hint="quote cells that contain the separator",
            )
        yield line, dict(zip(header, cells, strict=True))


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, words in enumerate(text.split("\n"), 1):
        if not words.strip():
            continue
        try:
            entry: Any = json.loads(words)
        except (json.JSONDecodeError, RecursionError) as error:
            raise RecipeError(f"{path}, line {line}, is not JSON.") from error
        if not isinstance(entry, dict):
            raise RecipeError(f"{path}, line {line}, is not a JSON object.")
        yield line, {str(key): as_cell(value) for key, value in entry.items()}
