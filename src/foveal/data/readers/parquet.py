"""Parquet with embedded pictures: one file, or the shards of a Hugging Face data set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar, final

from foveal.data.findings import about, plural, split_as_given
from foveal.data.names import SPLIT_ALIASES
from foveal.data.parquet_file import ParquetFile
from foveal.data.parquet_source import ParquetSource
from foveal.data.readers.base import Place, Reader
from foveal.data.readers.rows import BadRow, Row, as_cell, make_row, missing_column, names_of
from foveal.data.source import Sample, Source, SourceOptions
from foveal.data.storage import LocalStorage
from foveal.errors import DataError
from foveal.types import Finding, SplitName


@final
class ParquetReader(Reader):
    """Columns `image` (bytes, or a struct with them) and `label`, in one file or several.

    Numbers of classes get the names that Hugging Face data sets keep in the file. A side is what
    the column `split` says, or the name of the file: `train-00000-of-00002.parquet`.
    """

    name: ClassVar[str] = "parquet"
    expects: ClassVar[str] = "Parquet files with the columns image,label and pictures in them"

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the source of the files, or None when there are none.

        Raises:
            DataError: If one cannot be read, or a column is missing.
        """
        names = [name for name in place.names if name.lower().endswith(".parquet")]
        if not names:
            return None
        if not isinstance(place.storage, LocalStorage):
            raise DataError(
                f"Parquet files cannot be read from {place.location}. Expected a folder of this "
                "machine.",
                hint="copy the files to this machine first",
            )
        files = {name: ParquetFile(place.storage.path / name) for name in names}
        samples: list[Sample] = []
        findings: list[Finding] = []
        for name, file in files.items():
            found, bad = _samples(name, file, options)
            samples += found
            findings += _bad_rows(name, bad)
        labels = {label for sample in samples for label in sample.raw or ()}
        word = "text" if options.target == "text" else "label"
        shown = names[0] if len(names) == 1 else plural(len(names), "Parquet file")
        layout = f"{plural(len(samples), 'picture')} in {shown} with {plural(len(labels), word)}"
        layout += split_as_given(sample.split for sample in samples)
        return ParquetSource(place.location, layout, tuple(samples), tuple(findings), files)


def _samples(
    name: str, file: ParquetFile, options: SourceOptions
) -> tuple[list[Sample], list[BadRow]]:
    pictures = file.picture_column
    others = {column.lower(): column for column in file.columns if column != pictures}
    found = names_of(others, options.target, options.label_column)
    found.pop("image", None)
    if "label" not in found:
        raise missing_column(name, "label", list(others.values()), options.label_column)
    columns = {key: others[alias] for key, alias in found.items()}
    values = {key: file.values(column) for key, column in columns.items()}
    texts = _texts(name, values.pop("label"), file.class_names.get(columns["label"]))
    side = _side_of(name)
    samples, bad = [], []
    for row, text in enumerate(texts):
        cells = {key: as_cell(column[row]) for key, column in values.items()}
        if text is not None:
            cells["label"] = text
        made = make_row(row, {**cells, "image": "-"}, options.target)
        if isinstance(made, Row):
            sides = made.split or side
            samples.append(Sample(f"{name}/{row}", made.raw, sides, made.group, made.weight))
        else:
            bad.append(made)
    return samples, bad


def _texts(name: str, values: Sequence[Any], names: tuple[str, ...] | None) -> list[str | None]:
    """Return the labels as a table of text has them: names for numbers, several joined by `|`."""

    def text_of(value: Any) -> str | None:
        # Hugging Face has -1 where a label is not known.
        if value is None or (names is not None and value == -1):
            return None
        if isinstance(value, list):
            return as_cell([text_of(item) for item in value])
        if names is None or not isinstance(value, int):
            return as_cell(value)
        if not 0 <= value < len(names):
            raise DataError(
                f"{name} has the class number {value}. Expected 0 to {len(names) - 1}, since it "
                f"names {plural(len(names), 'class')}."
            )
        return names[value]

    return [text_of(value) for value in values]


def _side_of(name: str) -> SplitName | None:
    """Return the part that the name of a file or its folder refers to, or None."""
    path = PurePosixPath(name)
    for part in (path.stem, *reversed(path.parent.parts)):
        sides = {SPLIT_ALIASES[w] for w in re.split(r"[^a-z]+", part.lower()) if w in SPLIT_ALIASES}
        if len(sides) == 1:
            return sides.pop()
    return None


def _bad_rows(name: str, bad: Sequence[BadRow]) -> tuple[Finding, ...]:
    if not bad:
        return ()
    first = f"the first, row {bad[0].line}, {bad[0].reason}."
    where = [f"{name}/{row.line}" for row in bad]
    return about(where, "table.bad_row", "warning", "row", f"of {name} left out; {first}")
