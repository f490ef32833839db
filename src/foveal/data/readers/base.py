"""The interface of readers, and their input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import ClassVar, final

from foveal.data.files_source import FileSource, LabelledBy, Masks
from foveal.data.findings import split_as_given
from foveal.data.names import is_picture_name
from foveal.data.source import Sample, Source, SourceOptions
from foveal.data.storage import Listing, Storage
from foveal.errors import DataError
from foveal.types import Finding


@final
@dataclass(frozen=True)
class Place:
    """The location of data: a folder, or one file of a folder.

    Attributes:
        storage: The folder.
        file: Name of the one file in it, or None for the whole folder.
    """

    storage: Storage
    file: str | None = None

    @property
    def location(self) -> str:
        """Return the path or URL for messages."""
        return self.storage.location if self.file is None else self.storage.locate(self.file)

    @cached_property
    def listing(self) -> Listing:
        """Return what lies in the folder, also beside the one file."""
        return self.storage.listing()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all files of the folder, or of the one file."""
        return self.listing.files if self.file is None else (self.file,)

    @property
    def pictures(self) -> list[str]:
        """Return those of the names that end like a picture."""
        return [name for name in self.names if is_picture_name(name)]

    def find_table(self, names: Collection[str], suffixes: Collection[str]) -> str | None:
        """Return the name of the table of labels, or None when there is none.

        Args:
            names: Accepted file names, in lower case.
            suffixes: Accepted suffixes if there is only one file, whatever its name.

        Raises:
            DataError: If a folder has several.
        """
        if self.file is not None:
            return self.file if PurePosixPath(self.file).suffix.lower() in suffixes else None
        found = [name for name in self.listing.files if name.lower() in names]
        if len(found) > 1:
            raise DataError(
                f"{self.location} contains {' and '.join(found)}. Expected one table.",
                hint=f"foveal check {self.location}/{found[0]}",
            )
        return found[0] if found else None

    def source(
        self,
        layout: str,
        samples: Sequence[Sample],
        findings: Iterable[Finding] = (),
        masks: Masks | None = None,
        labelled_by: LabelledBy | None = None,
    ) -> Source:
        """Return the source of picture files.

        Args:
            layout: Layout in words; the sides that the samples state are added.
            samples: Their ids are names in the storage.
            findings: Findings about skipped or faulty files.
            masks: The masks of the samples, if they have any.
            labelled_by: Where the labels are.
        """
        words = layout + split_as_given(sample.split for sample in samples)
        found = tuple(findings)
        return FileSource(
            self.location, words, tuple(samples), found, self.storage, masks, labelled_by
        )


class Reader(ABC):
    """Recognises and reads one layout. Subclasses are final and hold no state."""

    name: ClassVar[str]
    """As in `data.layout`."""
    expects: ClassVar[str]
    """The layout in a few words."""

    @abstractmethod
    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the source, or None if the data does not have this layout.

        Raises:
            DataError: If it is meant to be, but something is wrong.
        """
