"""`labels.txt`: one picture per line, its name followed by its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, final

from foveal.data.names import PICTURE_SUFFIXES, is_picture_name
from foveal.data.readers.base import Place, Reader
from foveal.data.readers.listed import Listed, listed_pictures, read_table
from foveal.data.readers.rows import ALIASES, BadRow, Row, decode_table, make_row
from foveal.data.source import Source, SourceOptions, TargetKind

_ENDINGS = "|".join(sorted(re.escape(suffix) for suffix in PICTURE_SUFFIXES))
# A name that ends like a picture may hold spaces; any other ends at the first space.
_SPACED = re.compile(rf"(.+?(?:{_ENDINGS})|[^ ]+) +(.*)", re.IGNORECASE | re.DOTALL)


@final
class TextReader(Reader):
    """`name<TAB or space>text`; the text may itself hold spaces."""

    name: ClassVar[str] = "text"
    expects: ClassVar[str] = "labels.txt with a picture's name, a space and its text in each line"

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the source of the list, or None when there is none that lists pictures."""
        table = place.find_table(("labels.txt",), (".txt",))
        if table is None:
            return None
        rows = list(read_lines(table, read_table(place.storage, table), options.target))
        # A list of classes is called labels.txt too, and prose ends in .txt.
        if not any(isinstance(row, Row) and is_picture_name(row.image) for row in rows):
            return None
        return listed_pictures(place, [Listed(table, rows)], options)


def read_lines(name: str, data: bytes, target: TargetKind = "text") -> Iterator[Row | BadRow]:
    """Yield the rows of a list of pictures.

    A tab, where the line has one, ends the name: the text is all that follows. Else spaces end
    it, and the text begins after them. Empty lines and a line of column names at the start are
    passed over.

    Args:
        name: Name of the file.
        data: The file; UTF-8, with or without a byte order mark.
        target: Whether what follows the name is one text or labels joined by `|`.

    Raises:
        DataError: If it is not UTF-8.
    """
    # Not splitlines: a text may hold what Unicode counts as the end of a line.
    for number, line in enumerate(decode_table(name, data).split("\n"), 1):
        row = line.removesuffix("\r")
        if not row.strip():
            continue
        image, text = _parts(row)
        if text is None:
            yield BadRow(number, "has no tab or space between a name and a text")
        elif not (number == 1 and _is_header(image, text)):
            yield make_row(number, {"image": image, "label": text}, target)


def _parts(line: str) -> tuple[str, str | None]:
    place = place_in_line(line)
    return (line, None) if place is None else (line[: place[0]], line[place[1] :])


def place_in_line(line: str) -> tuple[int, int] | None:
    """Return where in a line, without its ending, the name ends and the text begins, or None."""
    if "\t" in line:
        tab = line.index("\t")
        return tab, tab + 1
    match = _SPACED.fullmatch(line)
    return (match.end(1), match.start(2)) if match else None


def _is_header(image: str, text: str) -> bool:
    return image.strip().lower() in ALIASES["image"] and text.strip().lower() in ALIASES["label"]
