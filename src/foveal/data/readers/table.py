"""`labels.csv` and `labels.jsonl`: `image,label[,split][,group][,weight]`, labels joined by `|`."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foveal.data.readers.folders import SPLIT_FOLDERS, FileSource
from foveal.data.source import Sample
from foveal.errors import DataError, nearest
from foveal.types import Finding, SplitName

TABLE_NAMES = ("labels.csv", "labels.jsonl")
_ALIASES = {
    "image": "image", "filename": "image", "file": "image", "path": "image",
    "label": "label", "class": "label", "text": "label", "labels": "label",
    "split": "split", "group": "group", "weight": "weight",
}


def read_table(location: str, table: Path) -> FileSource:
    """Return the source of a table; pictures are looked for beside it.

    Rows whose picture is missing are a finding; a row that cannot be understood is an error.

    Raises:
        DataError: Naming the file and the line.
    """
    root = table.parent
    samples: list[Sample] = []
    missing: list[str] = []
    seen: dict[str, int] = {}
    for line, row in _rows(table):
        sample = _sample(table, line, row)
        if sample.id in seen:
            raise DataError(
                f"{table}, line {line}: {sample.id} stands in line {seen[sample.id]} already.",
                hint="join several labels of one picture with '|'",
            )
        seen[sample.id] = line
        found = _locate(root, sample.id)
        if found is None:
            missing.append(sample.id)
            continue
        samples.append(
            sample if found == sample.id
            else Sample(found, sample.raw, sample.split, sample.group, sample.weight)
        )
    findings = _missing(table, missing)
    if not samples:
        raise DataError(
            f"None of the {len(missing)} pictures that {table} names is there"
            + (f"; the first is {missing[0]}." if missing else ": it has no rows."),
            hint="paths in the table are relative to its folder",
        )
    layout = f"{len(samples)} pictures in {table.name}"
    return FileSource(location, layout, tuple(samples), findings, root)


def _locate(root: Path, name: str) -> str | None:
    """Return the path below `root`; a bare file name may also lie in `images/`."""
    for candidate in (name, f"images/{name}"):
        if (root / candidate).is_file():
            return candidate
    return None


def _missing(table: Path, missing: list[str]) -> tuple[Finding, ...]:
    if not missing:
        return ()
    return (
        Finding(
            id="data.missing_file",
            severity="warning",
            message=f"{len(missing)} rows of {table.name} name pictures that are not there.",
            samples=tuple(missing[:20]),
            count=len(missing),
            hint="paths in the table are relative to its folder",
        ),
    )


def _rows(table: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read {table}: {error}.", hint="save it as UTF-8") from error
    yield from _json_rows(table, text) if table.suffix == ".jsonl" else _csv_rows(table, text)


def _csv_rows(table: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = text.splitlines()
    if not lines:
        raise DataError(f"{table} is empty. Expected a header: image,label.")
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        columns = _columns(table, [name.strip() for name in next(reader)])
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(columns):
                raise DataError(
                    f"{table}, line {reader.line_num}: expected {len(columns)} cells, "
                    f"received {len(row)}."
                )
            yield reader.line_num, dict(zip(columns, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}: {error}.") from error


def _json_rows(table: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{table}, line {number}: not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(f"{table}, line {number}: expected an object.")
        yield number, dict(zip(_columns(table, list(row)), row.values(), strict=True))


def _columns(table: Path, names: list[str]) -> list[str]:
    """Return the standard names of the columns; unknown ones keep theirs and are not used."""
    columns = [_ALIASES.get(name.lower(), f"?{name}") for name in names]
    for wanted in ("image", "label"):
        if columns.count(wanted) == 1:
            continue
        near = nearest(wanted, names)
        guess = f" Is it {near!r}?" if near and wanted not in columns else ""
        count = columns.count(wanted)
        raise DataError(
            f"{table}: expected one column {wanted!r}, received {count}: {', '.join(names)}.{guess}",
            hint="the header is image,label[,split][,group][,weight]",
        )
    return columns


def _sample(table: Path, line: int, row: Mapping[str, Any]) -> Sample:
    name = _text(row["image"])
    if not name:
        raise DataError(f"{table}, line {line}: the picture has no name.")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(
            f"{table}, line {line}: {name} leads out of the folder of the table.",
            hint="use paths relative to the table",
        )
    label = row["label"]
    cells = label if isinstance(label, list) else [] if label is None else _text(label).split("|")
    raw = tuple(dict.fromkeys(text for cell in cells if (text := _text(cell))))
    return Sample(
        id=Path(name).as_posix(),
        # An empty cell means "none of the labels" beside several-label rows, else unlabelled;
        # the task tells them apart.
        raw=raw or None,
        split=_split(table, line, _text(row.get("split"))),
        group=_text(row.get("group")) or None,
        weight=_weight(table, line, _text(row.get("weight"))),
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _split(table: Path, line: int, text: str) -> SplitName | None:
    if not text:
        return None
    if text.lower() not in SPLIT_FOLDERS:
        raise DataError(
            f"{table}, line {line}: invalid split {text!r}. Expected train, val or test."
        )
    return SPLIT_FOLDERS[text.lower()]


def _weight(table: Path, line: int, text: str) -> float:
    if not text:
        return 1.0
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise DataError(f"{table}, line {line}: invalid weight {text!r}. Expected 0 or more.")
    return weight
