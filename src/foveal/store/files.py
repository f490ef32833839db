"""The storage interface of a store, for local folders and fsspec URLs.

A version is a folder `NAME/<number>/`; it is there once it has its `bundle.json`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from foveal.bundle.bundle import MANIFEST_NAME
from foveal.store.reference import version_number

Content = Mapping[str, Callable[[], bytes]]
"""File name → what reads its content; large files are in memory one at a time."""


class StoreFiles(ABC):
    """The files of a store.

    Attributes:
        location: Path or URL of the store, as the user gave it.
    """

    location: str

    @abstractmethod
    def names(self) -> list[str]:
        """Return the folders of the store, in sorted order."""

    @abstractmethod
    def numbers(self, name: str) -> dict[int, bool]:
        """Return the version numbers that are taken → whether the version is whole."""

    @abstractmethod
    def sizes(self, name: str, number: int) -> dict[str, int]:
        """Return file name → bytes of a version's files."""

    @abstractmethod
    def read(self, name: str, path: str) -> bytes | None:
        """Return a file below the folder of a name; None where there is none."""

    @abstractmethod
    def write(self, name: str, path: str, content: bytes) -> None:
        """Write a file below the folder of a name; readers see it whole or not at all."""

    @abstractmethod
    def publish(self, name: str, content: Content, above: Callable[[], int]) -> int:
        """Publish a version under the next free number, and return that.

        Whoever else publishes gets another number; when this process dies, nothing is seen of
        what it wrote, and a later publisher removes it.

        Args:
            name: The name.
            content: The files of the version.
            above: Called after `numbers`; the number will be above what it returns.
        """

    @abstractmethod
    def delete(self, name: str, path: str) -> None:
        """Remove a file or a folder below the folder of a name, if it is there."""

    @abstractmethod
    def fetch(self, name: str, number: int, digest: str) -> Path:
        """Return a folder of this machine that has the files of a version.

        Args:
            name: The name.
            number: The version.
            digest: sha256 of its `bundle.json`.
        """

    @abstractmethod
    def locked(self, name: str) -> AbstractContextManager[None]:
        """Keep others from changing what is under a name, except by publishing."""


def numbers_of(entries: Mapping[str, bool]) -> dict[int, bool]:
    """Return version number → whether it is whole, of entry → whether it has `bundle.json`."""
    found = ((version_number(entry), is_whole) for entry, is_whole in entries.items())
    return dict(sorted((number, is_whole) for number, is_whole in found if number is not None))


def publishing_order(content: Content) -> list[str]:
    """Return the names of the files in the order of writing: the one that shows it is last."""
    return sorted(content, key=lambda name: (name == MANIFEST_NAME, name))
