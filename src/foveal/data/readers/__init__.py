"""The readers of all layouts, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Sequence

from foveal.data.readers.arrays import ArrayReader
from foveal.data.readers.base import Place, Reader
from foveal.data.readers.file_names import NamesReader
from foveal.data.readers.files import FilesReader
from foveal.data.readers.folders import FoldersReader
from foveal.data.readers.lines import TextReader
from foveal.data.readers.masks import MasksReader
from foveal.data.readers.metadata import MetadataReader
from foveal.data.readers.parquet import ParquetReader
from foveal.data.readers.polygons import PolygonsReader
from foveal.data.readers.table import TableReader
from foveal.data.source import SourceOptions
from foveal.registry import Registry

__all__ = ["READERS", "Place", "Reader", "readers_for"]

READERS: Registry[Reader] = Registry("layout", Reader)
for _reader in (
    TableReader(),
    MetadataReader(),
    TextReader(),
    ArrayReader(),
    FoldersReader(),
    ParquetReader(),
    NamesReader(),
    FilesReader(),
    MasksReader(),
    PolygonsReader(),
):
    READERS.add(_reader.name, _reader)


def readers_for(options: SourceOptions) -> Sequence[Reader]:
    """Return the readers to try in order: the named one, or those for the task.

    Of pictures of texts any name may be a text, so names are looked at last. Classes stand in
    names only where an expression says so, and `labels.txt` is a list of classes as a rule. Where
    masks are asked for, files of masks go before shapes: they are often drawn from the shapes.

    Raises:
        UsageError: If there is no layout of the given name.
    """
    if options.layout != "auto":
        return [READERS[options.layout]]
    if options.target == "mask":
        return [READERS["masks"], READERS["polygons"]]
    names = ["table", "metadata", "arrays", "folders", "parquet", "files"]
    if options.target == "text":
        names = ["table", "metadata", "text", "arrays", "folders", "parquet", "names"]
    if options.label_regex is not None:
        others = ("folders", "parquet", "names", "files")
        names = [name for name in names if name not in others] + ["names"]
    return [READERS[name] for name in names]
