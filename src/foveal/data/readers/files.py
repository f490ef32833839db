"""Unlabelled pictures in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import ClassVar, final

from foveal.data.findings import about, plural, quoted
from foveal.data.names import is_foreign_picture_name
from foveal.data.readers.base import Place, Reader
from foveal.data.source import Sample, Source, SourceOptions
from foveal.types import Finding

_SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
# Of other files only those that are called what tables of labels are.
_TABLES = (".json", ".csv", ".tsv", ".jsonl", ".ndjson")
_TABLE_STEMS = ("labels", "annotations")


@final
class FilesReader(Reader):
    """Every picture below the folder, without a label."""

    name: ClassVar[str] = "files"
    expects: ClassVar[str] = "pictures"

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the pictures, or None when there are none."""
        samples = [Sample(name, None) for name in place.pictures]
        if not samples:
            return None
        layout = f"{plural(len(samples), 'picture')} without labels"
        findings = (*foreign_files(place.names), *unread_tables(place))
        return place.source(layout, samples, findings)


def foreign_files(names: Iterable[str]) -> tuple[Finding, ...]:
    """Return the finding about pictures of formats that are not supported, if there are any."""
    foreign = [name for name in names if is_foreign_picture_name(name)]
    endings = sorted({name.rpartition(".")[2].lower() for name in foreign})
    words = f"left out: {', '.join(endings)} not supported."
    hint = "convert them to JPEG or PNG"
    return about(foreign, "images.foreign_format", "warning", "picture", words, hint=hint)


def unread_tables(place: Place) -> tuple[Finding, ...]:
    """Return the finding about files that plausibly are the labels but are not read, if any.

    Meant for pictures in which no other labels are found: elsewhere such a file may be anything.
    """
    names = [name for name in place.names if _may_be_labels(name)]
    words = f"beside the pictures, not read: {quoted(names)}."
    hint = "if it holds the labels, save it as labels.csv with the columns image,label"
    return about(names, "data.table_not_read", "warning", "table", words, hint=hint)


def _may_be_labels(name: str) -> bool:
    path = PurePosixPath(name.lower())
    return path.suffix in _SPREADSHEETS or (path.suffix in _TABLES and path.stem in _TABLE_STEMS)
