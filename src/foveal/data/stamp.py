"""Detect whether the files of a source have changed, without reading them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from foveal.data.archive import ArchiveStorage
from foveal.data.files_source import FileSource
from foveal.data.masks.source import MaskFiles
from foveal.data.parquet_source import ParquetSource
from foveal.data.polygons.source import Drawings
from foveal.data.remote import RemoteStorage
from foveal.data.source import Source
from foveal.data.storage import LocalStorage, Storage


def stamp_of(source: Source) -> str:
    """Return a digest that changes when samples come, go, or get another label, side or group.

    It covers size and time of change of the files too, or what an object store says instead.
    """
    digest = hashlib.blake2b(digest_size=16)
    for sample in source.samples:
        digest.update(repr((sample.id, sample.raw, sample.split, sample.group)).encode())
    if isinstance(source, FileSource) and isinstance(source.storage, RemoteStorage):
        for sample in source.samples:
            digest.update(source.storage.stamp(sample.id) or b"-")
    for path in _files(source):
        digest.update(_state(path))
    return digest.hexdigest()


def _files(source: Source) -> Iterator[Path]:
    if isinstance(source, ParquetSource):
        yield from (file.path for file in source.files.values())
        return
    if not isinstance(source, FileSource):
        path = Path(source.location)
        if path.is_file():
            yield path
        return
    ids = [sample.id for sample in source.samples]
    yield from _in(source.storage, ids)
    if isinstance(source.masks, MaskFiles | Drawings):
        marked = source.masks.files
        # One file may hold the shapes of all pictures.
        yield from _in(source.masks.storage, dict.fromkeys(marked[i] for i in ids if i in marked))


def _in(storage: Storage, names: Iterable[str]) -> Iterator[Path]:
    if isinstance(storage, ArchiveStorage):
        yield storage.path
    elif isinstance(storage, LocalStorage):
        yield from (storage.path / name for name in names)


def _state(path: Path) -> bytes:
    try:
        status = path.stat()
    except OSError:
        return b"-"
    return b"%d %d;" % (status.st_size, status.st_mtime_ns)
