"""Storage of files: the interface, and local folders. Names in it use /.

`data.remote` has folders behind URLs, `data.archive` zip and tar archives.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import final

from foveal.data.decode import DecodeLimits
from foveal.data.names import is_hidden
from foveal.data.picture_file import missing_path, read_file
from foveal.errors import DataError


@final
@dataclass(frozen=True, slots=True)
class Listing:
    """The sorted contents of a folder, without hidden and system files.

    Attributes:
        files: Relative names of files.
        folders: Relative names of folders, empty ones too.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]


class Storage(ABC):
    """A folder of files, local or remote.

    Attributes:
        location: As the user gave it.
    """

    location: str

    def locate(self, name: str) -> str:
        """Return the path or URL of a file in the folder, for messages."""
        return f"{self.location.rstrip('/')}/{name}"

    @abstractmethod
    def kind(self) -> str:
        """Return `folder`, `file` or `missing`."""

    @abstractmethod
    def missing(self) -> DataError:
        """Return the error for a location that does not exist."""

    @abstractmethod
    def listing(self) -> Listing:
        """Return what lies below the folder."""

    @abstractmethod
    def is_file(self, name: str) -> bool:
        """Return whether a relative (or, on this machine, absolute) name is a file."""

    @abstractmethod
    def read(self, name: str, limits: DecodeLimits) -> bytes:
        """Return the bytes of a file.

        Raises:
            ImageError: If it is missing, unreadable or over the limit.
        """

    def expecting(self, names: Iterable[str], limits: DecodeLimits) -> AbstractContextManager[None]:
        """Prefetch files within the block, in the order in which they will be requested."""
        return nullcontext()

    @abstractmethod
    def parent(self) -> tuple[Storage, str]:
        """Return the folder that this file is in, and its name there."""


@final
class LocalStorage(Storage):
    """A folder of this machine.

    Args:
        path: The folder, or a file.
    """

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self.path = path

    def kind(self) -> str:
        """Return `folder`, `file` or `missing`."""
        if self.path.is_dir():
            return "folder"
        return "file" if self.path.exists() else "missing"

    def missing(self) -> DataError:
        """Return the error, with the nearest name that does exist."""
        message, hint = missing_path(self.path)
        return DataError(message, hint=hint, code="data_missing")

    def listing(self) -> Listing:
        """Return what lies below; links to folders are followed, each folder once."""
        files: list[str] = []
        folders: list[str] = []
        try:
            self._walk(self.path, "", files, folders, set())
        except OSError as error:
            raise DataError(f"Cannot list {self.path}: {error.strerror}.") from error
        return Listing(tuple(sorted(files)), tuple(sorted(folders)))

    def _walk(
        self,
        folder: Path,
        prefix: str,
        files: list[str],
        folders: list[str],
        above: set[tuple[int, int]],
    ) -> None:
        status = folder.stat()
        # Only a link to a folder above goes round in circles; two links to one folder are fine.
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                name = prefix + entry.name
                if entry.is_dir():
                    folders.append(name)
                    self._walk(folder / entry.name, name + "/", files, folders, above | {here})
                else:
                    files.append(name)

    def is_file(self, name: str) -> bool:
        """Return whether a name is a file."""
        return (self.path / name).is_file()

    def read(self, name: str, limits: DecodeLimits) -> bytes:
        """Return the bytes of a file."""
        return read_file(self.path / name, limits)

    def parent(self) -> tuple[Storage, str]:
        """Return the folder that this file is in, and its name there."""
        return LocalStorage(self.path.parent), self.path.name
