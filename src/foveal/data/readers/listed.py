"""Sources from tables that list pictures with their labels."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

from foveal.data.decode import DecodeLimits
from foveal.data.files_source import TableLabels
from foveal.data.findings import about, plural
from foveal.data.names import is_picture_name
from foveal.data.readers.base import Place
from foveal.data.readers.rows import BadRow, Row, read_rows
from foveal.data.source import Sample, Source, SourceOptions, TargetKind
from foveal.data.storage import Listing, Storage
from foveal.errors import DataError, ImageError
from foveal.types import Finding, SplitName

# Ten million rows; a larger file is surely not a table of labels.
_TABLE_LIMITS = DecodeLimits(max_bytes=2_000_000_000, max_pixels=1)
_CONFLICT_HINTS: dict[TargetKind, str] = {
    "labels": "join several labels of one picture with |",
    "text": "keep only the correct row",
}


def read_table(storage: Storage, table: str) -> bytes:
    """Return the bytes of a table.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        return storage.read(table, _TABLE_LIMITS)
    except ImageError as error:
        raise DataError(error.message, hint=error.hint) from error


@final
@dataclass(frozen=True, slots=True)
class Listed:
    """A table of pictures.

    Attributes:
        table: Name of the table in the storage; names in it are relative to its folder.
        rows: Rows of the table.
        split: The side of all of its pictures; None where the rows say it, if anything does.
    """

    table: str
    rows: Iterable[Row | BadRow]
    split: SplitName | None = None

    @property
    def within(self) -> str:
        """Return the folder that it is in, with a slash at its end; empty for that of the data."""
        return folder_of(self.table)


def folder_of(table: str) -> str:
    """Return the folder that a table is in; see `Listed.within`."""
    folder, slash, _ = table.rpartition("/")
    return folder + slash


def read_listed(
    place: Place, table: str, options: SourceOptions, split: SplitName | None = None
) -> Listed:
    """Return a table of pictures.

    Args:
        place: Where it is.
        table: Name of the table in the storage.
        options: Kind of label, and its column.
        split: The side of all of its pictures.

    Raises:
        DataError: If it cannot be read, or a column is missing.
    """
    data = read_table(place.storage, table)
    return Listed(table, read_rows(table, data, options.target, options.label_column), split)


def listed_pictures(place: Place, tables: Sequence[Listed], options: SourceOptions) -> Source:
    """Return the source of the pictures that the rows of tables name.

    Args:
        place: The table, or its folder.
        tables: One, or one for each side of a split.
        options: Kind of label.

    Raises:
        DataError: If not one of the pictures of a table exists.
    """
    samples: list[Sample] = []
    findings: list[Finding] = []
    for listed in tables:
        found, about_them = _look_up(place, listed, options.target)
        samples += found
        findings += about_them
    names = " and ".join(listed.table for listed in tables)
    by = TableLabels(tuple(listed.table for listed in tables), options.label_column)
    layout = _layout(names, tuple(samples), options.target)
    return place.source(layout, samples, findings, labelled_by=by)


def _look_up(
    place: Place, listed: Listed, target: TargetKind
) -> tuple[tuple[Sample, ...], tuple[Finding, ...]]:
    """Return the pictures of a table, and what is wrong with its rows."""
    good: list[Row] = []
    bad: list[BadRow] = []
    for row in listed.rows:
        (bad if isinstance(row, BadRow) else good).append(row)  # type: ignore[arg-type]  # narrowed on both sides, which mypy cannot follow
    table, listing = listed.table, place.listing
    beside = [name for name in listing.files if name.startswith(listed.within)]
    found, missing = _find_pictures(place.storage, listing, good, listed.within)
    if good and not found:
        raise _nothing_found(table, good[0], beside)
    samples, repeated, conflicting = _samples(found, listed.split)
    known = {sample.id for sample in samples}
    left = [name for name in beside if is_picture_name(name) and name not in known]
    unlisted = f"not named in {table}, left out."
    findings = (
        *_bad_rows(table, bad),
        *_missing_files(table, missing),
        *about(
            repeated, "table.repeated_row", "info", "row", f"of {table} repeating an earlier row."
        ),
        *about(
            conflicting,
            "table.conflicting_row",
            "warning",
            "row",
            f"of {table} contradicting an earlier row about the same picture; the first row is "
            "used.",
            hint=_CONFLICT_HINTS[target],
        ),
        *about(left, "table.unlisted_file", "info", "picture", unlisted),
    )
    return samples, findings


