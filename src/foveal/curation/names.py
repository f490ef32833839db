"""Names that are free, and files that belong together, in a folder of data."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import final

from foveal.data.names import is_hidden, is_picture_name

LONGEST_NAME = 255
"""Longest name of a file or folder, in bytes, in the file systems in use."""


@final
class Names:
    """The names in a folder, and those that will be given.

    Names that differ in case alone count as one: the data may be copied to a disk where they are.

    Args:
        data: The folder.
    """

    def __init__(self, data: Path) -> None:
        """Remember the folder; nothing is listed yet."""
        self._data = data
        self._real = data.resolve()
        self._listed: dict[str, dict[str, list[str]]] = {}
        self._used: dict[str, set[str]] = {}
        self._inside: dict[str, bool] = {}

    def is_outside(self, name: str) -> bool:
        """Return whether a file is not in the folder, or in one that is reached by a link."""
        folder = str(PurePosixPath(name).parent)
        if folder not in self._inside:
            path = PurePosixPath(name)
            is_inside = not path.is_absolute() and ".." not in path.parts
            real = (self._data / folder).resolve()
            self._inside[folder] = is_inside and real == self._real / folder
        return not self._inside[folder]

    def companions(self, picture: str, tables: Collection[str]) -> list[str]:
        """Return the files of a picture's stem beside it that are neither pictures nor `tables`.

        Where several pictures have that stem, it is not known whose they are: none.
        """
        path = PurePosixPath(picture)
        way = "" if str(path.parent) == "." else f"{path.parent}/"
        found = []
        for name in self._list(str(path.parent)).get(path.stem, ()):
            if name == path.name or is_hidden(name):
                continue
            if is_picture_name(name):
                return []
            if way + name not in tables and not (self._data / way / name).is_dir():
                found.append(way + name)
        return found

    def are_free(self, names: Iterable[str]) -> bool:
        """Return whether nothing has, or will have, one of these names."""
        for name in names:
            path = PurePosixPath(name)
            if path.name.casefold() in self._names_in(str(path.parent)):
                return False
        return True

    def take(self, names: Sequence[str]) -> None:
        """Remember that files will have these names."""
        for name in names:
            path = PurePosixPath(name)
            self._names_in(str(path.parent)).add(path.name.casefold())

    def _names_in(self, folder: str) -> set[str]:
        if folder not in self._used:
            stems = self._list(folder).values()
            self._used[folder] = {name.casefold() for names in stems for name in names}
        return self._used[folder]

    def _list(self, folder: str) -> dict[str, list[str]]:
        """Return stem → names of the files and folders in a folder that have it."""
        if folder not in self._listed:
            stems: dict[str, list[str]] = {}
            path = self._data / folder
            for entry in sorted(path.iterdir()) if path.is_dir() else ():
                stems.setdefault(entry.stem, []).append(entry.name)
            self._listed[folder] = stems
        return self._listed[folder]


def is_folder_name(text: str) -> bool:
    """Return whether a folder can be called so, and readers do not pass it over."""
    fits = 0 < len(os.fsencode(text)) <= LONGEST_NAME
    return fits and "/" not in text and "\0" not in text and not is_hidden(text)
