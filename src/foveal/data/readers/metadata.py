"""Tables of the Hugging Face imagefolder, and a table of labels for each side of a split."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, final

from foveal.data.names import SPLIT_ALIASES
from foveal.data.readers.base import Place, Reader
from foveal.data.readers.listed import listed_pictures, read_listed, read_table
from foveal.data.readers.rows import decode_table, names_of
from foveal.data.source import Source, SourceOptions
from foveal.errors import DataError

_ROOT = ("metadata.csv", "metadata.jsonl")
_IN_SIDES = (*_ROOT, "labels.csv", "labels.jsonl", "labels.tsv", "labels.ndjson")


@final
class MetadataReader(Reader):
    """`metadata.csv` or `.jsonl` with a column `file_name`, at the top or in each side's folder.

    Tables of labels in the folders of the sides are read in the same way. Names are relative to the
    folder of their table, and its pictures are on its side.
    """

    name: ClassVar[str] = "metadata"
    expects: ClassVar[str] = (
        "metadata.csv or metadata.jsonl with the columns file_name,label, "
        "or such a table or labels.csv in each of train/, val/, test/"
    )

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the source of the tables, or None when there are none.

        Raises:
            DataError: If a folder has several tables, or one has no column of labels.
        """
        if place.file is not None:
            return None
        root = _only(place, [name for name in place.listing.files if name.lower() in _ROOT])
        if root is not None:
            # A table of this name may be about something else.
            if options.layout == "auto" and not _names_pictures(place, root):
                return None
            return listed_pictures(place, [read_listed(place, root, options)], options)
        listed = []
        for folder in place.listing.folders:
            side = SPLIT_ALIASES.get(folder.lower())
            table = None if side is None else _only(place, _tables_in(place, folder))
            if table is not None:
                listed.append(read_listed(place, table, options, side))
        return listed_pictures(place, listed, options) if listed else None


def _names_pictures(place: Place, table: str) -> bool:
    """Return whether a table has a column for the names of pictures."""
    line = decode_table(table, read_table(place.storage, table)).split("\n", 1)[0].lower()
    columns = re.split(r'[,;\t"{:]+', line)
    return "image" in names_of({column.strip() for column in columns}, "labels")


def _tables_in(place: Place, folder: str) -> Iterable[str]:
    beside = (name for name in place.listing.files if name.startswith(f"{folder}/"))
    return [name for name in beside if name[len(folder) + 1 :].lower() in _IN_SIDES]


def _only(place: Place, tables: Iterable[str]) -> str | None:
    found = list(tables)
    if len(found) > 1:
        raise DataError(
            f"{place.location} contains {' and '.join(found)}. Expected one table.",
            hint="move the other tables elsewhere",
        )
    return found[0] if found else None
