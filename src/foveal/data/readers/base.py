"""What a reader of one layout must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from foveal.data.source import Source, SourceOptions
from foveal.data.storage import Listing, Storage
from foveal.types import SplitName

# What people call the sides of a split.
SPLIT_ALIASES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


class Reader(ABC):
    """Recognises and reads one layout. Subclasses are final and hold no state."""

    name: ClassVar[str]
    """As in `data.layout`."""
    expects: ClassVar[str]
    """The layout in a few words."""

    @abstractmethod
    def read_folder(
        self, storage: Storage, listing: Listing, options: SourceOptions
    ) -> Source | None:
        """Return the source, or None when the folder is not laid out like this.

        Raises:
            DataError: When it is meant to be, but something is wrong.
        """

    @abstractmethod
    def read_file(self, storage: Storage, name: str, options: SourceOptions) -> Source | None:
        """Return the source in one file of a folder, or None when it is not of this kind.

        Raises:
            DataError: When it is of this kind, but something is wrong.
        """
