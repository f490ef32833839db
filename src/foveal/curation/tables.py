"""Change labels in a table, or leave rows out, and keep every other byte of it."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias, final

from foveal.curation.json_text import members_of
from foveal.curation.prepare import Edit, unless_changed
from foveal.data.files_source import FileSource, TableLabels
from foveal.data.readers.lines import place_in_line, read_lines
from foveal.data.readers.listed import folder_of, picture_resolver, read_table
from foveal.data.readers.rows import (
    SEPARATOR,
    BadRow,
    Row,
    columns_of,
    decode_table,
    delimiter_of,
    make_row,
    names_of,
    read_rows,
)
from foveal.data.source import TargetKind
from foveal.errors import DataError

Resolve: TypeAlias = Callable[[str], str | None]

_BREAK = re.compile(r"\r\n|\r|\n")


@final
@dataclass(frozen=True, slots=True)
class _Span:
    """The position of a row in the text of a table.

    Attributes:
        line: Number of the line that it ends on, from 1.
        start: Where its first character is.
        end: After its line ending.
        label: Start and end of its label as it is written; None where it has none.
        write: From a label to how it is written there.
    """

    line: int
    start: int
    end: int
    label: tuple[int, int] | None
    write: Callable[[str], str]


def edited_table(
    name: str,
    data: bytes,
    target: TargetKind,
    resolve: Resolve,
    changes: Mapping[str, str | None],
    column: str | None = None,
) -> bytes:
    """Return a table with other labels for some samples, byte for byte the same elsewhere.

    All rows about a sample are changed, so that none contradicts another.

    Args:
        name: Name of the table; its ending says how it is read.
        data: The table.
        target: Kind of label.
        resolve: From the name of a picture in the table to the sample's id.
        changes: Sample id → new label, several joined by `|`, or text; None leaves its rows out.
        column: Which column holds the labels; None finds it by its name.

    Raises:
        DataError: If the table cannot be read, or a label cannot be written into it.
    """
    text = decode_table(name, data)
    spans = {span.line: span for span in _spans(name, text, target, column)}
    before = list(_rows(name, data, target, column))
    pieces: list[str] = []
    wanted: list[Row | BadRow] = []
    at = 0
    for row in before:
        sample = resolve(row.image) if isinstance(row, Row) else None
        if not isinstance(row, Row) or sample is None or sample not in changes:
            wanted.append(row)
            continue
        span, label = spans[row.line], changes[sample]
        if label is None:
            pieces.append(text[at : span.start])
            at = span.end
            continue
        if span.label is None:
            raise DataError(
                f"{name}, line {row.line}, has no cell for the label.", hint="add it by hand"
            )
        pieces += [text[at : span.label[0]], span.write(label)]
        at = span.label[1]
        made = make_row(row.line, {"image": row.image, "label": label}, target)
        wanted.append(replace(row, raw=made.raw) if isinstance(made, Row) else row)
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    after = mark + ("".join(pieces) + text[at:]).encode()
    _verify(name, wanted, list(_rows(name, after, target, column)))
    return after


def table_edits(
    source: FileSource, data: Path, target: TargetKind, changes: Mapping[str, str | None]
) -> Iterator[Edit]:
    """Yield the edits of the tables that labels are in.

    Args:
        source: The data.
        data: Their folder.
        target: Kind of label.
        changes: See `edited_table`.

    Raises:
        DataError: See `edited_table`; and by an edit when its table has changed since.
    """
    by, storage = source.labelled_by, source.storage
    if not changes or not isinstance(by, TableLabels):
        return
    listing = storage.listing()
    for table in by.files:
        before = read_table(storage, table)
        resolve = picture_resolver(storage, listing, folder_of(table))
        content = edited_table(table, before, target, resolve, changes, by.column)
        if content != before:
            yield Edit(table, partial(unless_changed, data / table, before, content))


def _rows(name: str, data: bytes, target: TargetKind, column: str | None) -> Iterator[Row | BadRow]:
    if PurePosixPath(name).suffix.lower() == ".txt":
        return read_lines(name, data, target)
    return read_rows(name, data, target, column)


def _verify(name: str, wanted: list[Row | BadRow], found: list[Row | BadRow]) -> None:
    """Read the new table as training will, rather than trust what was written.

    Raises:
        DataError: If it does not say what it should.
    """
    if len(wanted) == len(found):
        pairs = zip(wanted, found, strict=True)
        wrong = [one for one, other in pairs if replace(other, line=one.line) != one]
        if not wrong:
            return
        row = wrong[0]
        if isinstance(row, Row):
            raise DataError(
                f"{'|'.join(row.raw or ())!r} cannot be written into {name} as the label of "
                f"{row.image}.",
                hint="use a label without line breaks and without spaces around it",
            )
    raise DataError(
        f"{name} cannot be edited without changing other rows.",
        hint="look for line breaks and quotes in its cells",
    )


def _spans(name: str, text: str, target: TargetKind, column: str | None) -> Iterator[_Span]:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".txt":
        return _line_spans(text)
    if suffix in (".jsonl", ".ndjson"):
        return _json_spans(text, target, column)
    return _csv_spans(name, text, target, column)


def _csv_spans(
    name: str, text: str, target: TargetKind, label_column: str | None
) -> Iterator[_Span]:
    delimiter = delimiter_of(text)
    header = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    column = columns_of(name, header, target, label_column)["label"]
    # A cell that begins with a quote goes on to the next single one; what follows that is kept.
    cell = re.compile(rf'"(?:[^"]|"")*(?:"[^{delimiter}\r\n]*)?|[^{delimiter}\r\n]*')
    at, line = 0, 0
    while at < len(text):
        start, label, number = at, None, 0
        while True:
            end = cell.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too
            if number == column:
                label = (at, end)
            number, at = number + 1, end
            if text[at : at + 1] != delimiter:
                break
            at += 1
        ending = _BREAK.match(text, at)
        at = ending.end() if ending else at
        line += sum(1 for _ in _BREAK.finditer(text, start, at)) + (0 if ending else 1)
        was = text[slice(*label)] if label else ""
        yield _Span(line, start, at, label, partial(_cell, was, delimiter))


def _cell(was: str, delimiter: str, label: str) -> str:
    """Return a label as a cell; quoted where it has to be, or where the one before was."""
    if was.startswith('"') or any(mark in label for mark in (delimiter, '"', "\r", "\n")):
        return '"' + label.replace('"', '""') + '"'
    return label


def _line_spans(text: str) -> Iterator[_Span]:
    at = 0
    for line, row in enumerate(text.split("\n"), 1):
        bare = row.removesuffix("\r")
        place = place_in_line(bare)
        label = None if place is None else (at + place[1], at + len(bare))
        end = min(at + len(row) + 1, len(text))
        yield _Span(line, at, end, label, str)
        at = end


def _json_spans(text: str, target: TargetKind, label_column: str | None) -> Iterator[_Span]:
    at = 0
    for line, row in enumerate(text.split("\n"), 1):
        end = min(at + len(row) + 1, len(text))
        try:
            members = members_of(row)
        except (ValueError, RecursionError):
            members = {}
        name = names_of(members, target, label_column).get("label")
        if name is not None:
            start, stop, was = members[name]
            write = partial(_value, was, row.isascii())
            yield _Span(line, at, end, (at + start, at + stop), write)
        else:
            yield _Span(line, at, end, None, str)
        at = end


def _value(was: Any, is_ascii: bool, label: str) -> str:
    """Return a label as JSON, of the kind that it replaces."""
    value: Any = label
    if isinstance(was, list):
        value = label.split(SEPARATOR)
    elif isinstance(was, int) and not isinstance(was, bool):
        value = int(label) if re.fullmatch("0|[1-9][0-9]*", label) else label
    return json.dumps(value, ensure_ascii=is_ascii)
