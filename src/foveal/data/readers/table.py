"""A table of labels beside the pictures: `labels.csv` or `labels.jsonl`."""

from __future__ import annotations

from typing import ClassVar, final

from foveal.data.readers.base import Place, Reader
from foveal.data.readers.listed import listed_pictures, read_listed
from foveal.data.source import Source, SourceOptions

_NAMES = ("labels.csv", "labels.jsonl", "labels.tsv", "labels.ndjson")
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


@final
class TableReader(Reader):
    """`image,label[,split][,group][,weight]`, several labels joined by `|`, or one text."""

    name: ClassVar[str] = "table"
    expects: ClassVar[str] = "labels.csv or labels.jsonl with the columns image,label"

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the source of the table, or None when there is none."""
        table = place.find_table(_NAMES, _SUFFIXES)
        if table is None:
            return None
        return listed_pictures(place, [read_listed(place, table, options)], options)
