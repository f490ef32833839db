"""A table of labels beside the pictures: `labels.csv` or `labels.jsonl`."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import ClassVar, final

from foveal.data.readers.base import Reader
from foveal.data.readers.listed import listed_pictures, read_table
from foveal.data.readers.rows import read_rows
from foveal.data.source import Source, SourceOptions
from foveal.data.storage import Listing, Storage
from foveal.errors import DataError

_NAMES = ("labels.csv", "labels.jsonl", "labels.tsv", "labels.ndjson")
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


@final
class TableReader(Reader):
    """`image,label[,split][,group][,weight]`, several labels joined by `|`, or one text."""

    name: ClassVar[str] = "table"
    expects: ClassVar[str] = "labels.csv or labels.jsonl with the columns image,label"

    def read_folder(
        self, storage: Storage, listing: Listing, options: SourceOptions
    ) -> Source | None:
        """Return the source of the folder's table, or None when it has none."""
        tables = [name for name in listing.files if name.lower() in _NAMES]
        if not tables:
            return None
        if len(tables) > 1:
            raise DataError(
                f"{storage.location} contains {' and '.join(tables)}. Expected one table.",
                hint=f"foveal check {storage.location}/{tables[0]}",
            )
        return _read(storage, tables[0], listing, storage.location, options)

    def read_file(self, storage: Storage, name: str, options: SourceOptions) -> Source | None:
        """Return the source of a table, or None for a file of another kind."""
        if PurePosixPath(name).suffix.lower() not in _SUFFIXES:
            return None
        location = storage.locate(name)
        return _read(storage, name, storage.listing(), location, options)


def _read(
    storage: Storage, table: str, listing: Listing, location: str, options: SourceOptions
) -> Source:
    rows = read_rows(table, read_table(storage, table), options.target)
    return listed_pictures(storage, table, listing, location, rows, options.target)
