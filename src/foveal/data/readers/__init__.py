"""The layouts that foveal recognises, in the order in which they are tried."""

from __future__ import annotations

from foveal.data.readers.arrays import ArrayReader
from foveal.data.readers.base import Reader
from foveal.data.readers.files import FilesReader
from foveal.data.readers.folders import FoldersReader
from foveal.data.readers.table import TableReader
from foveal.registry import Registry

__all__ = ["READERS", "Reader"]

READERS: Registry[Reader] = Registry("layout")
for _reader in (TableReader(), ArrayReader(), FoldersReader(), FilesReader()):
    READERS.add(_reader.name, _reader)
