"""The record of the exports of a version: `.exports.json` beside its bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from foveal.store.files import StoreFiles

_NAME = ".exports.json"


@final
@dataclass(frozen=True, slots=True)
class StoredExports:
    """The record of a version's exports.

    Attributes:
        files: The store's files.
        name: Name of the model.
        version: The version.
    """

    files: StoreFiles
    name: str
    version: int

    @property
    def location(self) -> str:
        """Path or URL of the record."""
        return f"{self.files.location}/{self.name}/{self.version}/{_NAME}"

    def read(self) -> bytes | None:
        """Return the record, or None where nothing was exported.

        Raises:
            StoreError: If the store cannot be reached.
        """
        return self.files.read(self.name, f"{self.version}/{_NAME}")

    def write(self, content: bytes) -> None:
        """Replace the record.

        Raises:
            StoreError: If the store cannot be written to.
        """
        self.files.write(self.name, f"{self.version}/{_NAME}", content)
