"""Find out how data is laid out, and open it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from foveal.data.readers.arrays import read_arrays
from foveal.data.readers.folders import FileSource, pictures_below, read_folders
from foveal.data.readers.table import TABLE_NAMES, read_table
from foveal.data.source import Sample, Source, SourceOptions, missing_path, with_groups
from foveal.errors import DataError

_ARRAY_ENDINGS = (".npz", ".npy")
_TABLE_ENDINGS = (".csv", ".jsonl")


def open_source(location: str | Path, options: SourceOptions) -> Source:
    """Open the data at a location; how it is laid out is found, not told.

    Args:
        location: A folder, `labels.csv`, `labels.jsonl`, `.npz` or `.npy`.
        options: The recipe's data section.

    Raises:
        DataError: When nothing is there, or nothing that can be read.
    """
    source = _open(str(location), Path(location), options.layout)
    return replace(source, samples=with_groups(source.samples, options.group_regex))


def _open(location: str, path: Path, layout: str) -> Source:
    if not path.exists():
        raise missing_path(path)
    if path.is_file():
        return _open_file(location, path)
    table = next((path / name for name in TABLE_NAMES if (path / name).is_file()), None)
    if table is not None and layout in ("auto", "table"):
        return read_table(location, table)
    if layout in ("auto", "folders"):
        source = read_folders(location, path)
        if source is not None:
            return source
    if layout in ("auto", "arrays"):
        archives = [file for file in sorted(path.iterdir()) if file.suffix in _ARRAY_ENDINGS]
        if archives:
            return read_arrays(location, archives[0])
    if layout != "auto":
        raise DataError(
            f"There is no data of the layout {layout!r} in {path}.", hint="leave data.layout out"
        )
    return _unlabelled(location, path)


def _open_file(location: str, path: Path) -> Source:
    if path.suffix in _ARRAY_ENDINGS:
        return read_arrays(location, path)
    if path.suffix in _TABLE_ENDINGS:
        return read_table(location, path)
    raise DataError(
        f"{path} is a file of no known kind. Expected a folder, .csv, .jsonl, .npz or .npy.",
        hint="unpack archives first" if path.suffix in (".zip", ".gz", ".tar", ".tgz") else None,
    )


def _unlabelled(location: str, path: Path) -> Source:
    pictures: Sequence[str] = list(pictures_below(path))
    if not any(path.iterdir()):
        raise DataError(f"The folder {path} is empty.", code="data_empty")
    if not pictures:
        raise DataError(
            f"There are no pictures in {path}.",
            hint="JPEG, PNG, WebP, GIF, BMP and TIFF files are read",
            code="data_empty",
        )
    samples = tuple(Sample(name, None) for name in pictures)
    return FileSource(location, f"{len(samples)} pictures without labels", samples, (), path)
