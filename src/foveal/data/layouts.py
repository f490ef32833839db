"""Detect the layout of data, and open it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from foveal.data.findings import about, finding, plural
from foveal.data.locate import open_storage
from foveal.data.readers import Place, Reader, readers_for
from foveal.data.source import ReadAnything, Sample, Source, SourceOptions
from foveal.data.texts import tidy_texts
from foveal.errors import DataError, RecipeError
from foveal.types import Finding, Severity


def open_source(location: str | Path, options: SourceOptions | None = None) -> Source:
    """Return the source at a path or an fsspec URL.

    Args:
        location: A folder, a labels file, an array file, or a URL of one.
        options: Reading options of the recipe and the task; None detects everything.

    Raises:
        DataError: If nothing is there, or nothing that can be read.
        RecipeError: For an unknown layout or a bad regular expression.
    """
    options = options or ReadAnything()
    pattern = _compile("data.group_regex", options.group_regex)
    _compile("data.label_regex", options.label_regex)
    storage = open_storage(location)
    kind = storage.kind()
    if kind == "missing":
        raise storage.missing()
    place = Place(storage) if kind == "folder" else Place(*storage.parent())
    reader, opened = _open(place, options)
    source = replace(opened, location=str(location))
    if options.label_regex is not None and reader.name != "names":
        source = replace(source, findings=(*source.findings, _not_used(reader)))
    if options.target == "text":
        source = tidy_texts(source)
    if not source.samples:
        raise _no_samples(source)
    return source if pattern is None else _grouped(source, pattern)


def _no_samples(source: Source) -> DataError:
    """Return the error for data without a picture, with why some were left out."""
    message = f"There are no pictures in {source.location}. Found: {source.layout}."
    hint: str | None = "foveal train DATA expects DATA/<class>/*.jpg"
    why = next((finding for finding in source.findings if finding.severity != "info"), None)
    if why is not None:
        message, hint = f"{message} {why.message}", why.hint
    return DataError(message, hint=hint, code="data_empty")


def _compile(key: str, regex: str | None) -> re.Pattern[str] | None:
    if regex is None:
        return None
    try:
        return re.compile(regex)
    except re.error as error:
        raise RecipeError(
            f"Invalid regular expression in {key}: {error}. Received: {regex!r}."
        ) from error


def _not_used(reader: Reader) -> Finding:
    return finding(
        "data.label_regex_not_used",
        "warning",
        f"data.label_regex is not used: the layout is {reader.name} ({reader.expects}).",
        hint="use --set data.layout=names",
    )


def _open(place: Place, options: SourceOptions) -> tuple[Reader, Source]:
    readers = readers_for(options)
    if place.file is None and not place.listing.files:
        folders = place.listing.folders
        what = "contains only empty folders" if folders else "is empty"
        raise DataError(
            f"The folder {place.location} {what}.",
            hint="foveal train DATA expects DATA/<class>/*.jpg",
            code="data_empty",
        )
    for reader in readers:
        source = reader.read(place, options)
        if source is not None:
            return reader, source
    if place.file is not None:
        raise _unknown_file(place.location, place.file)
    raise _unknown_folder(place, readers, options)


def _unknown_folder(place: Place, readers: Sequence[Reader], options: SourceOptions) -> DataError:
    if len(readers) == 1:
        return DataError(
            f"{place.location} does not have the layout data.layout={readers[0].name}. Expected "
            f"{readers[0].expects}.",
            hint="use --set data.layout=auto",
        )
    if options.target == "mask":
        expected = ", or ".join(reader.expects for reader in readers)
        return DataError(
            f"There are no pictures with masks in {place.location}. Expected {expected}.",
            hint="put pictures into images/ and masks of the same names into masks/",
            code="data_empty",
        )
    names = place.listing.files
    endings = sorted({Path(name).suffix or "no ending" for name in names})
    return DataError(
        f"There are no pictures in {place.location}: "
        f"{plural(len(names), 'file')} with {', '.join(endings[:6])}.",
        hint=(
            "foveal train DATA expects JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF files, "
            "labels.csv or .npz"
        ),
        code="data_empty",
    )


def _unknown_file(location: str, name: str) -> DataError:
    if Path(name).suffix.lower() in (".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"):
        return DataError(
            f"{location} cannot be read in place. Expected a folder, a zip or a tar.",
            hint="unpack it first, or pack it again: tar -cf photos.tar photos",
        )
    return DataError(
        f"{location} is a file. Expected a folder of pictures, a table (.csv, .jsonl), "
        "arrays (.npz, .npy), Parquet, or an archive (.zip, .tar).",
        hint="foveal train DATA expects DATA/<class>/*.jpg",
    )


def _grouped(source: Source, pattern: re.Pattern[str]) -> Source:
    samples: list[Sample] = []
    unmatched: list[str] = []
    for sample in source.samples:
        match = pattern.search(sample.id)
        if sample.group is None and match is not None:
            name = match.group(1) if pattern.groups else match.group(0)
            samples.append(replace(sample, group=name))
        else:
            samples.append(sample)
        if sample.group is None and match is None:
            unmatched.append(sample.id)
    groups = {sample.group for sample in samples} - {None}
    words = "not matched by data.group_regex: each is a group of its own."
    severity: Severity = "info" if groups else "warning"
    found = about(unmatched, "data.no_group", severity, "picture", words)
    return replace(source, samples=tuple(samples), findings=(*source.findings, *found))