def _find_pictures(
    storage: Storage, listing: Listing, rows: Iterable[Row], within: str
) -> tuple[list[tuple[str, Row]], list[Row]]:
    """Return (name in the storage, row) of the pictures there, and the rows without one."""
    resolve = picture_resolver(storage, listing, within)
    found: list[tuple[str, Row]] = []
    missing: list[Row] = []
    for row in rows:
        name = resolve(row.image)
        if name is None:
            missing.append(row)
        else:
            found.append((name, row))
    return found, missing


def _from(within: str, image: str) -> str:
    """Return a name in a table as one in the storage, or on this machine where it is one there."""
    is_absolute = image.startswith("/") or ":" in image
    return image if is_absolute or not within else posixpath.normpath(within + image)


def picture_resolver(
    storage: Storage, listing: Listing, within: str
) -> Callable[[str], str | None]:
    """Return a function from a name in a table to that of the picture in the storage, or None.

    Args:
        storage: Where the pictures are.
        listing: Listing of the storage.
        within: The folder that the table is in, see `Listed.within`.
    """
    files = frozenset(listing.files)
    tops = [name for name in listing.folders if "/" not in name]

    def resolve(name: str) -> str | None:
        image = _from(within, name)
        if image in files:
            return image
        # Beside the table or in one folder beside it (`images/`), but never a guess between two.
        inside = [name for top in tops if (name := f"{top}/{image}") in files]
        if len(inside) == 1:
            return inside[0]
        is_outside = image.startswith(("/", "../")) or ":" in image
        return image if is_outside and storage.is_file(image) else None

    return resolve


def _samples(
    found: Iterable[tuple[str, Row]], split: SplitName | None
) -> tuple[tuple[Sample, ...], list[str], list[str]]:
    """Return one sample per picture, the repeated names, and those with conflicting labels."""
    samples: dict[str, Sample] = {}
    repeated: list[str] = []
    conflicting: list[str] = []
    for name, row in found:
        sample = Sample(name, row.raw, row.split or split, row.group, row.weight)
        if name not in samples:
            samples[name] = sample
        elif samples[name] == sample:
            repeated.append(name)
        else:
            conflicting.append(name)
    return tuple(samples.values()), repeated, conflicting


def _layout(table: str, samples: tuple[Sample, ...], target: TargetKind) -> str:
    labels = {label for sample in samples for label in sample.raw or ()}
    word = "text" if target == "text" else "label"
    several = any(len(sample.raw or ()) > 1 for sample in samples)
    return f"{plural(len(samples), 'picture')} in {table} with {plural(len(labels), word)}" + (
        ", several at once" if several else ""
    )


def _nothing_found(table: str, row: Row, beside: Iterable[str]) -> DataError:
    example = next((name for name in beside if is_picture_name(name)), None)
    there = (
        f"The folder contains {example}, for example."
        if example
        else "There are no pictures at all."
    )
    return DataError(
        f"None of the pictures in {table} exists; line {row.line} names {row.image!r}. {there}",
        hint=f"names in {table} are relative to its folder",
        code="data_empty",
    )


def _bad_rows(table: str, bad: list[BadRow]) -> Iterable[Finding]:
    if bad:
        first = f"the first, line {bad[0].line}, {bad[0].reason}."
        where = [f"{table}:{row.line}" for row in bad]
        yield from about(where, "table.bad_row", "warning", "row", f"of {table} left out; {first}")


def _missing_files(table: str, missing: list[Row]) -> Iterable[Finding]:
    if missing:
        yield from about(
            [row.image for row in missing],
            "table.missing_file",
            "warning",
            "picture",
            f"of {table} not found; the first, line {missing[0].line}, is {missing[0].image!r}.",
            hint=f"names in {table} are relative to its folder",
        )
